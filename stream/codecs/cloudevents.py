"""CloudEvents 1.0 as Kafka carries them: attribute rules, RFC 3339 times, content types, W3C trace context.

Sources: CloudEvents 1.0.2, its Kafka protocol binding and JSON format; RFC 3339 section 5.6; W3C Trace Context section
3.2. What is wrong comes back as a sentence for a person, in which foreign text is bounded and escaped.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from stream.core import headers as names
from stream.core.errors import DecodeError

SPEC_VERSION = "1.0"
REQUEST_TYPE_PREFIX = "llm.request."
RESULT_TYPE_PREFIX = "llm.result."
MAX_ID_CHARACTERS = 1_024

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,12}))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?", re.ASCII
)
_JSON_MEDIA_TYPE = re.compile(r"(?:application|text)/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def shown(text: str) -> str:
    """Foreign text as it may stand in a message: quoted, at most 80 characters of it, control characters escaped."""
    return repr(text) if len(text) <= 80 else repr(text[:80]) + "…"


def time_ms(text: str) -> int | None:
    """An RFC 3339 time as milliseconds since 1970, finer digits cut; None if it isn't one.

    A leap second counts as the second before it.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, hour, minute, second, fraction, sign, off_hours, off_minutes = match.groups()
    try:
        days = date.fromisoformat(day).toordinal() - _EPOCH.toordinal()
    except ValueError:
        return None
    seconds = int(hour) * 3600 + int(minute) * 60 + min(int(second), 59)
    if sign:
        offset_s = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds += offset_s if sign == "-" else -offset_s
    return (days * 86_400 + seconds) * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def time_text(at_ms: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 time in UTC with three digits."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_traceparent(text: str) -> bool:
    """Whether it is a well-formed W3C `traceparent`: version 00 exactly, later versions with whatever they add."""
    match = _TRACEPARENT.fullmatch(text)
    return match is not None and (match[1] != "00" or match[2] is None)


def media_type(content_type: str) -> str:
    """`type/subtype` in lower case, parameters cut off."""
    return content_type.partition(";")[0].strip().lower()


def wrong_content_type(content_type: str, name: str = names.CONTENT_TYPE) -> str | None:
    """Why a value of this content type can't be read as JSON in UTF-8; None if it can. name: what to call it."""
    if _JSON_MEDIA_TYPE.fullmatch(media_type(content_type)) is None:
        return f"{name} is {shown(content_type)}, which isn't JSON; send application/json"
    charset = re.search(r";\s*charset\s*=\s*\"?([^\s\";]+)", content_type, re.IGNORECASE)
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        return f"{name} names the charset {shown(charset[1])}; JSON in Kafka is UTF-8"
    return None


def checked_event(event: Mapping[str, Any], prefix: str) -> tuple[str, int | None]:
    """The task and the expiry of an event whose attributes are as they must be.

    prefix: how attributes are spelled where the event has them, for messages.
    """
    version = event.get("specversion")
    if version != SPEC_VERSION:
        raise bad_event(f"{prefix}specversion is {brief(version)}; only {SPEC_VERSION} is known")
    kind = event.get("type")
    if kind in (REQUEST_TYPE_PREFIX, REQUEST_TYPE_PREFIX.rstrip(".")):
        raise bad_event(f"{prefix}type is {brief(kind)}, which names no task; it must be {REQUEST_TYPE_PREFIX}<task>")
    if not isinstance(kind, str) or not kind.startswith(REQUEST_TYPE_PREFIX):
        raise bad_event(f"{prefix}type is {brief(kind)}; it must be {REQUEST_TYPE_PREFIX}<task>")
    _check_id(event.get("id"), prefix)
    if event.get("time") is not None:
        _moment(event["time"], f"{prefix}time")
    expiry = event.get("expirytime")
    return kind.removeprefix(REQUEST_TYPE_PREFIX), None if expiry is None else _moment(expiry, f"{prefix}expirytime")


def _check_id(event_id: Any, prefix: str) -> None:
    if event_id is None:
        raise DecodeError(
            "missing_id", f"The CloudEvent has no {prefix}id: its result could not be matched to it. Add one."
        )
    if not isinstance(event_id, str) or not event_id.strip():
        raise bad_event(f"{prefix}id is {brief(event_id)}; it must be text that isn't empty")
    if len(event_id) > MAX_ID_CHARACTERS:
        raise bad_event(f"{prefix}id has {len(event_id):,} characters; at most {MAX_ID_CHARACTERS:,} are allowed")


def _moment(value: Any, name: str) -> int:
    moment_ms = time_ms(value) if isinstance(value, str) else None
    if moment_ms is None:
        raise bad_event(f"{name} is {brief(value)}, which is no RFC 3339 time such as 2031-05-06T07:08:09Z")
    return moment_ms


def bad_event(what: str) -> DecodeError:
    """The error that says what is wrong with an event; `what` is the sentence's end, without its full stop."""
    return DecodeError("bad_cloudevent", f"Not a CloudEvent that can be taken: {what}.")


def brief(value: Any) -> str:
    """A foreign value as it may stand in a message."""
    return "missing" if value is None else shown(value) if isinstance(value, str) else kind_of(value)


def kind_of(value: Any) -> str:
    """What kind of JSON value it is, in words."""
    kinds = {dict: "an object", list: "an array", bool: "true or false", str: "a string", type(None): "null"}
    return kinds.get(type(value), "a number")
