"""What a log line looks like: JSON for machines, or text for people; one line, whatever stands in it.

Every text is bounded, keys and e-mail addresses are taken out of it, and what doesn't print (line breaks, terminal
sequences, direction marks) is escaped: an event can't forge a line, hide one, or flood the log.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from structlog.typing import EventDict, WrappedLogger

from stream.codecs.redact import redact

MAX_CHARS = 300
"""How much of a text a line keeps."""

_REDACTED_AHEAD = 128  # so that what is cut at the bound was long enough to be known for a secret
_REPETITIVE = frozenset({"event", "task", "prompt", "model", "provider", "stage", "code"})
"""Fields that mostly say what they said before: what is safe of them is remembered."""
_REMEMBERED_CHARS = 100
_OURS = frozenset({"source", "partition", "partitions"})
"""Fields that hold coordinates: topic names (Kafka's rules: letters, digits, `._-`) and numbers."""
_HARMLESS = re.compile(r"[0-9a-fA-F-]{1,64}")  # numbers, hashes, UUIDs: no kind of secret consists of these alone
_PLAIN = re.compile(r"[^\s\"'=]+")
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_RESET = "\x1b[0m"


def safe(text: str, max_chars: int = MAX_CHARS) -> str:
    """The text, fit for a line: bounded, without secrets, printable."""
    if _HARMLESS.fullmatch(text):
        return text
    clean = redact(text[: max_chars + 1 + _REDACTED_AHEAD])
    if not clean.isprintable():
        clean = "".join(c if c.isprintable() else _escaped(c) for c in clean)
    return clean if len(clean) <= max_chars else f"{clean[: max_chars - 1]}…"


_remembered = lru_cache(1024)(safe)


def scrub(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: makes every text of the line safe."""
    for name, value in event.items():
        if isinstance(value, str) and name not in _OURS:
            known = name in _REPETITIVE and len(value) <= _REMEMBERED_CHARS
            event[name] = _remembered(value) if known else safe(value)
    return event


def as_json(_logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    """A structlog processor: the line as JSON. Keys: `at`, `level`, `event`, then the event's own."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"at": at, "level": method, "event": event.pop("event", ""), **event}
    try:
        return orjson.dumps(line, default=repr, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # an integer beyond 64 bits, for instance
        return orjson.dumps({name: repr(value)[:MAX_CHARS] for name, value in line.items()}) + b"\n"


class AsText:
    """A structlog processor: the line for people. colours: mark warnings and errors."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        said = event.pop("event", "")
        colour = _COLOURS.get(method, "") if self._colours else ""
        head = f"{time.strftime('%H:%M:%S')} {colour}{method:<7}{_RESET if colour else ''} {said}"
        return f"{head}{_fields(event)}\n".encode(errors="backslashreplace")


def _fields(event: Mapping[str, Any]) -> str:
    return "".join(f"  {name}={_shown(value)}" for name, value in event.items() if value is not None)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)[:MAX_CHARS]
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _escaped(char: str) -> str:
    """One character that doesn't print, as its escape (`\\n`, `\\x1b`, `\\u202e`)."""
    return char.encode("unicode_escape").decode("ascii")
