"""JSON that means one thing only, or is refused with a sentence that says where and why.

Refused: NaN and Infinity, numbers too large for a 64-bit float, duplicate keys, lone surrogates, invalid UTF-8, nesting
or size beyond a limit, anything after the document. Whole numbers are kept exactly, also beyond 64 bits. A leading
byte order mark is skipped, as RFC 8259 section 8.1 allows: Windows tools write it.

Most documents take one pass of orjson and a look at the value it made. orjson keeps the last of duplicate keys and
turns whole numbers beyond 64 bits into floats; both leave a trace, and only a document that shows one is read a second
time by the standard library, slowly and exactly.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_DEPTH = 64
MAX_BYTES = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_KEY_END = re.compile(rb'"[ \t\r\n]*+:')
_CONSTANT = re.compile(r"NaN|Infinity")
_NOTHING_INSIDE = (str, int, type(None))
_ARRAYS = (list, tuple)
_EXACT_FLOAT = float(2**63)  # orjson gives a float at or beyond this where the text may be a whole number


class StrictJsonError(ValueError):
    """The text is not JSON that means one thing only. The message is a sentence without any of the text's content,
    but for a duplicate key's name."""


def parse(data: bytes | str, *, max_depth: int = MAX_DEPTH, max_bytes: int = MAX_BYTES) -> Any:
    """The value that `data` spells: dict, list, str, int, float, bool or None.

    max_depth: how many objects and arrays may stand inside each other. max_bytes: of the text as UTF-8.
    Raises StrictJsonError. Time is linear in the size.
    """
    raw = _utf8(data) if isinstance(data, str) else data
    if len(raw) > max_bytes:
        raise StrictJsonError(f"The text has {len(raw):,} bytes, more than the {max_bytes:,} allowed.")
    raw = raw.removeprefix(_BOM)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise StrictJsonError(_explained(raw, error, max_depth)) from None
    if type(value) is dict or type(value) is list:
        keys, wide = _surveyed(value, max_depth)
        # Every key is followed by a colon, so the text has at least as many `":` as keys; more only where a string
        # holds one, or where a key was lost.
        suspicious = wide or len(_KEY_END.findall(raw)) != keys
    else:
        suspicious = _is_wide(value)
    return _exact(raw) if suspicious else value


def dumps(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON.

    Raises StrictJsonError for what JSON can't say: NaN, Infinity, lone surrogates, keys that aren't strings,
    foreign types.
    """
    try:
        encoded = orjson.dumps(value)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise StrictJsonError(f"The value can't be written as JSON: {error}.") from None
        encoded = _dumped_exactly(value)
    if b"null" in encoded:  # orjson writes NaN and Infinity as null
        _refuse_non_finite(value)
    return encoded


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise StrictJsonError(f"The text has a lone surrogate at character {error.start + 1:,}.") from None


def _surveyed(value: Any, max_depth: int) -> tuple[int, bool]:
    """How many keys the value's objects have, and whether a float in it may have been a wide whole number."""
    keys = 0
    wide = False
    level = [value]
    for _ in range(max_depth):
        below: list[Any] = []
        for node in level:
            children = node
            if type(node) is dict:
                keys += len(node)
                children = node.values()
            for child in children:
                kind = type(child)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    below.append(child)
                elif kind is float and abs(child) >= _EXACT_FLOAT:
                    wide = True
        if not below:
            return keys, wide
        level = below
    raise StrictJsonError(_too_deep(max_depth))


def _is_wide(value: Any) -> bool:
    return type(value) is float and abs(value) >= _EXACT_FLOAT


def _exact(raw: bytes) -> Any:
    """The value by the standard library: valid JSON is known, duplicates and wide numbers are not."""
    return json.loads(raw.decode(), object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = key if len(key) <= 80 else key[:80] + "…"
                raise StrictJsonError(f"The key {shown!r} stands twice in one object: which one counts is unclear.")
            seen.add(key)
    return value


def _explained(raw: bytes, error: orjson.JSONDecodeError, max_depth: int) -> str:
    """orjson's complaint as a sentence with its place."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as wrong:
        return f"The text is not UTF-8: byte {wrong.start + 1:,} is 0x{raw[wrong.start]:02x}."
    if not text.strip(" \t\r\n"):
        return "The text is empty."
    if "depth limit" in error.msg:
        return _too_deep(max_depth)
    place = f"line {error.lineno:,}, column {error.colno:,}"
    constant = _CONSTANT.match(text, error.pos)
    if constant:
        return f"{constant.group()} at {place} is no JSON number."
    if "surrogate" in error.msg:
        return f"A lone surrogate at {place}: the string can't be written as UTF-8."
    if "infinity" in error.msg:
        return f"The number at {place} is too large for a 64-bit float."
    return f"Not JSON at {place}: {error.msg}."


def _too_deep(max_depth: int) -> str:
    return f"Objects and arrays are nested more than {max_depth} deep."


def _dumped_exactly(value: Any) -> bytes:
    """Like orjson, but with whole numbers of any size."""
    for node in _nodes(value):
        if isinstance(node, dict) and not all(isinstance(key, str) for key in node):
            raise StrictJsonError("The value can't be written as JSON: a key isn't a string.")
    try:
        return _utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    except StrictJsonError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise StrictJsonError(f"The value can't be written as JSON: {error}.") from None


def _refuse_non_finite(value: Any) -> None:
    """Every result comes through here (its `reviewed_by` is null), so it takes what nearly all nodes are first."""
    waiting = [value]
    for node in waiting:  # which grows meanwhile
        if isinstance(node, _NOTHING_INSIDE):
            continue
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, _ARRAYS):
            waiting.extend(node)
        elif isinstance(node, float) and not math.isfinite(node):
            raise StrictJsonError(f"The value can't be written as JSON: it holds {node}.")


def _nodes(value: Any) -> Iterator[Any]:
    """The value and everything inside it."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, _ARRAYS):
            waiting.extend(node)
