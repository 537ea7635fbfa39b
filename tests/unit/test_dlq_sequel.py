"""What became of a dead letter's replays, from a trace of its request id."""

from stream.dlq.envelope import dead_letter_from
from stream.dlq.sequel import Sequel, sequel_in
from stream.kafka.finding import Found, trace
from tests.support.letters import dead_letter, headers, record, request

LETTER = dead_letter_from(dead_letter(partition=2, offset=9))


def replayed(offset: int, of: str = "2:9") -> Found:
    ours = headers(llm__replay__count="1", llm__replay__id=of, llm__replay__by="ops@host")
    return Found(
        "requests", request("r-1", headers=ours, partition=2, offset=offset, timestamp_ms=10_000 + offset * 1_000)
    )


def result(source: int, offset: int = 3) -> Found:
    ours = headers(
        ce_causationid="r-1",
        ce_type="llm.result.greet",
        llm__source__group="llm-stream",
        llm__source__topic="llm.requests",
        llm__source__partition="2",
        llm__source__offset=str(source),
    )
    return Found("results", record("llm.results", headers=ours, offset=offset, value={}, timestamp_ms=90_000))


def letter_of(source: int, offset: int) -> Found:
    more = headers(llm__source__topic="llm.requests", llm__source__partition="2", llm__source__offset=str(source))
    return Found("dlq", dead_letter(more=more, partition=2, offset=offset))


def after(*found: Found) -> Sequel:
    return sequel_in(trace("r-1", "llm-stream", [], found), LETTER)


def test_a_replay_without_an_outcome_waits():
    assert after(replayed(8)) == Sequel((), ("llm.requests:2:8",))


def test_a_replay_with_a_result_names_it():
    assert after(replayed(8), result(8)) == Sequel(("llm.results:0:3",))


def test_a_replay_that_became_a_dead_letter_is_followed():
    assert after(replayed(8), letter_of(8, 30)) == Sequel()
    assert after(replayed(8), letter_of(8, 30), replayed(11, "2:30"), result(11)) == Sequel(("llm.results:0:3",))


def test_another_request_with_the_same_id_is_another_request():
    other = Found("requests", request("r-1", partition=2, offset=8))
    assert after(other, result(8)) == Sequel()
    assert after(replayed(8, of="0:1"), result(8)) == Sequel()
