"""What JSON the instructions ask for, where no schema came with the request."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from stream.simulator.event_text import outside_of_event

_LOOKED_AT_CHARS = 40_000
_ANNOUNCED = re.compile(r"(?:keys?|fields?|properties|members)\b[^:\n]{0,60}:\s*([^\n]{3,400})", re.IGNORECASE)
_LISTED = re.compile(
    r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]*[`\"*]{0,3}([a-z][a-z0-9]*(?:_[a-z0-9]+)*)[`\"*]{0,3}[ \t]*(?::|-|\(|\u2013|$)",
    re.MULTILINE,
)
_QUOTED = re.compile(r"[`\"]([a-zA-Z_][a-zA-Z0-9_]{1,40})[`\"]")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,40}", re.IGNORECASE)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that stand in the text, the outermost ones, at most 8 tries."""
    decoder, at = json.JSONDecoder(), text.find("{")
    for _ in range(8):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict) and value:
                yield value
        at = text.find("{", end)


def _is_schema(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("properties"), dict) or ("$ref" in value and "$defs" in value)


def _like(example: Any) -> dict[str, Any]:
    """A schema that the example, and what is like it, is valid for. A string `a|b|c` is an enum."""
    if isinstance(example, dict):
        return {"type": "object", "properties": {k: _like(v) for k, v in example.items()}, "required": list(example)}
    if isinstance(example, list):
        return {"type": "array", "items": _like(example[0])} if example else {"type": "array", "items": {}}
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "integer" if isinstance(example, int) else "number"}
    if isinstance(example, str) and re.fullmatch(r"[\w -]+(?: ?\| ?[\w -]+)+", example):
        return {"enum": [one.strip() for one in example.split("|")]}
    if isinstance(example, str) and example in ("string", "number", "integer", "boolean"):
        return {"type": example}
    return {"type": "string"} if isinstance(example, str) else {"type": ["string", "null"]}


@lru_cache(maxsize=256)
def schema_in(instructions: str) -> dict[str, Any] | None:
    """The JSON Schema that stands in the instructions, None if there is none."""
    return next(filter(_is_schema, _objects(instructions)), None) if "properties" in instructions else None


@lru_cache(maxsize=256)
def shape_in(instructions: str) -> dict[str, Any]:
    """A schema for what the instructions ask for: theirs, else one like their example, else of the fields they name."""
    if (schema := schema_in(instructions)) is not None:
        return schema
    for example in _objects(instructions):
        return _like(example)
    names = list(dict.fromkeys(_LISTED.findall(instructions)))
    if len(names) < 2 and (announced := _ANNOUNCED.search(instructions)):
        names = _QUOTED.findall(announced[1]) or [
            name for name in _NAME.findall(announced[1]) if name.lower() not in ("and", "or", "with", "the")
        ]
    names = names or ["summary", "category", "language"]
    return {"type": "object", "properties": {name: {"type": "string"} for name in names[:20]}, "required": names[:20]}


def instructions_of(system: str, user: str) -> str:
    """The part of a prompt that says what to do: never the event."""
    return f"{system}\n{outside_of_event(user)}"[:_LOOKED_AT_CHARS]
