"""Which outcomes are copied for audit, and what a copy holds."""

from dataclasses import replace

from stream.core.audit import AuditPolicy, reason_to_copy
from stream.core.outcomes import DeadLettered, Failure
from stream.core.sampling import sampled
from stream.core.settlement import settle
from tests.support.outcome_builders import (
    COMPLETION,
    NOW_MS,
    completed,
    dead,
    headers_of,
    policy,
    record,
    request,
    value_of,
)

REFUSED = Failure("call", "refused", "the model refused")


def test_a_copys_fields_are_the_contract() -> None:
    _, copy = settle(record(), completed(), policy(audit_rate=1.0), NOW_MS).outgoing
    assert (copy.topic, copy.key) == ("audit", b"customer-1")
    assert value_of(copy) == {
        "request_id": "r1",
        "task": "answer",
        "prompt": "answer@v1#0123456789ab",
        "provider": "main",
        "model": "model-1",
        "prompt_text": "# system\nAnswer.\n\n# user\n<text>is it?</text>",
        "reply_text": '{"answer": "yes"}',
        "outcome": "completed",
        "sample_rate": 1.0,
        "reason": "sampled",
        "source": {"topic": "requests", "partition": 3, "offset": 41, "timestamp_ms": 1_799_999_999_000},
        "finished_at_ms": NOW_MS,
    }
    assert headers_of(copy)["llm.source.offset"] == "41"


def test_a_refusal_is_always_copied_and_stands_for_itself_alone() -> None:
    _, copy = settle(record(), dead(REFUSED), policy(audit_rate=0.0), NOW_MS).outgoing
    found = value_of(copy)
    assert (found["outcome"], found["reason"], found["sample_rate"]) == ("call/refused", "refused", 1.0)


def test_the_sample_follows_the_salted_hash_of_the_id() -> None:
    rule = policy(audit_rate=0.3).audit_policy
    for number in range(200):
        outcome = completed(request=request(id=f"r{number}"))
        assert (reason_to_copy(outcome, rule) == "sampled") is sampled("audit", f"r{number}", 0.3)


def test_what_never_reached_a_prompt_is_not_copied() -> None:
    undecoded = DeadLettered(Failure("decode", "not_json", "?"))
    unrendered = dead(Failure("render", "invalid_input", "?"), prompt=None)
    rule = policy(audit_rate=1.0).audit_policy
    assert [reason_to_copy(each, rule) for each in (undecoded, unrendered)] == [None, None]


def test_a_failure_without_a_reply_is_copied_without_one() -> None:
    exhausted = dead(Failure("call", "attempts_exhausted", "?"), completion=None)
    _, copy = settle(record(), exhausted, policy(audit_rate=1.0), NOW_MS).outgoing
    assert value_of(copy)["reply_text"] is None


def test_prompt_and_reply_are_redacted() -> None:
    told = completed(completion=replace(COMPLETION, text="a secret"))
    _, copy = settle(record(), told, policy(audit_rate=1.0), NOW_MS).outgoing
    assert value_of(copy)["reply_text"] == "a [redacted]"


def test_a_copy_that_cannot_be_redacted_is_dropped_and_said_and_the_outcome_goes_out() -> None:
    def fails(text: str) -> str:
        raise ValueError("no")

    settlement = settle(record(), completed(), policy(audit_policy=AuditPolicy(1.0, fails)), NOW_MS)
    assert settlement.audit_dropped
    assert [outgoing.topic for outgoing in settlement.outgoing] == ["results"]


def test_a_copy_too_large_for_its_topic_is_dropped_and_said() -> None:
    settlement = settle(record(), completed(), policy(audit_rate=1.0, limits={"audit": 200}), NOW_MS)
    assert settlement.audit_dropped
    assert len(settlement.outgoing) == 1
