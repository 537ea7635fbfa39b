"""What people (and the first worker) decided, as records on the decisions topic: the truth about it.

A decision is `{at_ms, by, kind, scope, why, ...}`. The topic has one partition and keeps its records for ever, so that
their order is the order in which they count.
"""

import getpass
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stream.codecs.strict_json import StrictJsonError, dumps, parse
from stream.core import headers as names
from stream.core.records import Outgoing, Record
from stream.kafka import reading
from stream.kafka.sending import Delivered, deliver
from stream.settings import Settings

KINDS = (
    "accept_gap",
    "accept_rerun",
    "start_latest",
    "gate",
    "hold",
    "release",
    "replay",
    "correct",
    "discard",
    "reopen",
)

_LOG = logging.getLogger("llm_stream.decisions")
_FIELDS = frozenset({"at_ms", "by", "kind", "scope", "why"})


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """A stretch of a partition: `from_offset` up to, not including, `to_offset`. topic_id: None if unknown."""

    topic: str
    topic_id: str | None
    partition: int
    from_offset: int
    to_offset: int

    def as_json(self) -> dict[str, Any]:
        """As it stands in a decision's scope."""
        return {
            "topic": self.topic,
            "topic_id": self.topic_id,
            "partition": self.partition,
            "from_offset": self.from_offset,
            "to_offset": self.to_offset,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "OffsetRange":
        """The range that `as_json` wrote. Raises ValueError when fields are missing or of another type."""
        topic, topic_id = value.get("topic"), value.get("topic_id")
        if not isinstance(topic, str) or not isinstance(topic_id, str | None):
            raise ValueError("topic must be text, topic_id text or null")  # noqa: TRY004  (a wrong record)
        return cls(topic, topic_id, *(_offset(value, name) for name in ("partition", "from_offset", "to_offset")))


def _offset(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name)
    if type(number) is not int or number < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more")
    return number


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    at_ms: when, milliseconds since 1970. by: user@host. kind: one of `KINDS`; others are kept as they are.
    scope: what it is about, JSON-ready. why: in a person's words; may be empty. more: further fields, JSON-ready.
    offset: of its record; None before it is published.
    """

    at_ms: int
    by: str
    kind: str
    scope: Mapping[str, Any]
    why: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    offset: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The record's value."""
        own = {"at_ms": self.at_ms, "by": self.by, "kind": self.kind, "scope": dict(self.scope), "why": self.why}
        return own | {name: value for name, value in self.more.items() if name not in _FIELDS}


def by_whom() -> str:
    """Who runs this process, as user@host. A container without a user name gives its number."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def outgoing(settings: Settings, decision: Decision) -> Outgoing:
    """The record a decision is published as. Raises ValueError where it holds what JSON can't carry."""
    headers = ((names.CONTENT_TYPE, b"application/json"),)
    return Outgoing(settings.topics.decisions, decision.kind.encode(), dumps(decision.as_json()), headers, partition=0)


def decision_from(record: Record) -> Decision:
    """The decision a record carries. Raises ValueError with the reason when it carries none."""
    try:
        value = parse(record.value or b"")
    except StrictJsonError as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  (a wrong record, not a wrong call)
    at_ms, by, kind, scope = value.get("at_ms"), value.get("by"), value.get("kind"), value.get("scope")
    if type(at_ms) is not int or not isinstance(by, str) or not isinstance(kind, str) or not isinstance(scope, dict):
        raise ValueError("it needs at_ms (a whole number), by and kind (text), and scope (an object)")
    more = {name: each for name, each in value.items() if name not in _FIELDS}
    return Decision(at_ms, by, kind, scope, str(value.get("why", "")), more, record.offset)


def append(settings: Settings, decision: Decision) -> Decision:
    """Publish a decision; it is durable when this returns. The same decision, with its offset.

    Raises ConfigError where the topic isn't there, DependencyError where Kafka doesn't acknowledge it in time.
    """
    written: list[Delivered] = []
    deliver(settings, [outgoing(settings, decision)], written.append)
    return replace(decision, offset=written[0].offset)


def read_all(settings: Settings) -> list[Decision]:
    """Every decision made so far, oldest first, those of a transaction that is just ending included.

    A record that is no decision is left out, with a warning that names it. Raises ConfigError where the topic isn't
    there, DependencyError.
    """
    return list(read_from(settings, 0))


def read_from(settings: Settings, offset: int) -> Iterator[Decision]:
    """The decisions at `offset` and after it, up to the end there is now. Raises as `read_all` does."""
    start = reading.Start("offset", offset)
    wanted = reading.spans(settings, [settings.topics.decisions], start, uncommitted=True)
    for record in reading.read(settings, wanted):
        try:
            yield decision_from(record)
        except ValueError as error:
            _LOG.warning("%s:%d:%d is no decision: %s", record.topic, record.partition, record.offset, error)
