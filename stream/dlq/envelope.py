"""A dead letter as a value: what was asked, what was wrong, what it cost. No I/O.

Nothing in a dead letter is trusted to be well-formed: what is missing or malformed is None, and whatever the record,
`dead_letter_from` returns.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream.codecs.strict_json import StrictJsonError, parse
from stream.core import headers as names
from stream.core.errors import Violation
from stream.core.records import Headers, Record
from stream.kafka import lines

HEADERS_DROPPED = "llm.headers.dropped"
"""How many of the request's own headers did not fit into the dead letter; absent: none was left out."""

_ID = re.compile(r"(\d{1,10}):(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead letter topic.

    record: as it was read. request_id: as the worker understood it, None where it could not.
    at_ms: when it was given up, milliseconds since 1970. delivery_count: how often the request came (replays and all).
    cost_micro_usd, attempts, calls: of this delivery; None where unknown. output: the rejected reply, up to 64 KiB.
    value_sha256: of the original value where that was too large to keep, else None.
    source: `{"group", "topic", "topic_id", "partition", "offset"}` as far as they are known.
    """

    record: Record
    at_ms: int
    request_id: str | None
    task: str | None
    stage: str | None
    code: str | None
    detail: str
    violations: tuple[Violation, ...]
    prompt: str | None
    provider: str | None
    model: str | None
    model_served: str | None
    stop_reason: str | None
    attempts: int | None
    calls: int | None
    usage: Mapping[str, Any] | None
    cost_micro_usd: int | None
    latency_ms: int | None
    output: str | None
    output_truncated: bool
    value_sha256: str | None
    headers_dropped: int
    source: Mapping[str, Any]
    delivery_count: int | None
    replay_count: int
    replay_of: str | None
    replay_by: str | None

    @property
    def id(self) -> str:
        """`PARTITION:OFFSET` in the dead letter topic."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def reason(self) -> str:
        """`stage/code`, as far as known."""
        return f"{self.stage or '?'}/{self.code or '?'}"

    @property
    def original_headers(self) -> Headers:
        """The headers as the request came with them: without our `llm.*` and the `__dlq.errors.*` family."""
        ours = (names.RESERVED_PREFIX, names.DLQ_PREFIX)
        return tuple((name, value) for name, value in self.record.headers or () if not name.startswith(ours))

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON; the original's bytes as `llm-stream tail` gives them."""
        original = lines.as_line(self.record)
        return {
            "id": self.id,
            "at_ms": self.at_ms,
            "request_id": self.request_id,
            "task": self.task,
            "stage": self.stage,
            "code": self.code,
            "detail": self.detail,
            "violations": [_violation_json(each) for each in self.violations],
            "prompt": self.prompt,
            "provider": self.provider,
            "model": self.model,
            "model_served": self.model_served,
            "stop_reason": self.stop_reason,
            "attempts": self.attempts,
            "calls": self.calls,
            "usage": self.usage,
            "cost_micro_usd": self.cost_micro_usd,
            "latency_ms": self.latency_ms,
            "output": self.output,
            "output_truncated": self.output_truncated,
            "value_sha256": self.value_sha256,
            "headers_dropped": self.headers_dropped,
            "source": dict(self.source),
            "delivery_count": self.delivery_count,
            "replay": {"count": self.replay_count, "id": self.replay_of, "by": self.replay_by},
            "topic": self.record.topic,
            "key": original["key"],
            "headers": original["headers"],
            "value": original["value"],
        }


def coordinates(dead_letter_id: str) -> tuple[int, int]:
    """Partition and offset of an id. Raises ValueError with a sentence when it isn't `PARTITION:OFFSET`."""
    match = _ID.fullmatch(dead_letter_id.strip())
    if match is None:
        raise ValueError(f"{dead_letter_id!r} is no dead letter's id: that is PARTITION:OFFSET, for instance 3:1042")
    return int(match[1]), int(match[2])


def dead_letter_from(record: Record) -> DeadLetter:
    """What a record of the dead letter topic says. Never raises."""
    headers = record.headers
    request_id, task = lines.about("dlq", record)
    gave_up_ms = names.integer(headers, names.DLQ_PREFIX + "timestamp")
    detail = names.text(headers, names.ERROR_DETAIL) or names.text(headers, names.DLQ_PREFIX + "message")
    return DeadLetter(
        record=record,
        at_ms=record.timestamp_ms if gave_up_ms is None else gave_up_ms,
        request_id=request_id,
        task=task,
        stage=names.text(headers, names.ERROR_STAGE),
        code=names.text(headers, names.ERROR_CODE),
        detail=detail or "The record doesn't say what was wrong: it was not written by llm-stream.",
        violations=_violations(names.text(headers, names.ERROR_VIOLATIONS)),
        prompt=names.text(headers, names.PROMPT),
        provider=names.text(headers, names.PROVIDER),
        model=names.text(headers, names.MODEL),
        model_served=names.text(headers, names.MODEL_SERVED),
        stop_reason=names.text(headers, names.STOP_REASON),
        attempts=names.integer(headers, names.ATTEMPTS),
        calls=names.integer(headers, names.CALLS),
        usage=_object(names.text(headers, names.USAGE)),
        cost_micro_usd=names.integer(headers, names.COST),
        latency_ms=names.integer(headers, names.LATENCY),
        output=names.text(headers, names.OUTPUT),
        output_truncated=names.text(headers, names.OUTPUT_TRUNCATED) == "true",
        value_sha256=names.text(headers, names.VALUE_SHA256),
        headers_dropped=names.integer(headers, HEADERS_DROPPED) or 0,
        source=_source(headers),
        delivery_count=names.integer(headers, names.DLQ_PREFIX + "delivery.count"),
        replay_count=max(0, names.integer(headers, names.REPLAY_COUNT) or 0),
        replay_of=names.text(headers, names.REPLAY_ID),
        replay_by=names.text(headers, names.REPLAY_BY),
    )


def _source(headers: Headers | None) -> dict[str, Any]:
    """Our own headers, or those of the `__dlq.errors.*` family alone."""
    return {
        "group": names.text(headers, names.SOURCE_GROUP) or names.text(headers, names.DLQ_PREFIX + "group"),
        "topic": names.text(headers, names.SOURCE_TOPIC) or names.text(headers, names.DLQ_PREFIX + "topic"),
        "topic_id": names.text(headers, names.SOURCE_TOPIC_ID),
        "partition": _first(headers, names.SOURCE_PARTITION, names.DLQ_PREFIX + "partition"),
        "offset": _first(headers, names.SOURCE_OFFSET, names.DLQ_PREFIX + "offset"),
    }


def _first(headers: Headers | None, *wanted: str) -> int | None:
    return next((number for name in wanted if (number := names.integer(headers, name)) is not None), None)


def _json(text: str | None) -> Any:
    try:
        return None if text is None else parse(text)
    except StrictJsonError:
        return None


def _object(text: str | None) -> Mapping[str, Any] | None:
    value = _json(text)
    return value if isinstance(value, dict) else None


def _violations(text: str | None) -> tuple[Violation, ...]:
    value = _json(text)
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    fields = ("path", "check", "value", "message")
    return tuple(Violation(*(str(row.get(name, "")) for name in fields)) for row in rows)


def _violation_json(violation: Violation) -> dict[str, str]:
    return {
        "path": violation.path,
        "check": violation.check,
        "value": violation.value,
        "message": violation.message,
    }
