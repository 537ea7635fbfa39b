"""An outcome's records, field by field: what consumers of results and dead letters rely on."""

import hashlib
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.errors import CODES, Violation
from stream.core.outcomes import DeadLettered, Failure, Outcome
from stream.core.records import Cost, Outgoing, Record, Replay
from stream.core.settlement import MAX_OUTPUT_BYTES, MAX_VIOLATIONS, settle
from tests.support.outcome_builders import (
    COMPLETION,
    COST,
    NOW_MS,
    Version,
    completed,
    dead,
    headers_of,
    policy,
    record,
    request,
    value_of,
)

SOURCE_HEADERS = {
    "llm.source.group": "workers",
    "llm.source.topic": "requests",
    "llm.source.topic_id": "t-id",
    "llm.source.partition": "3",
    "llm.source.offset": "41",
}


def published(outcome: Outcome, **changes: Any) -> Outgoing:
    """The result or dead letter."""
    return settle(record(), outcome, policy(**changes), NOW_MS).outgoing[0]


def test_a_results_fields_are_the_contract() -> None:
    assert value_of(published(completed())) == {
        "request_id": "r1",
        "task": "answer",
        "prompt": "answer@v1#0123456789ab",
        "output": {"answer": "yes"},
        "provider": "main",
        "model_requested": "model-1",
        "model_served": "model-1-2026",
        "stop_reason": "end_turn",
        "attempts": 2,
        "calls": 3,
        "usage": {
            "input_tokens": 100,
            "output_tokens": 20,
            "cache_read_tokens": 30,
            "cache_write_tokens": 4,
            "reasoning_tokens": 5,
        },
        "usage_total": {
            "input_tokens": 200,
            "output_tokens": 40,
            "cache_read_tokens": 60,
            "cache_write_tokens": 8,
            "reasoning_tokens": 10,
        },
        "cost_micro_usd": 77,
        "unpriced_calls": 1,
        "latency_ms": 812,
        "source": {"topic": "requests", "partition": 3, "offset": 41, "timestamp_ms": 1_799_999_999_000},
        "finished_at_ms": NOW_MS,
        "reviewed_by": None,
    }


def test_a_results_headers_are_the_contract() -> None:
    traced = completed(request=request(traceparent="00-aa-bb-01"))
    assert headers_of(published(traced)) == SOURCE_HEADERS | {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid5(uuid.NAMESPACE_URL, "requests/3/41/1799999999000/r1")),
        "ce_source": "/llm-stream/workers",
        "ce_type": "llm.result.answer",
        "ce_time": "2027-01-15T08:00:00.123+00:00",
        "ce_causationid": "r1",
        "content-type": "application/json",
        "traceparent": "00-aa-bb-01",
    }


def test_a_result_keeps_the_requests_key_and_goes_where_its_task_says() -> None:
    assert (published(completed()).topic, published(completed()).key) == ("results", b"customer-1")
    assert published(completed(version=Version(results_topic="answers"))).topic == "answers"


def test_what_is_unknown_is_null_in_a_result_and_absent_from_headers() -> None:
    bare = replace(COMPLETION, usage=None, stop_reason=None)
    unpriced = published(completed(completion=bare, cost=replace(COST, micro_usd=None)), topic_ids={})
    assert [value_of(unpriced)[name] for name in ("usage", "stop_reason", "cost_micro_usd")] == [None, None, None]
    assert headers_of(unpriced).keys().isdisjoint({"traceparent", "llm.source.topic_id"})


def test_a_results_id_is_the_same_whatever_made_it() -> None:
    other = completed(version=Version(model="other", label="answer@v9#ffffffffffff"), output={"answer": "no"})
    assert headers_of(published(other))["ce_id"] == headers_of(published(completed()))["ce_id"]


def test_a_dead_letters_headers_are_the_contract() -> None:
    violation = Violation("$.answer", "placeholder", "N/A", "means nothing")
    failure = Failure("validate", "placeholder", "$.answer holds a placeholder", (violation,), COST)
    replayed = request(replay=Replay(2, "3:17", "ops@example.com"))
    letter = published(dead(failure, request=replayed))
    assert headers_of(letter) == SOURCE_HEADERS | {
        "__dlq.errors.topic": "requests",
        "__dlq.errors.partition": "3",
        "__dlq.errors.offset": "41",
        "__dlq.errors.group": "workers",
        "__dlq.errors.delivery.count": "3",
        "__dlq.errors.message": "$.answer holds a placeholder",
        "__dlq.errors.timestamp": str(NOW_MS),
        "llm.error.stage": "validate",
        "llm.error.code": "placeholder",
        "llm.error.detail": "$.answer holds a placeholder",
        "llm.error.violations": '[{"path":"$.answer","check":"placeholder","value":"N/A","message":"means nothing"}]',
        "llm.request_id": "r1",
        "llm.task": "answer",
        "llm.prompt": "answer@v1#0123456789ab",
        "llm.provider": "main",
        "llm.model": "model-1",
        "llm.model.served": "model-1-2026",
        "llm.stop_reason": "end_turn",
        "llm.attempts": "2",
        "llm.calls": "3",
        "llm.usage": '{"input_tokens":200,"output_tokens":40,"cache_read_tokens":60,'
        '"cache_write_tokens":8,"reasoning_tokens":10}',
        "llm.cost.micro_usd": "77",
        "llm.latency_ms": "812",
        "llm.output": '{"answer": "yes"}',
        "llm.replay.count": "2",
        "llm.replay.id": "3:17",
        "llm.replay.by": "ops@example.com",
    }


def test_a_dead_letter_of_bytes_nobody_understood_says_what_is_known_and_nothing_else() -> None:
    letter = published(DeadLettered(Failure("decode", "not_json", "that is no JSON")))
    unknown = {
        "llm.request_id",
        "llm.task",
        "llm.prompt",
        "llm.model",
        "llm.output",
        "llm.stop_reason",
        "llm.replay.id",
    }
    assert headers_of(letter).keys().isdisjoint(unknown)
    assert headers_of(letter)["llm.calls"] == "0"
    assert headers_of(letter)["llm.cost.micro_usd"] == "0"


def test_an_unknown_cost_is_an_absent_header_never_0() -> None:
    failure = Failure("call", "refused", "no", (), Cost(calls=1, micro_usd=None, unpriced_calls=1))
    assert "llm.cost.micro_usd" not in headers_of(published(dead(failure)))


def test_an_unrouted_request_still_names_the_task_it_asked_for() -> None:
    failure = Failure("route", "unknown_task", "no such task")
    letter = published(DeadLettered(failure, request(task="nobody")))
    assert headers_of(letter)["llm.task"] == "nobody"


def test_a_dead_letter_keeps_key_value_and_foreign_headers_as_they_came() -> None:
    foreign = (("trace", b"\xff\xfe"), ("empty", None), ("ce_id", b"r1"), ("trace", b"again"))
    came = record(key=b"\x00key", value=b"\xff not json", headers=foreign)
    (letter,) = settle(came, dead(), policy(), NOW_MS).outgoing
    assert (letter.key, letter.value) == (b"\x00key", b"\xff not json")
    assert letter.headers[: len(foreign)] == foreign


def test_forged_headers_of_ours_are_stripped() -> None:
    forged = (("llm.source.offset", b"999"), ("llm.anything", b"x"), ("__dlq.errors.topic", b"other"), ("mine", b"y"))
    (letter,) = settle(record(headers=forged), dead(), policy(), NOW_MS).outgoing
    assert headers_of(letter)["llm.source.offset"] == "41"
    assert headers_of(letter)["__dlq.errors.topic"] == "requests"
    assert headers_of(letter)["mine"] == "y"
    assert "llm.anything" not in headers_of(letter)


def test_headers_that_could_not_be_read_are_left_out() -> None:
    (letter,) = settle(record(headers=None), dead(), policy(), NOW_MS).outgoing
    assert headers_of(letter)["llm.error.code"] == "schema"


@pytest.mark.parametrize(("partitions", "wanted"), [(4, 3), (3, None), (0, None)])
def test_a_dead_letter_goes_to_its_sources_partition_number_where_there_is_one(
    partitions: int, wanted: int | None
) -> None:
    assert published(dead(), dlq_partitions=partitions).partition == wanted


def test_a_tombstone_stays_one_in_the_dlq() -> None:
    failure = Failure("decode", "null_value", "there is no value")
    (letter,) = settle(record(value=None), DeadLettered(failure), policy(), NOW_MS).outgoing
    assert letter.value is None


def test_a_long_reply_is_cut_at_a_character_and_says_so() -> None:
    wordy = replace(COMPLETION, text="é" * MAX_OUTPUT_BYTES)
    headers = headers_of(published(dead(completion=wordy)))
    assert headers["llm.output"] == "é" * (MAX_OUTPUT_BYTES // 2)
    assert headers["llm.output.truncated"] == "true"


def test_violations_are_bounded_in_number() -> None:
    violations = (Violation("$", "empty", "", "nothing"),) * (MAX_VIOLATIONS + 5)
    letter = published(dead(Failure("validate", "empty", "nothing", violations)))
    assert len(json.loads(headers_of(letter)["llm.error.violations"])) == MAX_VIOLATIONS


def test_text_that_utf8_cannot_carry_never_stops_a_dead_letter() -> None:
    violation = Violation("$.\ud800", "schema", "\udfff", "\ud800")
    failure = Failure("validate", "schema", "\ud800 is odd", (violation,))
    headers = headers_of(published(dead(failure, completion=replace(COMPLETION, text="\ud800"))))
    assert (headers["llm.error.detail"], headers["llm.output"]) == ("? is odd", "?")


def test_an_output_that_json_cannot_carry_is_a_dead_letter_that_keeps_what_was_paid_for() -> None:
    settlement = settle(record(), completed(output={"answer": float("nan")}), policy(), NOW_MS)
    headers = headers_of(settlement.outgoing[0])
    assert (headers["llm.error.stage"], headers["llm.error.code"]) == ("encode", "internal_error")
    assert (headers["llm.calls"], headers["llm.output"]) == ("3", COMPLETION.text)


def test_a_result_too_large_is_a_dead_letter_that_says_the_sizes() -> None:
    huge = completed(output={"answer": "x" * 5_000})
    settlement = settle(record(), huge, policy(limits={"results": 4_000}), NOW_MS)
    assert isinstance(settlement.outcome, DeadLettered)
    (letter,) = settlement.outgoing
    assert (letter.topic, headers_of(letter)["llm.error.code"]) == ("dlq", "too_large")
    assert "topic results takes 4000" in headers_of(letter)["llm.error.detail"]
    assert headers_of(letter)["llm.calls"] == "3"


def test_the_largest_result_that_fits_is_published() -> None:
    size = published(completed()).size_bytes
    assert published(completed(), limits={"results": size}).topic == "results"
    assert published(completed(), limits={"results": size - 1}).topic == "dlq"


def too_large(limit: int, *, value: int = 10_000, text: int = 10_000, header: int = 10_000) -> Outgoing:
    """A dead letter for a DLQ that takes so many bytes, with a value, an output and a header of so many."""
    came = record(value=b"v" * value, headers=(("mine", b"h" * header),))
    outcome = dead(completion=replace(COMPLETION, text="o" * text))
    (letter,) = settle(came, outcome, policy(limits={"dlq": limit}), NOW_MS).outgoing
    return letter


def test_a_dead_letter_too_large_first_loses_its_value_to_a_hash() -> None:
    letter = too_large(25_000)
    assert letter.value is None
    assert headers_of(letter)["llm.value.sha256"] == hashlib.sha256(b"v" * 10_000).hexdigest()
    assert headers_of(letter)["llm.output"] == "o" * 10_000
    assert headers_of(letter)["mine"] == "h" * 10_000


def test_then_it_loses_its_copy_of_the_output() -> None:
    letter = too_large(15_000)
    assert "llm.output" not in headers_of(letter)
    assert headers_of(letter)["llm.output.truncated"] == "true"
    assert headers_of(letter)["mine"] == "h" * 10_000


def test_and_at_last_the_requests_own_headers_and_counts_them() -> None:
    letter = too_large(5_000)
    assert "mine" not in headers_of(letter)
    assert headers_of(letter)["llm.headers.dropped"] == "1"
    assert headers_of(letter)["llm.error.code"] == "schema"


sizes = st.integers(0, 30_000)


@given(value=sizes, text=sizes, header=sizes, limit=st.integers(5_000, 60_000))
def test_a_dead_letter_always_fits(value: int, text: int, header: int, limit: int) -> None:
    letter = too_large(limit, value=value, text=text, header=header)
    assert letter.size_bytes <= limit
    assert letter.value is not None or "llm.value.sha256" in headers_of(letter)


@given(
    path=sizes.map(lambda size: 10 * size),
    count=st.integers(0, 200),
    model=sizes.map(lambda size: 50 * size),
    key=sizes.map(lambda size: 30 * size),
    character=st.sampled_from(["p", "\u00fc", "\U0001f600", "\ud800", "\x00"]),
)
def test_a_dead_letter_fits_whatever_a_provider_and_a_reply_put_into_it(
    path: int, count: int, model: int, key: int, character: str
) -> None:
    """A refused dead letter would never be published, and would stop its partition in the end."""
    violation = Violation(character * path, "schema", character * 200, character * path)
    served = replace(COMPLETION, model_served=character * model, stop_reason=character * model)
    outcome = dead(Failure("validate", "schema", character * path, (violation,) * count), completion=served)
    (letter,) = settle(record(key=b"k" * key), outcome, policy(limits={"dlq": 128 * 1024}), NOW_MS).outgoing
    assert letter.size_bytes <= 128 * 1024
    assert letter.key is not None or headers_of(letter)["llm.key.sha256"] == hashlib.sha256(b"k" * key).hexdigest()
    assert bool(count) == ("llm.error.violations" in headers_of(letter))


texts = st.text(max_size=30)
requests = st.builds(request, id=texts)
failures = st.sampled_from([(stage, code) for stage in CODES for code in (*CODES[stage], "internal_error")]).flatmap(
    lambda it: st.builds(Failure, st.just(it[0]), st.just(it[1]), texts)
)
headers = st.none() | st.lists(st.tuples(texts, st.none() | st.binary(max_size=8)), max_size=4).map(tuple)


@given(
    came=st.builds(
        record, key=st.none() | st.binary(max_size=8), value=st.none() | st.binary(max_size=30), headers=headers
    ),
    outcome=st.one_of(
        st.builds(completed, request=requests, output=st.dictionaries(texts, texts, max_size=3)),
        st.builds(dead, failures, request=requests),
        st.builds(DeadLettered, failures),
    ),
    audit_rate=st.sampled_from([0.0, 1.0]),
)
def test_every_outcome_gives_exactly_one_record_on_results_or_dlq(
    came: Record, outcome: Outcome, audit_rate: float
) -> None:
    settlement = settle(came, outcome, policy(audit_rate=audit_rate), NOW_MS)
    topics = [outgoing.topic for outgoing in settlement.outgoing]
    assert topics[0] in {"results", "dlq"}
    assert topics[1:] in ([], ["audit"])
    assert (topics[0] == "dlq") is isinstance(settlement.outcome, DeadLettered)
    assert settlement.offset_done == 41
    ours = {name: value for name, value in settlement.outgoing[0].headers if name.startswith("llm.source.")}
    assert ours == {name: value.encode() for name, value in SOURCE_HEADERS.items()}


def test_the_same_record_outcome_and_time_give_the_same_bytes() -> None:
    assert settle(record(), completed(), policy(), NOW_MS) == settle(record(), completed(), policy(), NOW_MS)
