"""The simulation's own judge goes red: a good run's logs, tampered with, are found out."""

from dataclasses import replace

import pytest

from stream.core.offsets import DoneMap, decode_map, encode_map
from stream.core.records import Outgoing
from stream.kafka.assignment import TopicPartition
from tests.support.model_broker import Published
from tests.support.simulated_checks import TOPIC_HASH, Excuse
from tests.support.simulated_fleet import Fleet
from tests.support.simulated_plan import Asked, Mishap, Plan
from tests.support.simulated_work import Call

HERE = TopicPartition("requests", 0)
QUIET = Plan(
    seed=1,
    partitions=1,
    longest_call_s=0.3,
    asked=tuple(Asked(f"r{number}", number * 0.1, 0, b"a" if number % 2 else None) for number in range(12)),
)


@pytest.fixture
def fleet() -> Fleet:
    lived = Fleet(QUIET)
    lived.live()
    assert not lived.findings()
    return lived


def results(fleet: Fleet) -> list[int]:
    """The places of the results among what became visible."""
    return [place for place, shown in enumerate(fleet.broker.shown) if shown.outgoing.topic == "results"]


def test_a_lost_outcome_is_found(fleet: Fleet) -> None:
    gone = fleet.broker.shown[results(fleet)[3]]
    gone.outgoing = replace(gone.outgoing, topic="nowhere")
    found = "\n".join(fleet.findings())
    assert "lost" in found
    assert "which have no outcome" in found


def test_a_doubled_outcome_is_found(fleet: Fleet) -> None:
    fleet.broker.shown.append(Published(fleet.broker.shown[results(fleet)[0]].outgoing, 9.0))
    assert "2 outcomes" in "\n".join(fleet.findings())


def test_two_outcomes_of_a_key_that_changed_places_are_found(fleet: Fleet) -> None:
    first, second = [place for place in results(fleet) if fleet.broker.shown[place].outgoing.key == b"a"][:2]
    shown = fleet.broker.shown
    shown[first], shown[second] = shown[second], shown[first]
    assert "visible after a later one of its key" in "\n".join(fleet.findings())


def test_an_outcome_of_a_request_that_never_was_is_found(fleet: Fleet) -> None:
    shown = fleet.broker.shown[results(fleet)[0]]
    headers = dict(shown.outgoing.headers) | {"llm.source.offset": b"999"}
    forged = Outgoing("results", None, b"", tuple(headers.items()))
    fleet.broker.shown.append(Published(forged, 9.0))
    assert "an outcome without a request" in "\n".join(fleet.findings())


def test_a_map_that_marks_one_too_many_is_found(fleet: Fleet) -> None:
    commit = fleet.broker.history[1]
    offset, metadata = commit.offsets[HERE]
    done = decode_map(metadata, offset, TOPIC_HASH)
    commit.offsets[HERE] = (offset, encode_map(DoneMap(done.base, done.bits | 1 << 6, done.epoch), TOPIC_HASH))
    assert "which have no outcome" in "\n".join(fleet.findings())


def test_a_map_that_forgets_what_is_done_is_found(fleet: Fleet) -> None:
    fleet.broker.history[-1].offsets[HERE] = (3, encode_map(DoneMap(3), TOPIC_HASH))
    assert "which have one" in "\n".join(fleet.findings())


def test_a_call_for_what_is_visible_already_is_found(fleet: Fleet) -> None:
    fleet.calls.append(Call("r0", "0.1", at_s=50.0))
    assert "visible since" in "\n".join(fleet.findings())


def test_a_second_call_without_a_reason_is_found(fleet: Fleet) -> None:
    first = fleet.calls[0]
    fleet.calls.insert(1, Call(first.request_id, "0.1", first.at_s))
    assert "for no reason" in "\n".join(fleet.findings())


def test_a_call_by_one_that_knew_better_is_found(fleet: Fleet) -> None:
    fleet.calls[0].owned = False
    assert "by one that knew requests:0 was lost" in "\n".join(fleet.findings())


def test_a_second_call_after_a_crash_is_no_fault(fleet: Fleet) -> None:
    first = fleet.calls[0]
    fleet.calls.insert(1, Call(first.request_id, "0.2", first.at_s))
    fleet.excuses.append(Excuse(first.at_s, "0.1", None))
    assert not fleet.findings()


def test_a_worker_that_ends_by_itself_is_found() -> None:
    broken = Fleet(QUIET)
    broken._parts = None  # type: ignore[assignment,method-assign]
    broken.live()
    assert any("ended by TypeError" in defect for defect in broken.findings())


def test_a_crash_at_a_failpoint_happens_where_the_plan_says() -> None:
    crashing = Fleet(QUIET.evolve(mishaps=(Mishap("produced", visit=2),)))
    crashing.live()
    assert not crashing.findings()
    assert [line.split(maxsplit=1)[1] for line in crashing.log if "starts" in line] == ["0.1 starts", "0.2 starts"]
