"""The names of the headers we write and read: a contract with other services (design, sections 9 and 12).

Values are UTF-8 text: integers decimal, times in milliseconds since 1970, objects compact JSON, booleans true/false;
an unknown value means an absent header.
"""

from stream.core.records import Headers

RESERVED_PREFIX = "llm."
"""Headers of requests that start so are stripped before copying: nobody can forge a source."""

SOURCE_GROUP = "llm.source.group"
SOURCE_TOPIC = "llm.source.topic"
SOURCE_TOPIC_ID = "llm.source.topic_id"
SOURCE_PARTITION = "llm.source.partition"
SOURCE_OFFSET = "llm.source.offset"

ERROR_STAGE = "llm.error.stage"
ERROR_CODE = "llm.error.code"
ERROR_DETAIL = "llm.error.detail"
ERROR_VIOLATIONS = "llm.error.violations"

REQUEST_ID = "llm.request_id"
TASK = "llm.task"
PROMPT = "llm.prompt"
PROVIDER = "llm.provider"
MODEL = "llm.model"
MODEL_SERVED = "llm.model.served"
STOP_REASON = "llm.stop_reason"
ATTEMPTS = "llm.attempts"
CALLS = "llm.calls"
USAGE = "llm.usage"
COST = "llm.cost.micro_usd"
LATENCY = "llm.latency_ms"
OUTPUT = "llm.output"
OUTPUT_TRUNCATED = "llm.output.truncated"
VALUE_SHA256 = "llm.value.sha256"
KEY_SHA256 = "llm.key.sha256"
HEADERS_DROPPED = "llm.headers.dropped"

REPLAY_COUNT = "llm.replay.count"
REPLAY_ID = "llm.replay.id"
REPLAY_BY = "llm.replay.by"

CORRECTS = "llm.corrects"

DLQ_PREFIX = "__dlq.errors."
CONNECT_PREFIX = "__connect.errors."

CE_PREFIX = "ce_"
CONTENT_TYPE = "content-type"
TRACEPARENT = "traceparent"


def text(headers: Headers | None, name: str) -> str | None:
    """The last value of a header as text; None if it is absent, null or not UTF-8 (then read tolerantly as absent)."""
    for key, value in reversed(headers or ()):
        if key == name:
            if value is None:
                return None
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None


def integer(headers: Headers | None, name: str) -> int | None:
    """The last value of a header as a decimal integer of at most 19 digits; None if it isn't one."""
    value = text(headers, name) or ""
    digits = value.removeprefix("-")
    return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 19 else None
