"""From a JSON Schema to a plan of nodes (`compose.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from stream.simulator.ask import Refused
from stream.simulator.compose import (
    DEEPEST,
    AnyNode,
    ArrayNode,
    ObjectNode,
    ReferenceNode,
    UnionNode,
)
from stream.simulator.scalars import BooleanNode, Constant, EnumNode, Node, NumberNode, StringNode

_STRUCTURE = ("type", "properties", "required", "items", "additionalProperties")


class Planner:
    """Plans one schema. Raises Refused for what isn't a JSON Schema or can't be filled in."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._planned: dict[tuple[str, tuple[str, ...]], Node] = {}

    def node(self, schema: Any, path: tuple[str, ...] = ()) -> Node:
        """The plan of one part. path: the names of the fields it stands in, outermost first."""
        if schema is True or schema == {}:
            return AnyNode(path)
        if not isinstance(schema, Mapping):
            raise Refused("bad_request", f"Invalid JSON Schema at {'.'.join(path) or 'the root'}: not an object.")
        if len(path) > DEEPEST:
            raise Refused("bad_request", f"The JSON Schema is nested deeper than {DEEPEST} levels.")
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), path)
        if "const" in schema:
            return Constant(schema["const"])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return EnumNode(schema["enum"], path) if len(schema["enum"]) > 1 else Constant(schema["enum"][0])
        if schema.get("allOf"):
            return self.node(self._merged(schema), path)
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                return self._union(schema, word, path)
        return self._typed(schema, path)

    def _typed(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Node:
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._of_types(schema, kind, path)
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else None
        if kind == "object":
            return self._object(schema, path)
        if kind == "array":
            return self._array(schema, path)
        if kind in ("number", "integer"):
            return NumberNode(schema, path, integer=kind == "integer")
        if kind == "boolean":
            return BooleanNode(path)
        if kind == "null":
            return Constant(None)
        if kind not in ("string", None):
            raise Refused(
                "bad_request", f"Invalid JSON Schema at {'.'.join(path) or 'the root'}: unknown type {kind!r}."
            )
        return StringNode(schema, path)

    def _of_types(self, schema: Mapping[str, Any], kinds: Sequence[Any], path: tuple[str, ...]) -> Node:
        branches = [self.node({**schema, "type": kind}, path) for kind in kinds if kind != "null"]
        return UnionNode(branches, nullable="null" in kinds) if branches else Constant(None)

    def _object(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Node:
        extra_schema = schema.get("additionalProperties", not schema.get("properties"))
        extra = None if extra_schema is False else self.node(extra_schema, (*path, "value"))
        node = ObjectNode({}, set(schema.get("required", ())), extra, int(schema.get("minProperties", 0)))
        properties = schema.get("properties") or {}
        node.properties = {name: self.node(part, (*path, name)) for name, part in properties.items()}
        return node

    def _array(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Node:
        first = [self.node(part, path) for part in schema.get("prefixItems", ())]
        items = schema.get("items", not first)
        return ArrayNode(first, self.node(items, path) if items is not False else None, schema, path)

    def _union(self, schema: Mapping[str, Any], word: str, path: tuple[str, ...]) -> Node:
        around = {key: schema[key] for key in _STRUCTURE if key in schema}
        branches = [self._merged({"allOf": [around, branch]}) if around else branch for branch in schema[word]]
        real = [branch for branch in branches if branch != {"type": "null"}]
        nodes = [self.node(branch, path) for branch in real]
        return UnionNode(nodes, nullable=len(real) < len(branches)) if nodes else Constant(None)

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        for part in [rest, *schema["allOf"]]:
            resolved = self._pointed(str(part["$ref"])) if isinstance(part, Mapping) and "$ref" in part else part
            if not isinstance(resolved, Mapping):
                continue
            for key, value in resolved.items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                elif key == "required":
                    merged[key] = [*merged.get(key, ()), *value]
                else:
                    merged[key] = value
        return merged

    def _reference(self, pointer: str, path: tuple[str, ...]) -> Node:
        key = (pointer, path[-1:])
        if key not in self._planned:
            reference = ReferenceNode()
            self._planned[key] = reference
            reference.target = self.node(self._pointed(pointer), path[-1:])
            self._planned[key] = reference.target
        return self._planned[key]

    def _pointed(self, pointer: str) -> Any:
        part: Any = self.root
        for step in pointer.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not pointer.startswith("#") or not isinstance(part, Mapping) or name not in part:
                raise Refused("bad_request", f"Invalid JSON Schema: {pointer} points nowhere.")
            part = part[name]
        return part
