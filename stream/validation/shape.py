"""Where free text may stand in a reply, worked out once from the Output model.

Free text is what a model writes in its own words: `str` fields, constrained or not. The values of `Literal` and enum
fields are the operator's own words ("unknown" may well be a category), and dates, UUIDs or URLs have proved themselves
by parsing: neither is free text.
"""

import enum
import json
import re
import typing
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, NamedTuple

from pydantic import BaseModel, RootModel

from stream.core import json_path

_STEP = re.compile(r'\.(?P<plain>[^\W\d]\w*)|\[(?P<quoted>"[^"\\]*")\]|(?P<any_item>\[\*\])')


class Text(NamedTuple):
    """A free-text value in a reply, with its JSON path."""

    path: str
    value: str


class _Node:
    """What may stand at one place: text, one of some models' objects, an array's items, a mapping's values."""

    __slots__ = ("items", "models", "own_words", "text", "values")

    def __init__(self) -> None:
        self.text = False
        self.own_words: set[str] = set()
        self.models: list[Fields] = []
        self.items: _Node | None = None
        self.values: _Node | None = None

    def at(self, key: str) -> "list[_Node]":
        """What may stand at this key of an object; several where models of a union share it."""
        found = [fields[key][1] for fields in self.models if key in fields]
        return found or ([self.values] if self.values else [])


Fields = dict[str, tuple[str, _Node]]
"""Key to the path's suffix (`.key`) and what may stand there."""


class Shape:
    """The free text of one Output model's replies."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._models: dict[type[BaseModel], Fields] = {}
        self._roots: set[type[BaseModel]] = set()
        self._root = _Node()
        self._grow(self._root, model)

    def texts(self, output: Mapping[str, Any]) -> list[Text]:
        """Every free-text value of a reply (as JSON, by alias), in its order; linear in its size."""
        found: list[Text] = []
        _collect(self._root, json_path.ROOT, output, found)
        return found

    def has(self, pattern: str) -> bool:
        """Whether free text can stand at this path, `[*]` standing for any item: `$.items[*].note`."""
        nodes = [self._root]
        position = len(json_path.ROOT)
        while position < len(pattern):
            step = _STEP.match(pattern, position)
            if step is None:
                return False
            position = step.end()
            if step.group("any_item"):
                nodes = [node.items for node in nodes if node.items]
            else:
                key = step.group("plain") or json.loads(step.group("quoted"))
                nodes = [below for node in nodes for below in node.at(key)]
        return pattern.startswith(json_path.ROOT) and any(node.text for node in nodes)

    def patterns(self) -> list[str]:
        """The paths at which free text can stand, at most six deep (models may contain themselves)."""
        found: dict[str, None] = {}
        level = [(json_path.ROOT, self._root)]
        for _ in range(6):
            below: list[tuple[str, _Node]] = []
            for path, node in level:
                if node.text:
                    found[path] = None
                below += [(path + suffix, child) for fields in node.models for suffix, child in fields.values()]
                if node.items is not None and node.items is not node:
                    below.append((path + "[*]", node.items))
            level = below
        return list(found)

    def _grow(self, node: _Node, annotation: Any) -> None:
        """Add what this type allows to what may stand at the node already (unions add up)."""
        origin = typing.get_origin(annotation)
        args = typing.get_args(annotation)
        if origin is typing.Literal:
            node.own_words.update(str(arg.value if isinstance(arg, enum.Enum) else arg) for arg in args)
        elif origin is typing.Annotated:
            self._grow(node, args[0])
        elif origin is typing.Union or origin is UnionType:
            for arg in args:
                self._grow(node, arg)
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            node.values = node.values or _Node()
            self._grow(node.values, args[1])
        elif isinstance(origin, type) and issubclass(origin, Iterable):
            node.items = node.items or _Node()
            for arg in args:
                self._grow(node.items, arg)
        elif isinstance(annotation, type) and annotation not in (Any, object):
            self._grow_class(node, annotation)
        else:
            _grow_anything(node)

    def _grow_class(self, node: _Node, kind: type) -> None:
        if issubclass(kind, enum.Enum):
            node.own_words.update(str(member.value) for member in kind)
        elif issubclass(kind, str):
            node.text = True
        elif issubclass(kind, RootModel) and kind not in self._roots:
            self._roots.add(kind)
            self._grow(node, kind.model_fields["root"].annotation)
            self._roots.remove(kind)
        elif issubclass(kind, BaseModel) and not issubclass(kind, RootModel):
            node.models.append(self._fields(kind))
        elif issubclass(kind, Mapping | list | tuple | set | frozenset | RootModel):  # without parameters, or in itself
            _grow_anything(node)

    def _fields(self, model: type[BaseModel]) -> Fields:
        if model not in self._models:
            fields = self._models[model] = {}
            for name, field in model.model_fields.items():
                key = field.serialization_alias or field.alias or name
                node = _Node()
                self._grow(node, field.annotation)
                if isinstance(field.default, str):
                    node.own_words.add(field.default)  # what the operator would have put there anyway
                fields[key] = (json_path.member("", key), node)
        return self._models[model]


def _grow_anything(node: _Node) -> None:
    """Any JSON value, and so inside it."""
    node.text, node.values, node.items = True, node, node


def _collect(node: _Node, path: str, value: Any, found: list[Text]) -> None:
    kind = type(value)
    if kind is str:
        if node.text and value not in node.own_words:
            found.append(Text(path, value))
    elif kind is dict:
        if len(node.models) == 1 and node.values is None:
            fields = node.models[0]
            for key, child in value.items():
                if child is not None and key in fields:
                    suffix, below = fields[key]
                    _collect(below, path + suffix, child, found)
        else:
            for key, child in value.items():
                _collect_any(node.at(key), json_path.member(path, key), child, found)
    elif kind is list and node.items is not None:
        for index, child in enumerate(value):
            _collect(node.items, f"{path}[{index}]", child, found)


def _collect_any(nodes: list[_Node], path: str, value: Any, found: list[Text]) -> None:
    """Like `_collect` where several types may stand: an own word of one is nobody's free text."""
    if isinstance(value, str):
        if any(node.text for node in nodes) and not any(value in node.own_words for node in nodes):
            found.append(Text(path, value))
        return
    texts: dict[Text, None] = {}
    for node in nodes:
        below: list[Text] = []
        _collect(node, path, value, below)
        texts.update(dict.fromkeys(below))
    found += texts
