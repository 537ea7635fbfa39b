"""What keys there are and what each may hold, as a tree: for messages, for reading the environment, for the docs.

Made from the model's JSON Schema, so that there is one truth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from stream.settings.model import Settings

Path = tuple[str, ...]
"""Where a key stands, from the top: ("worker", "max_in_flight")."""

PROPERTIES: Path = ("kafka", "properties")
ANY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. kind: its JSON type. allowed: what it may hold, in words, to go after "it must be"."""

    kind: str
    allowed: str
    choices: tuple[str, ...]
    default: Any
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of keys; `each` is what stands under names that people choose."""

    keys: Mapping[str, "Key | Table"]
    each: "Key | Table | None"
    description: str

    def get(self, name: str) -> "Key | Table | None":
        """What stands under this name; None if nothing may."""
        return self.keys.get(name, self.each)


@cache
def settings_shape() -> Table:
    """The whole file's."""
    schema = Settings.model_json_schema()
    return _table(schema, schema.get("$defs", {}))


def find(path: Path) -> "Key | Table | None":
    """What may stand at this path; None if nothing may."""
    node: Key | Table | None = settings_shape()
    for name in path:
        if not isinstance(node, Table):
            return None
        node = node.get(name)
    return node


def keys(table: Table | None = None, above: Path = ()) -> Iterator[tuple[Path, Key]]:
    """Every key with its path, `*` standing for a name that people choose."""
    shape = table or settings_shape()
    children = [*shape.keys.items(), *([(ANY_NAME, shape.each)] if shape.each else [])]
    for name, node in children:
        if isinstance(node, Table):
            yield from keys(node, (*above, name))
        else:
            yield (*above, name), node


def spelled(path: Path) -> str:
    """A path as it is written in TOML: names with dots or colons in quotes."""
    return ".".join(name if name.replace("_", "").replace("-", "").isalnum() else f'"{name}"' for name in path)


def _table(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Table:
    required = schema.get("required", ())
    names = {name: _node(sub, defs, name in required) for name, sub in schema.get("properties", {}).items()}
    named = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    each = next((sub for sub in named if isinstance(sub, dict)), None)
    return Table(names, _node(each, defs, False) if each else None, schema.get("description", ""))


def _node(schema: Mapping[str, Any], defs: Mapping[str, Any], required: bool) -> Key | Table:
    if "$ref" in schema:
        schema = {**defs[schema["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in schema.items() if k != "$ref"}}
    if schema.get("type") == "object":
        return _table(schema, defs)
    choices = [sub for sub in schema.get("anyOf", [schema]) if sub.get("type") != "null"]
    one = choices[0] if len(choices) == 1 else {"type": "scalar"}
    kind = one.get("type", "string")
    return Key(
        kind=kind,
        allowed=_allowed(kind, one),
        choices=tuple(one.get("enum", ())),
        default=schema.get("default"),
        required=required,
        description=schema.get("description", ""),
    )


def _allowed(kind: str, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f'"{choice}"' for choice in schema["enum"])
    if kind in {"integer", "number"}:
        return ("a whole number" if kind == "integer" else "a number") + _bounds(schema)
    if kind == "array":
        least = " that isn't empty" if schema.get("minItems") else ""
        pattern = ": names of letters, digits, '.', '_' and '-'" if "pattern" in schema.get("items", {}) else ""
        return f"a list of texts{least}{pattern}"
    if kind == "string" and "pattern" in schema:
        return "a name of up to 249 letters, digits, '.', '_' and '-'"
    least = " that isn't empty" if schema.get("minLength") else ""
    most = f" of at most {schema['maxLength']:,} characters" if "maxLength" in schema else ""
    words = {"string": f"text{most}{least}", "boolean": "true or false"}
    return words.get(kind, "text, a number, or true or false")


def _bounds(schema: Mapping[str, Any]) -> str:
    least, above, most = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    if above is not None:
        return f" above {above:,}" + ("" if most is None else f", at most {most:,}")
    if least is not None and most is not None:
        return f" from {least:,} to {most:,}"
    return "" if least is None else f" of at least {least:,}"
