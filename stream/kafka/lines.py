"""A record as people and scripts see it: one JSON line; and which request and task it is about. No I/O."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Literal

from stream.codecs.cloudevents import REQUEST_TYPE_PREFIX, RESULT_TYPE_PREFIX
from stream.codecs.requests import RequestDecoder
from stream.codecs.strict_json import StrictJsonError, parse
from stream.core import headers as names
from stream.core.errors import DecodeError
from stream.core.records import Headers, Record
from stream.settings import Settings

Kind = Literal["requests", "results", "dlq", "audit", "decisions"]
About = tuple[str | None, str | None]
"""A request id and a task; None where the record doesn't say."""

_MAX_BYTES = 64 * 1024 * 1024
_decode = RequestDecoder(_MAX_BYTES)


def topics_of(kind: Kind, settings: Settings) -> tuple[str, ...]:
    """The topics that hold records of this kind, those of single tasks aside."""
    if kind == "requests":
        return tuple(dict.fromkeys(settings.topics.requests))
    return (str(getattr(settings.topics, kind)),)


def as_line(record: Record) -> dict[str, Any]:
    """`{topic, partition, offset, timestamp_ms, key, headers, value}`, ready for JSON.

    Bytes are text where they are UTF-8, else `{"base64": ...}`; a value that is JSON is given as the value it spells. A
    header name that stands several times has a list. Headers that can't be read at all are null.
    """
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": shown_bytes(record.key),
        "headers": None if record.headers is None else _headers(record.headers),
        "value": shown_value(record.value),
    }


def shown_bytes(data: bytes | None) -> Any:
    """Text where the bytes are UTF-8, else `{"base64": ...}`; None stays None."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def shown_value(data: bytes | None) -> Any:
    """The JSON value the bytes spell, where they do; else as `shown_bytes`."""
    if data is None:
        return None
    try:
        return parse(data, max_bytes=_MAX_BYTES)
    except StrictJsonError:
        return shown_bytes(data)


def about(kind: Kind, record: Record) -> About:
    """Which request and which task a record of this kind is about."""
    return _ABOUT[kind](record)


def _headers(headers: Headers) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(shown_bytes(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _of_request(record: Record) -> About:
    """As a worker would understand it; of one that can't be understood, what its headers say."""
    try:
        request = _decode(record)
    except DecodeError:
        kind = names.text(record.headers, "ce_type") or ""
        return names.text(record.headers, "ce_id"), kind.removeprefix(REQUEST_TYPE_PREFIX) or None
    return request.id, request.task or None


def _of_result(record: Record) -> About:
    """By the headers alone where they are there: a result's value may be large."""
    request_id, kind = names.text(record.headers, "ce_causationid"), names.text(record.headers, "ce_type") or ""
    if request_id is not None and kind.startswith(RESULT_TYPE_PREFIX):
        return request_id, kind.removeprefix(RESULT_TYPE_PREFIX)
    return _of_fields(record)


def _of_dead_letter(record: Record) -> About:
    request_id, task = names.text(record.headers, names.REQUEST_ID), names.text(record.headers, names.TASK)
    if request_id is not None and task is not None:
        return request_id, task
    by_itself = _of_request(record)
    return request_id or by_itself[0], task or by_itself[1]


def _of_fields(record: Record) -> About:
    value = shown_value(record.value)
    return _fields(value) if isinstance(value, dict) else (None, None)


def _of_decision(record: Record) -> About:
    value = shown_value(record.value)
    scope = value.get("scope") if isinstance(value, dict) else None
    return _fields(scope) if isinstance(scope, dict) else (None, None)


def _fields(value: Mapping[str, Any]) -> About:
    request_id, task = value.get("request_id"), value.get("task")
    return (request_id if isinstance(request_id, str) else None), (task if isinstance(task, str) else None)


_ABOUT: Mapping[Kind, Callable[[Record], About]] = {
    "requests": _of_request,
    "results": _of_result,
    "dlq": _of_dead_letter,
    "audit": _of_fields,
    "decisions": _of_decision,
}
