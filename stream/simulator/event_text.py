"""The event's own text inside a user message: what stands between delimiters, JSON read as its strings."""

import html
import re
from itertools import islice
from typing import Any

import orjson

READ_CHARS = 20_000
"""No more of a text is searched for values: replies stay fast whatever is sent."""
LABELLED_CHARS = 80

_TAG = re.compile(r"^[ \t]*<([A-Za-z][\w-]{0,40})(?:\s[^<>\n]{0,200})?>", re.MULTILINE)
_HTML = re.compile(r"</(?:p|div|td|tr|table|body|html|h[1-6]|li|span|b)>|<br */?>", re.IGNORECASE)
_INVISIBLE = re.compile(r"<(script|style)\b[^>]{0,200}>.{0,5000}?</\1>|<!--.{0,2000}?-->", re.IGNORECASE | re.DOTALL)
_BLOCK_TAG = re.compile(r"</?(?:p|div|tr|table|body|html|h[1-6]|li|ul|br)\b[^<>]{0,300}>", re.IGNORECASE)
_INLINE_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,300}>")
_FENCE = "```"
_TAGS_READ = 20
_BODIES = {"", "body", "text", "message", "content", "document", "email", "ticket"}


def _between_tags(message: str) -> list[tuple[int, int, str]]:
    """Start, end and name of what stands between tags that begin a line; the outermost ones, in order."""
    spans: list[tuple[int, int, str]] = []
    for match in islice(_TAG.finditer(message[:READ_CHARS]), _TAGS_READ):
        inside = bool(spans) and match.start() < spans[-1][1]
        end = -1 if inside else message.find(f"</{match[1]}>", match.end())
        if end >= 0 and f"<{match[1]}>" in message[match.end() : end]:
            end = message.rfind(f"</{match[1]}>")
        if end >= 0:
            spans.append((match.end(), end, match[1]))
    return spans


def _between_fences(message: str) -> list[tuple[int, int, str]]:
    first, last = message.find(_FENCE), message.rfind(_FENCE)
    if first < 0 or last == first:
        return []
    newline = message.find("\n", first)
    start = newline + 1 if 0 <= newline < last else first + len(_FENCE)
    return [(start, last, "")]


def _lines_of(value: Any, name: str, lines: list[str]) -> None:
    if len(lines) > 500:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            _lines_of(inner, str(key), lines)
    elif isinstance(value, list):
        for inner in value:
            _lines_of(inner, name, lines)
    elif isinstance(value, str) and len(value) > LABELLED_CHARS:
        lines.append(value)
    elif value is not None:
        lines.append(f"{name.replace('_', ' ')}: {value}" if name else str(value))


def _spans(message: str) -> list[tuple[int, int, str]]:
    return _between_tags(message) or _between_fences(message)


def outside_of_event(message: str) -> str:
    """The instructions around the event; empty where nothing is delimited, for then nothing can be told apart."""
    spans, at, parts = _spans(message), 0, list[str]()
    for start, end, _name in spans:
        parts.append(message[at:start])
        at = end
    return "".join(parts) + message[at:] if spans else ""


def _without_markup(text: str) -> str:
    """HTML as its text, a line for each block."""
    text = _INVISIBLE.sub("", text[: 2 * READ_CHARS])
    return html.unescape(_INLINE_TAG.sub(" ", _BLOCK_TAG.sub("\n", text)))


def _as_lines(text: str) -> str:
    """JSON as lines of its strings, HTML as its text; anything else as it is."""
    if text[:1] not in ("{", "["):
        return _without_markup(text) if _HTML.search(text[:READ_CHARS]) else text
    try:
        lines: list[str] = []
        _lines_of(orjson.loads(text), "", lines)
    except orjson.JSONDecodeError:
        return text
    return "\n".join(lines)


def event_text(message: str) -> str:
    """What the message is about, at most `READ_CHARS` characters; of several parts the short ones as labelled lines."""
    parts = []
    spans = _spans(message)
    for start, end, name in spans:
        part = _as_lines(message[start:end].strip())
        if not part:
            continue
        is_value = len(spans) > 1 and name not in _BODIES and "\n" not in part and len(part) <= LABELLED_CHARS
        parts.append(f"{name.replace('_', ' ')}: {part}" if is_value else part)
    return ("\n".join(parts) if spans else _as_lines(message.strip()))[:READ_CHARS]
