"""From an outcome to the records that publish it. Pure: the same record, outcome and time give the same bytes.

A result too large for its topic becomes a dead letter `encode/too_large`; a dead letter too large for the DLQ loses,
in this order, its value (replaced by its SHA-256), its copy of the output, the request's own headers, and its key (by
its SHA-256); each loss is said in a header. What a provider or a reply puts into our own headers is bounded. So an
outcome can always be produced, whatever comes back, for a topic that takes 128 KiB.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from stream.core import headers as names
from stream.core.audit import AuditPolicy, audit_copy, reason_to_copy
from stream.core.errors import INTERNAL_ERROR
from stream.core.outcomes import Completed, DeadLettered, Failure, Outcome
from stream.core.records import Headers, Outgoing, Record, Usage

MAX_OUTPUT_BYTES = 64 * 1024
"""How much of a rejected reply a dead letter's `llm.output` header keeps."""

MAX_VIOLATIONS = 50
MAX_VIOLATIONS_BYTES = 32 * 1024
MAX_TEXT_CHARS = 2_000
"""How much of a text from outside one of our headers keeps."""

_NAMESPACE_URL = uuid.NAMESPACE_URL.bytes


@dataclass(frozen=True, slots=True)
class SettlePolicy:
    """Where outcomes go, and what fits there.

    topic_ids: by request topic, as Kafka's tools print them; absent where unknown. limits: `max.message.bytes` by
    topic; absent: no limit known. dlq_partitions: a dead letter goes to its source's partition number if the DLQ has
    it, else by key. encode: value to JSON bytes, raising ValueError.
    """

    group_id: str
    results: str
    dlq: str
    audit: str
    encode: Callable[[Any], bytes]
    audit_policy: AuditPolicy
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    dlq_partitions: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one attempt must publish for one record, all or nothing, and the offset that is finished with it.

    outcome: what was settled in the end (a result too large is a dead letter). audit_dropped: a copy was wanted, but
    could not be made.
    """

    offset_done: int
    outcome: Outcome
    outgoing: tuple[Outgoing, ...]
    audit_dropped: bool = False


def settle(record: Record, outcome: Outcome, policy: SettlePolicy, now_ms: int) -> Settlement:
    """The records for an outcome. now_ms: when it was finished, milliseconds since 1970."""
    if isinstance(outcome, Completed):
        published = _result_or_failure(record, outcome, policy, now_ms)
        if isinstance(published, Failure):
            outcome = DeadLettered(published, outcome.request, outcome.version, outcome.prompt, outcome.completion)
            published = _dead_letter(record, outcome, policy, now_ms)
    else:
        published = _dead_letter(record, outcome, policy, now_ms)
    copy, dropped = _audit(record, outcome, policy, now_ms)
    return Settlement(record.offset, outcome, (published, copy) if copy else (published,), dropped)


def result_id(record: Record, request_id: str) -> str:
    """The `ce_id` of a record's result: the same whatever made it, so that consumers can dedupe on it."""
    source = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp_ms}/{request_id}"
    # What `str(uuid.uuid5(NAMESPACE_URL, source))` gives (RFC 9562, section 5.5), in less than half of its time.
    digest = bytearray(hashlib.sha1(_NAMESPACE_URL + source.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _result_or_failure(record: Record, outcome: Completed, policy: SettlePolicy, now_ms: int) -> Outgoing | Failure:
    """The result's record, or why it can't be published."""
    try:
        result = _result(record, outcome, policy, now_ms)
    except ValueError as error:
        return Failure("encode", INTERNAL_ERROR, f"the output can't be written as JSON: {error}", (), outcome.cost)
    limit = policy.limits.get(result.topic)
    if limit is None or result.size_bytes <= limit:
        return result
    detail = f"the result has {result.size_bytes} bytes; topic {result.topic} takes {limit} (max.message.bytes)"
    return Failure("encode", "too_large", detail, (), outcome.cost)


def _result(record: Record, outcome: Completed, policy: SettlePolicy, now_ms: int) -> Outgoing:
    request, version, completion, cost = outcome.request, outcome.version, outcome.completion, outcome.cost
    value = {
        "request_id": request.id,
        "task": version.task,
        "prompt": version.label,
        "output": outcome.output,
        "provider": version.provider,
        "model_requested": version.model,
        "model_served": completion.model_served,
        "stop_reason": completion.stop_reason,
        "attempts": cost.attempts,
        "calls": cost.calls,
        "usage": None if completion.usage is None else _tokens(completion.usage),
        "usage_total": _tokens(cost.usage),
        "cost_micro_usd": cost.micro_usd,
        "unpriced_calls": cost.unpriced_calls,
        "latency_ms": completion.latency_ms,
        "source": record.source,
        "finished_at_ms": now_ms,
        "reviewed_by": None,
    }
    ours = {
        "ce_specversion": "1.0",
        "ce_id": result_id(record, request.id),
        "ce_source": f"/llm-stream/{policy.group_id}",
        "ce_type": f"llm.result.{version.task}",
        "ce_time": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "ce_causationid": request.id,
        names.CONTENT_TYPE: "application/json",
        names.TRACEPARENT: request.traceparent,
        **_source(record, policy),
    }
    topic = version.results_topic or policy.results
    return Outgoing(topic, record.key, policy.encode(value), _encoded(ours))


def _dead_letter(record: Record, outcome: DeadLettered, policy: SettlePolicy, now_ms: int) -> Outgoing:
    ours = _error_headers(record, outcome, policy, now_ms)
    kept = tuple((name, value) for name, value in record.headers or () if not _replaced(name, ours))
    letter = Outgoing(
        policy.dlq,
        record.key,
        record.value,
        kept + _encoded(ours),
        record.partition if record.partition < policy.dlq_partitions else None,
    )
    limit = policy.limits.get(policy.dlq)
    if limit is None or letter.size_bytes <= limit:
        return letter
    ours[names.VALUE_SHA256] = hashlib.sha256(record.value or b"").hexdigest()
    letter = replace(letter, value=None, headers=kept + _encoded(ours))
    if letter.size_bytes > limit and names.OUTPUT in ours:
        ours |= {names.OUTPUT: None, names.OUTPUT_TRUNCATED: "true"}
        letter = replace(letter, headers=kept + _encoded(ours))
    if letter.size_bytes > limit:
        ours[names.HEADERS_DROPPED] = str(len(kept))
        letter = replace(letter, headers=_encoded(ours))
    if letter.size_bytes > limit:
        ours[names.KEY_SHA256] = hashlib.sha256(record.key or b"").hexdigest()
        letter = replace(letter, key=None, headers=_encoded(ours))
    return letter


def _error_headers(
    record: Record, outcome: DeadLettered, policy: SettlePolicy, now_ms: int
) -> dict[str, str | bytes | None]:
    failure, request, version, completion = outcome.failure, outcome.request, outcome.version, outcome.completion
    replayed = request.replay if request else None
    output = completion.text.encode(errors="replace") if completion else None
    cost = failure.cost
    return {
        names.DLQ_PREFIX + "topic": record.topic,
        names.DLQ_PREFIX + "partition": str(record.partition),
        names.DLQ_PREFIX + "offset": str(record.offset),
        names.DLQ_PREFIX + "group": policy.group_id,
        names.DLQ_PREFIX + "delivery.count": str(1 + (replayed.count if replayed else 0)),
        names.DLQ_PREFIX + "message": failure.detail[:MAX_TEXT_CHARS],
        names.DLQ_PREFIX + "timestamp": str(now_ms),
        names.ERROR_STAGE: failure.stage,
        names.ERROR_CODE: failure.code,
        names.ERROR_DETAIL: failure.detail[:MAX_TEXT_CHARS],
        names.ERROR_VIOLATIONS: _violations(failure, policy),
        names.REQUEST_ID: request.id if request else None,
        names.TASK: version.task if version else (request.task if request else None),
        names.PROMPT: version.label if version else None,
        names.PROVIDER: version.provider if version else None,
        names.MODEL: version.model if version else None,
        names.MODEL_SERVED: (completion.model_served or "")[:MAX_TEXT_CHARS] or None if completion else None,
        names.STOP_REASON: (completion.stop_reason or "")[:MAX_TEXT_CHARS] or None if completion else None,
        names.ATTEMPTS: str(cost.attempts),
        names.CALLS: str(cost.calls),
        names.USAGE: policy.encode(_tokens(cost.usage)),
        names.COST: None if cost.micro_usd is None else str(cost.micro_usd),
        names.LATENCY: str(completion.latency_ms) if completion else None,
        names.OUTPUT: _cut(output) if output is not None else None,
        names.OUTPUT_TRUNCATED: "true" if output is not None and len(output) > MAX_OUTPUT_BYTES else None,
        names.REPLAY_COUNT: str(replayed.count) if replayed else None,
        names.REPLAY_ID: replayed.id if replayed else None,
        names.REPLAY_BY: replayed.by if replayed else None,
        **_source(record, policy),
    }


def _source(record: Record, policy: SettlePolicy) -> dict[str, str | None]:
    return {
        names.SOURCE_GROUP: policy.group_id,
        names.SOURCE_TOPIC: record.topic,
        names.SOURCE_TOPIC_ID: policy.topic_ids.get(record.topic),
        names.SOURCE_PARTITION: str(record.partition),
        names.SOURCE_OFFSET: str(record.offset),
    }


def _audit(record: Record, outcome: Outcome, policy: SettlePolicy, now_ms: int) -> tuple[Outgoing | None, bool]:
    """The audit copy, if one is wanted; and whether a wanted one had to be dropped."""
    reason = reason_to_copy(outcome, policy.audit_policy)
    if reason is None:
        return None, False
    try:
        value = policy.encode(audit_copy(record, outcome, policy.audit_policy, reason, now_ms))
    except ValueError:
        return None, True
    ours = {"content-type": "application/json"} | _source(record, policy)
    copy = Outgoing(policy.audit, record.key, value, _encoded(ours))
    limit = policy.limits.get(policy.audit)
    return (None, True) if limit is not None and copy.size_bytes > limit else (copy, False)


def _replaced(name: str, ours: Mapping[str, Any]) -> bool:
    """Whether a request's header must not be copied: it is ours by prefix, or we write it ourselves."""
    return name.startswith(names.RESERVED_PREFIX) or name in ours


def _violations(failure: Failure, policy: SettlePolicy) -> bytes | None:
    if not failure.violations:
        return None
    listed: list[dict[str, str]] = []
    left = MAX_VIOLATIONS_BYTES
    for violation in failure.violations[:MAX_VIOLATIONS]:
        said = {name: _plain(text) for name, text in asdict(violation).items()}
        left -= len(policy.encode(said))
        if left < 0 and listed:
            break
        listed.append(said)
    return policy.encode(listed)


def _plain(text: str) -> str:
    """The text, bounded, and without lone surrogates, which no JSON can carry."""
    return text[:MAX_TEXT_CHARS].encode(errors="replace").decode()


def _cut(output: bytes) -> bytes:
    """At most MAX_OUTPUT_BYTES, not ending inside a UTF-8 character."""
    return output[:MAX_OUTPUT_BYTES].decode(errors="ignore").encode() if len(output) > MAX_OUTPUT_BYTES else output


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _encoded(values: Mapping[str, str | bytes | None]) -> Headers:
    """Headers of what is known; text as UTF-8, unencodable characters (lone surrogates) replaced."""
    return tuple(
        (name, value if isinstance(value, bytes) else value.encode(errors="replace"))
        for name, value in values.items()
        if value is not None
    )
