"""The order in which waiting outcomes go, how many at a time, and what they count."""

import pytest

from stream.core.records import Outgoing
from stream.kafka import backlog as backlog_module
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Parcel, Settled
from stream.kafka.backlog import Backlog
from stream.kafka.partition import Partition
from tests.support.outcome_builders import record

MINE = Partition(TopicPartition("requests", 0), 1, keyed=True)
LOST = Partition(TopicPartition("requests", 1), 1, keyed=True)


def outcome(offset: int, *, key: bytes | None = None, partition: Partition = MINE, size: int = 10) -> Settled:
    parcel = Parcel((Outgoing("results", None, b"", ()),))
    return Settled(partition, record(offset=offset, key=key), parcel, size)


def backlog_of(*outcomes: Settled) -> Backlog:
    backlog = Backlog()
    for settled in outcomes:
        backlog.add(settled)
    return backlog


def offsets(outcomes: list[Settled]) -> list[int]:
    return [settled.record.offset for settled in outcomes]


def test_the_oldest_go_first_as_many_as_an_attempt_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "MAX_OUTCOMES", 3)
    backlog = backlog_of(*(outcome(offset) for offset in (4, 0, 2, 9, 1)))
    assert backlog.fills_an_attempt
    assert offsets(backlog.take({})) == [4, 0, 2]
    assert not backlog.fills_an_attempt
    assert offsets(backlog.take({})) == [9, 1]
    assert backlog.take({}) == []


def test_an_attempt_takes_no_more_bytes_than_it_may_but_one_outcome_always_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog_module, "MAX_BYTES", 100)
    backlog = backlog_of(outcome(0, size=500), outcome(1, size=60), outcome(2, size=60), outcome(3, size=60))
    assert [offsets(backlog.take({})) for _ in range(3)] == [[0], [1, 2], [3]]


def test_what_comes_after_a_suspect_of_its_key_stays() -> None:
    backlog = backlog_of(outcome(1, key=b"a"), outcome(3, key=b"a"), outcome(4, key=b"b"), outcome(5))
    suspected = {(MINE, b"a"): 2, (LOST, b"b"): 0}
    assert offsets(backlog.take(suspected)) == [1, 4, 5]
    assert offsets(list(backlog)) == [3]
    assert backlog.size_bytes == 10


def test_what_did_not_go_through_has_its_old_place_again() -> None:
    backlog = backlog_of(outcome(0), outcome(1))
    tried = backlog.take({})
    backlog.add(outcome(2))
    backlog.put_back(tried)
    assert offsets(backlog.take({})) == [0, 1, 2]


def test_those_refused_for_others_sake_go_without_newcomers_once() -> None:
    backlog = backlog_of(outcome(0), outcome(1))
    backlog.put_back(backlog.take({}))
    backlog.spare(2)
    backlog.add(outcome(2))
    backlog.add(outcome(3))
    assert offsets(backlog.take({})) == [0, 1]
    assert offsets(backlog.take({})) == [2, 3]


def test_what_was_set_aside_comes_before_what_is_later_in_its_key() -> None:
    backlog = backlog_of(outcome(5, key=b"a"), outcome(7, key=b"a"))
    backlog.put_in([outcome(6, key=b"a"), outcome(2, key=b"a")])
    assert offsets(backlog.take({})) == [2, 5, 6, 7]


def test_its_size_is_that_of_what_waits() -> None:
    backlog = backlog_of(outcome(0, size=7), outcome(1, size=5))
    tried = backlog.take({})
    assert backlog.size_bytes == 0
    backlog.put_back(tried)
    backlog.put_in([outcome(2, partition=LOST, size=3)])
    assert backlog.size_bytes == 15
    backlog.drop_dead(lambda partition: partition is MINE)
    assert offsets(list(backlog)) == [0, 1]
    assert backlog.size_bytes == 12
