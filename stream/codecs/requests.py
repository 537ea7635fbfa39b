"""Records to request events and back: CloudEvents (binary and structured) and the plain `{"id", "task", "input"}`.

With a `ce_specversion` header the headers rule, else the body. Whatever the bytes are, decoding ends in a `Request` or
in a `DecodeError` whose detail a person understands; foreign headers, malformed trace contexts and forged `llm.*`
headers are no error.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from stream.codecs.cloudevents import (
    MAX_ID_CHARACTERS,
    REQUEST_TYPE_PREFIX,
    SPEC_VERSION,
    bad_event,
    brief,
    checked_event,
    is_traceparent,
    kind_of,
    media_type,
    shown,
    time_text,
    wrong_content_type,
)
from stream.codecs.strict_json import MAX_BYTES, StrictJsonError, dumps, parse
from stream.core import headers as names
from stream.core.errors import DecodeError
from stream.core.records import Headers, Record, Replay, Request

MAX_TASK_CHARACTERS = 249

_SCHEMA_ID_HEADER = "__value_schema_id"
_FRAME_BYTES = 5  # magic byte 0 and a four-byte schema id
_DEAD_LETTER_ID = re.compile(r"\d{1,10}:\d{1,19}", re.ASCII)
_MAX_REPLAYS = 1_000
_PLAIN_FORM = 'Send a JSON object {"id": ..., "task": ..., "input": ...} in UTF-8, or a CloudEvent.'

Attributes = Mapping[str, str]


class RequestDecoder:
    """A `core.ports.Decoder` for JSON values.

    max_value_bytes: larger values are refused unread (`decode/too_large`).
    """

    def __init__(self, max_value_bytes: int = MAX_BYTES) -> None:
        self._max_value_bytes = max_value_bytes

    def __call__(self, record: Record) -> Request:
        """The request the record carries. Raises DecodeError."""
        if record.headers is None:
            raise DecodeError(
                "bad_header",
                "A header's name is not UTF-8, so none of the record's headers can be read: they are not kept on this "
                "dead letter. Give headers UTF-8 names and send the request again.",
            )
        value = self._value(record)
        attributes = _attributes(record.headers)
        _refuse_registry_framing(value, record.headers)
        if "ce_specversion" in attributes or _is_envelope(attributes):
            return _event(value, attributes, record.headers)
        body = _json(value)
        if isinstance(body, dict) and "specversion" in body:
            return _structured(body, attributes, record.headers)
        try:
            return _plain(body, record.headers)
        except DecodeError as error:
            if almost := _almost_an_event(attributes, record.headers):
                raise bad_event(almost) from error
            raise

    def _value(self, record: Record) -> bytes:
        if record.value is None:
            raise DecodeError(
                "null_value", f"The record has no value (a tombstone), so it asks for nothing. {_PLAIN_FORM}"
            )
        if len(record.value) > self._max_value_bytes:
            raise DecodeError(
                "too_large",
                f"The value has {len(record.value):,} bytes; at most {self._max_value_bytes:,} are read. Send less, or "
                "send a reference to the data.",
            )
        return record.value


def encode_request(
    task: str, request_id: str, data: Any, *, source: str, at_ms: int, traceparent: str | None = None
) -> tuple[Headers, bytes]:
    """Headers and value of a request as a CloudEvent in binary mode.

    data: the task's input, any JSON value. source: a URI reference that says who asks. at_ms: milliseconds since 1970.
    Raises ValueError for data that JSON can't carry.
    """
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": request_id,
        "ce_source": source,
        "ce_type": REQUEST_TYPE_PREFIX + task,
        "ce_time": time_text(at_ms),
        names.CONTENT_TYPE: "application/json",
    }
    if traceparent is not None:
        headers[names.TRACEPARENT] = traceparent
    return tuple((name, value.encode()) for name, value in headers.items()), dumps(data)


def _attributes(headers: Headers) -> Attributes:
    """The `ce_*` headers and the content type, names in lower case; of several with one name the last counts."""
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if value is None or not (lower.startswith(names.CE_PREFIX) or lower == names.CONTENT_TYPE):
            continue
        try:
            found[lower] = value.decode()
        except UnicodeDecodeError as error:
            if lower == names.CONTENT_TYPE:
                continue
            raise DecodeError(
                "bad_header",
                f"The header {shown(name)} is not UTF-8 (byte {error.start + 1:,} is 0x{value[error.start]:02x}). "
                "CloudEvents attributes are UTF-8 text: correct the producer and send the request again.",
            ) from None
    return found


def _refuse_registry_framing(value: bytes, headers: Headers) -> None:
    if value[:1] == b"\0" and len(value) >= _FRAME_BYTES:
        what = f"The value is framed for a Schema Registry (schema id {int.from_bytes(value[1:_FRAME_BYTES], 'big')})"
    elif any(name == _SCHEMA_ID_HEADER for name, _ in headers):
        what = f"The header {_SCHEMA_ID_HEADER} says that the value needs a Schema Registry"
    else:
        return
    raise DecodeError(
        "avro_unconfigured",
        f"{what}, which this version can't read. Send JSON.",
    )


def _almost_an_event(attributes: Attributes, headers: Headers) -> str | None:
    """What the headers lack to be a CloudEvent's, where they seem to be meant for one; None where they don't."""
    if "ce_id" in attributes or "ce_type" in attributes:
        return f"it has ce_* headers, but not ce_specversion: {SPEC_VERSION}; add that one"
    if any(name.lower() in ("ce-id", "ce-type", "ce-specversion") for name, _ in headers):
        return "its headers are spelled ce-..., as in HTTP; in Kafka they are ce_specversion, ce_id, ce_source, ce_type"
    return None


def _is_envelope(attributes: Attributes) -> bool:
    return media_type(attributes.get(names.CONTENT_TYPE, "")).startswith("application/cloudevents")


def _event(value: bytes, attributes: Attributes, headers: Headers) -> Request:
    """A CloudEvent by its headers: the value is its data, or its envelope where the content type says so."""
    if _is_envelope(attributes):
        kind = media_type(attributes[names.CONTENT_TYPE])
        if kind != "application/cloudevents+json":
            raise bad_event(
                f"content-type is {shown(kind)}; of CloudEvents envelopes only application/cloudevents+json is read"
            )
        body = _json(value)
        if not isinstance(body, dict):
            raise bad_event("content-type says CloudEvents envelope, but the value is no JSON object")
        return _structured(body, attributes, headers)
    content_type = attributes.get(names.CONTENT_TYPE)
    wrong = wrong_content_type(content_type) if content_type is not None else None
    if wrong:
        raise bad_event(wrong)
    event = {name.removeprefix(names.CE_PREFIX): text for name, text in attributes.items()}
    task, expires_at_ms = checked_event(event, names.CE_PREFIX)
    return _request(event["id"], task, _json(value), headers, event.get("traceparent"), expires_at_ms)


def _structured(body: dict[str, Any], attributes: Attributes, headers: Headers) -> Request:
    """A CloudEvent in its envelope; attributes that stand in the headers too count from there."""
    content_type = body.get("datacontenttype")
    if isinstance(content_type, str):
        wrong = wrong_content_type(content_type, "datacontenttype")
        if wrong:
            raise bad_event(wrong)
    from_headers = {
        name.removeprefix(names.CE_PREFIX): text for name, text in attributes.items() if name != names.CONTENT_TYPE
    }
    event = {**body, **from_headers}
    task, expires_at_ms = checked_event(event, "")
    return _request(event["id"], task, _envelope_data(body), headers, event.get("traceparent"), expires_at_ms)


def _envelope_data(body: dict[str, Any]) -> Any:
    if "data_base64" not in body:
        return body.get("data")
    try:
        raw = base64.b64decode(body["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise bad_event("data_base64 is not base64 text") from None
    return _json(raw)


def _plain(body: Any, headers: Headers) -> Request:
    if not isinstance(body, dict):
        raise DecodeError("missing_id", f"The value is JSON, but {kind_of(body)}: there is no id in it. {_PLAIN_FORM}")
    request_id = body.get("id")
    if not isinstance(request_id, str) or not request_id.strip():
        raise DecodeError(
            "missing_id",
            f"The request's id is {brief(request_id)}; it must be text that isn't empty, else its result could not be "
            f"matched to it. {_PLAIN_FORM}",
        )
    if len(request_id) > MAX_ID_CHARACTERS:
        raise DecodeError(
            "missing_id",
            f"The request's id has {len(request_id):,} characters; at most {MAX_ID_CHARACTERS:,} are allowed.",
        )
    task = body.get("task", "")
    return _request(request_id, task if isinstance(task, str) else brief(task), body.get("input"), headers, None, None)


def _request(
    request_id: str, task: str, data: Any, headers: Headers, event_traceparent: Any, expires_at_ms: int | None
) -> Request:
    traceparent = names.text(headers, names.TRACEPARENT) or event_traceparent
    return Request(
        id=request_id,
        task=task if len(task) <= MAX_TASK_CHARACTERS else task[:MAX_TASK_CHARACTERS] + "…",
        input=data,
        traceparent=traceparent if isinstance(traceparent, str) and is_traceparent(traceparent) else None,
        expires_at_ms=expires_at_ms,
        replay=_replay(headers),
    )


def _replay(headers: Headers) -> Replay | None:
    """What the headers say about a replay; None unless all three are there and well-formed."""
    count = names.integer(headers, names.REPLAY_COUNT)
    if count is None or not 1 <= count <= _MAX_REPLAYS:
        return None
    dead_letter = names.text(headers, names.REPLAY_ID)
    by = names.text(headers, names.REPLAY_BY)
    if dead_letter is None or _DEAD_LETTER_ID.fullmatch(dead_letter) is None:
        return None
    if by is None or not by.strip() or len(by) > MAX_ID_CHARACTERS:
        return None
    return Replay(count, dead_letter, by)


def _json(value: bytes) -> Any:
    try:
        return parse(value, max_bytes=max(len(value), 1))
    except StrictJsonError as error:
        raise DecodeError("not_json", f"The value can't be read as JSON. {error} {_PLAIN_FORM}") from None
