"""What is sent when a dead letter is sent again, and when it is not."""

import pytest

from stream.codecs.requests import RequestDecoder
from stream.core.records import Record, Replay
from stream.dlq.envelope import HEADERS_DROPPED, DeadLetter, dead_letter_from
from stream.dlq.replay import Replays, decision_for, doubt, refusal, request_again
from stream.dlq.sequel import Sequel
from stream.kafka.decisions import Decision
from stream.settings import Settings
from tests.support.letters import dead_letter, request


def letter(*more: tuple[str, bytes], **fields: object) -> DeadLetter:
    return dead_letter_from(dead_letter(more=more, **fields))


def made(dead_letter_id: str, dlq: str = "llm.dlq") -> Decision:
    return Decision(1, "ops@host", "replay", {"dlq": dlq, "dead_letter": dead_letter_id})


def why_not(changed: DeadLetter, replays: int, after: Sequel = Sequel(), *, force: bool = False) -> str | None:  # noqa: B008
    return refusal(changed, Settings(), replays, after, force=force)


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
    assert why_not(letter(), 0) is None
    assert why_not(letter(), 1) is None
    assert "2 times already" in (why_not(letter(), 2) or "")


def test_a_third_replay_can_be_forced():
    assert why_not(letter(), 2, force=True) is None


def test_what_has_a_result_already_is_not_sent_again_unless_forced():
    done = Sequel(results=("llm.results:1:17",))
    said = why_not(letter(), 1, done) or ""
    assert "has a result (llm.results:1:17)" in said
    assert "would be paid for again and give r-1 another result" in said
    assert "llm-stream find r-1; to send it all the same: --force" in said
    assert why_not(letter(), 1, done, force=True) is None


def test_a_replay_that_waits_is_no_reason_to_refuse():
    assert why_not(letter(), 1, Sequel(waiting=("llm.requests:2:8",))) is None


def test_replays_on_the_way_here_and_from_here_are_counted():
    carried = letter(("llm.replay.count", b"1"), ("llm.replay.id", b"2:1"), ("llm.replay.by", b"ops@host"))
    decisions = [made("2:9"), made("2:1"), made("2:9", "other.dlq"), Decision(1, "x", "hold", {"dead_letter": "2:9"})]
    replays = Replays(decisions).of(carried)
    assert [(each.scope["dlq"], each.scope["dead_letter"]) for each in replays] == [("llm.dlq", "2:9")]
    assert why_not(carried, 0) is None
    assert "2 times already" in (why_not(carried, len(replays)) or "")


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
        assert said in (why_not(changed, 0, force=force) or "")


@pytest.mark.parametrize(("stage", "changed"), [(b"decode", "configuration"), (b"render", "its Input or its prompt")])
def test_what_failed_before_any_call_fails_again_unless_something_has_changed(stage: bytes, changed: str):
    said = doubt(letter(("llm.error.stage", stage))) or ""
    assert f"fails the same way ({stage.decode()}/placeholder) unless" in said
    assert changed in said


def test_what_a_model_had_its_say_in_may_end_otherwise():
    assert doubt(letter()) is None


def test_the_decision_names_the_dead_letter_the_request_who_and_why():
    decision = decision_for(letter(), "ops@host", "prompt fixed", 1, 9_000)
    assert (decision.kind, decision.by, decision.why, decision.at_ms) == ("replay", "ops@host", "prompt fixed", 9_000)
    assert decision.scope["dead_letter"] == "2:9"
    assert decision.scope["request_id"] == "r-1"
    assert Replays([decision]).of(letter()) == [decision]
