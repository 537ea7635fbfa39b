"""What is sent when a dead letter is sent again, and when it is not."""

import pytest

from stream.codecs.requests import RequestDecoder
from stream.core.records import Record, Replay
from stream.dlq.envelope import HEADERS_DROPPED, DeadLetter, dead_letter_from
from stream.dlq.replay import decision_for, refusal, request_again, times_replayed
from stream.kafka.decisions import Decision
from stream.settings import Settings
from tests.support.letters import dead_letter, request


def letter(*more: tuple[str, bytes], **fields: object) -> DeadLetter:
    return dead_letter_from(dead_letter(more=more, **fields))


def made(dead_letter_id: str, dlq: str = "llm.dlq") -> Decision:
    return Decision(1, "ops@host", "replay", {"dlq": dlq, "dead_letter": dead_letter_id})


def test_the_new_request_has_the_key_the_value_and_the_headers_of_the_old_one():
    again = request_again(letter(), "ops@host", 1, {"llm.requests": 4})
    assert (again.topic, again.partition, again.key, again.value) == ("llm.requests", 2, b"k", b'{"name": "Ann"}')
    assert dict(again.headers)["ce_id"] == b"r-1"
    assert dict(again.headers)["tenant"] == b"a"


def test_no_header_of_the_error_goes_with_it():
    again = request_again(letter(), "ops@host", 1, {"llm.requests": 4})
    ours = {name for name, _ in again.headers if name.startswith(("llm.", "__dlq."))}
    assert ours == {"llm.replay.count", "llm.replay.id", "llm.replay.by"}


def test_a_worker_understands_the_new_request_as_a_replay():
    whole = request("r-1", "greet", topic="llm.dlq", headers=dead_letter().headers, partition=2, offset=9)
    again = request_again(dead_letter_from(whole), "ops@host", 2, {})
    read = Record("llm.requests", 2, 8, again.key, again.value, again.headers, 1_000)
    understood = RequestDecoder()(read)
    assert (understood.id, understood.replay) == ("r-1", Replay(2, "2:9", "ops@host"))


def test_it_goes_by_key_where_the_old_partition_is_not_there():
    assert request_again(letter(), "ops@host", 1, {"llm.requests": 2}).partition is None


def test_a_first_and_a_second_replay_are_fine_and_a_third_is_refused():
    settings = Settings()
    assert refusal(letter(), settings, 0, force=False) is None
    assert refusal(letter(), settings, 1, force=False) is None
    assert "2 times already" in (refusal(letter(), settings, 2, force=False) or "")


def test_a_third_replay_can_be_forced():
    assert refusal(letter(), Settings(), 2, force=True) is None


def test_replays_on_the_way_here_and_from_here_are_counted():
    carried = letter(("llm.replay.count", b"1"), ("llm.replay.id", b"2:1"), ("llm.replay.by", b"ops@host"))
    decisions = [made("2:9"), made("2:1"), made("2:9", "other.dlq"), Decision(1, "x", "hold", {"dead_letter": "2:9"})]
    assert times_replayed(carried, decisions) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (letter(("llm.value.sha256", b"abc"), value=None), "too large to be kept"),
        (letter((HEADERS_DROPPED, b"3")), "headers could not be kept"),
        (letter(headers=None), "headers could not be kept"),
        (letter(headers=(("ce_id", b"r"),)), "doesn't say which topic"),
        (letter(("llm.source.topic", b"llm.decisions")), "none of [topics] requests"),
    ],
)
def test_what_cannot_be_sent_again_is_refused_with_the_reason_force_or_not(changed: DeadLetter, said: str):
    for force in (False, True):
        assert said in (refusal(changed, Settings(), 0, force=force) or "")


def test_the_decision_names_the_dead_letter_the_request_who_and_why():
    decision = decision_for(letter(), "ops@host", "prompt fixed", 1, 9_000)
    assert (decision.kind, decision.by, decision.why, decision.at_ms) == ("replay", "ops@host", "prompt fixed", 9_000)
    assert decision.scope["dead_letter"] == "2:9"
    assert decision.scope["request_id"] == "r-1"
    assert times_replayed(letter(), [decision]) == 1
