"""JSON Schemas in the narrower form that the providers' strict modes accept.

Strict modes guarantee the shape, and refuse schemas that say more than they can enforce. What they can't enforce goes
into the description, where the model reads it; our own validation judges the reply by the full schema anyway.
Sources: OpenAI "Structured outputs: supported schemas"; Anthropic "Structured outputs: JSON Schema limitations".
"""

from collections.abc import Mapping
from typing import Any, Literal

Dialect = Literal["anthropic", "openai"]

_KEPT = ("enum", "const", "description")
_TOLD = (
    "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minItems", "maxItems", "uniqueItems",
)  # fmt: skip
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


class _Inexpressible(Exception):  # noqa: N818  (an answer within this module, not an error)
    """Strict modes have no way to say this schema."""


def strict_schema(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Any] | None:
    """The schema as `dialect`'s strict mode takes it: closed objects, no constraints, for OpenAI all fields required.

    None where strict modes can't express it at all: free-form maps, values of any type, tuples, several `allOf`, a
    root that is no object, recursion (Anthropic). The argument is left as it is.
    """
    definitions = schema.get("$defs", {})
    if dialect == "anthropic" and _is_recursive(definitions):
        return None
    try:
        strict = _strict(_root(schema, definitions), dialect)
        if strict.get("type") != "object":
            return None
        if definitions:
            strict["$defs"] = {name: _strict(definition, dialect) for name, definition in definitions.items()}
    except _Inexpressible:
        return None
    return strict


def _root(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, or what it refers to: recursive models are a reference to themselves."""
    reference = schema.get("$ref", "")
    return definitions.get(_name(reference), {}) if reference else schema


def _strict(schema: Any, dialect: Dialect) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Inexpressible  # true and false: anything, nothing
    if "$ref" in schema:
        reference = {"$ref": schema["$ref"]}
        # Nothing may stand beside a $ref.
        return {"anyOf": [reference], "description": schema["description"]} if "description" in schema else reference
    if len(schema.get("allOf", ())) == 1:
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        return _strict({**schema["allOf"][0], **rest}, dialect)
    if isinstance(schema.get("type"), list):
        return {"anyOf": [_strict({**schema, "type": kind}, dialect) for kind in schema["type"]]}

    strict = {key: schema[key] for key in _KEPT if key in schema}
    variants = schema.get("anyOf") or schema.get("oneOf")
    if variants:
        strict["anyOf"] = [_strict(variant, dialect) for variant in variants]
    elif "type" in schema:
        strict["type"] = schema["type"]
        strict |= _typed(schema, dialect)
    elif not ({"enum", "const"} & strict.keys()):
        raise _Inexpressible
    return _told(strict, schema)


def _typed(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The keywords that belong to the schema's type."""
    if schema["type"] == "object":
        if schema.get("additionalProperties") or schema.get("patternProperties") or "properties" not in schema:
            raise _Inexpressible
        fields = schema["properties"]
        return {
            "properties": {name: _strict(field, dialect) for name, field in fields.items()},
            "required": list(fields) if dialect == "openai" else list(schema.get("required", ())),
            "additionalProperties": False,
        }
    if schema["type"] == "array":
        if "items" not in schema or "prefixItems" in schema:
            raise _Inexpressible
        return {"items": _strict(schema["items"], dialect)}
    if schema.get("format") in _FORMATS:
        return {"format": schema["format"]}
    return {}


def _told(strict: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its constraints in the description."""
    told = [f"{key}: {schema[key]}" for key in _TOLD if key in schema]
    if "format" in schema and "format" not in strict:
        told.append(f"format: {schema['format']}")
    if told:
        constraints = "{" + ", ".join(told) + "}"
        strict["description"] = f"{schema['description']} {constraints}" if "description" in schema else constraints
    return strict


def _is_recursive(definitions: Mapping[str, Any]) -> bool:
    """Whether a definition refers to itself, directly or by others."""
    refers = {name: set(_references(definition)) for name, definition in definitions.items()}
    for start in refers:
        seen: set[str] = set()
        waiting = list(refers[start])
        while waiting:
            name = waiting.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                waiting.extend(refers.get(name, ()))
    return False


def _references(schema: Any) -> list[str]:
    if isinstance(schema, Mapping):
        own = [_name(schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


class SchemaCache:
    """`strict_schema` of the schemas that prompt versions hold: each is narrowed once, not for every call."""

    _MOST = 256

    def __init__(self, dialect: Dialect) -> None:
        self._dialect: Dialect = dialect
        self._narrowed: dict[int, tuple[Mapping[str, Any], dict[str, Any] | None]] = {}

    def strict(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `strict_schema`. The schema is known by identity: it must not be changed afterwards."""
        known = self._narrowed.get(id(schema))
        if known is not None:
            return known[1]
        if len(self._narrowed) >= self._MOST:
            self._narrowed.clear()
        strict = strict_schema(schema, self._dialect)
        self._narrowed[id(schema)] = (schema, strict)  # held, so that its id stays its own
        return strict
