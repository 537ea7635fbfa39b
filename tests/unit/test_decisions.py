"""Decisions as records."""

import json

import pytest

from stream.kafka.decisions import Decision, OffsetRange, by_whom, decision_from, outgoing
from stream.settings import Settings
from tests.support.letters import record


def test_a_decision_is_read_back_as_it_was_written():
    decision = Decision(5, "ops@host", "hold", {"task": "greet"}, "wrong prompt", {"version": "v2"})
    written = outgoing(Settings(), decision)
    read = decision_from(record("llm.decisions", value=written.value, offset=3))
    assert read == Decision(5, "ops@host", "hold", {"task": "greet"}, "wrong prompt", {"version": "v2"}, 3)


def test_further_fields_cannot_overwrite_the_five_that_every_decision_has():
    value = json.loads(outgoing(Settings(), Decision(5, "a@b", "hold", {}, "", {"by": "forged"})).value or b"")
    assert value == {"at_ms": 5, "by": "a@b", "kind": "hold", "scope": {}, "why": ""}


@pytest.mark.parametrize(
    "value",
    [b"junk", [], {}, {"at_ms": True, "by": "a", "kind": "hold", "scope": {}}, {"at_ms": 1, "by": "a", "kind": "b"}],
)
def test_what_is_no_decision_is_refused(value: object):
    with pytest.raises(ValueError):
        decision_from(record("llm.decisions", value=value))


def test_an_offset_range_is_read_back_as_it_was_written():
    span = OffsetRange("llm.requests", None, 3, 10, 20)
    assert OffsetRange.from_json(span.as_json()) == span


@pytest.mark.parametrize("broken", [{"partition": "3"}, {"from_offset": -1}, {"to_offset": True}, {"topic": None}])
def test_a_malformed_offset_range_is_refused(broken: dict[str, object]):
    with pytest.raises(ValueError):
        OffsetRange.from_json({**OffsetRange("t", "id", 3, 10, 20).as_json(), **broken})


def test_who_decides_is_user_at_host():
    user, _, host = by_whom().partition("@")
    assert user
    assert host
