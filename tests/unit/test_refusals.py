"""Outcomes that the broker refuses: tried one by one, set aside, tried again, in the order of their key."""

import asyncio
from unittest.mock import patch

import pytest

from stream.core.offsets import DoneMap
from stream.kafka import commits as commits_module
from stream.kafka.attempts import Ending, Result
from stream.kafka.copies import COPIES_AGAIN_S, SLOW_S
from stream.kafka.refusals import REFUSED_AGAIN_S
from tests.support.commit_bench import ABORTED, COMMITTED, Bench
from tests.support.virtual_time import run_virtual, simulated


@simulated
async def test_what_the_broker_refuses_is_set_aside_and_the_rest_goes_out() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({1}))]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, 1, 2)
        await asyncio.sleep(1)
        assert bench.told.refusals == [1]
        assert bench.published() == [0, 2]
        assert bench.maps() == {0: DoneMap(1, 0b10, 1)}
        await asyncio.sleep(REFUSED_AGAIN_S)
    assert bench.published() == [1]
    assert bench.moved[-1] == (0, DoneMap(3, 0, 1))


@simulated
async def test_a_batch_refused_as_a_whole_is_tried_one_by_one() -> None:
    bench = Bench()
    whole = Ending(Result.REFUSED, "too large", frozenset({0, 1, 2}))
    bench.committer.endings = [whole, COMMITTED, Ending(Result.REFUSED, "too large", frozenset({0})), COMMITTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, 1, 2)
        await asyncio.sleep(1)
    assert [bench.published(number) for number in range(4)] == [[0, 1, 2], [0], [1], [2]]
    assert bench.told.refusals == [1]


@simulated
async def test_a_suspect_whose_attempt_fails_keeps_its_place_before_the_others_of_its_key() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({0, 1})), ABORTED, COMMITTED, ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, 1)
        await asyncio.sleep(2)
    assert [bench.published(number) for number in range(5)] == [[0, 1], [0], [0], [1], [1]]


@pytest.mark.parametrize("key", [b"k", b""])
def test_a_suspect_waits_for_what_came_before_it_in_its_key_and_holds_back_what_comes_after(key: bytes) -> None:
    """A broker may take a batch to one topic and refuse that to another."""
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({1, 2}))]

    async def main() -> None:
        partition = bench.partition()
        async with bench.running():
            bench.add(partition, 0, 1, key=key)
            bench.add(partition, 2, key=b"z")
            bench.add(partition, 3, key=key)
            await asyncio.sleep(3)

    run_virtual(main())
    first, *later = (bench.published(number) for number in range(len(bench.committer.attempts)))
    assert first == [0, 1, 2, 3]
    assert [offset for attempt in later for offset in attempt if offset != 2] == [0, 1, 3]


@simulated
async def test_a_drain_does_not_wait_for_what_the_broker_refuses() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({0}))]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0)
        await asyncio.wait_for(bench.commits.drained([partition]), 5)


@simulated
@patch.object(commits_module, "MAX_WAITING_OUTCOMES", 3)
async def test_a_released_partitions_refused_outcomes_leave_room_at_once() -> None:
    """They were counted until the next probe, a minute later, and then nobody was told: the worker stood still."""
    bench = Bench()
    refused = Ending(Result.REFUSED, "too large", frozenset({0}))
    bench.committer.endings = [refused] * 3
    lost = bench.partition()
    async with bench.running():
        for offset in range(3):
            bench.add(lost, offset)
            await asyncio.sleep(1)
        assert bench.commits.full
        told = bench.room_told
        bench.assignment.end(lost.id)
        await bench.commits.released([lost], 1)
        assert bench.room_told == told + 1


@simulated
async def test_set_aside_outcomes_take_room_by_their_bytes() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({0}))]
    partition = bench.partition()
    async with bench.running():
        with patch.object(commits_module, "MAX_WAITING_BYTES", 300):
            bench.add(partition, 0, size=300)
            await asyncio.sleep(1)
            assert bench.told.refusals == [0]
            assert bench.commits.full


@simulated
async def test_room_is_told_when_a_probe_finds_a_topic_changed() -> None:
    """Its partitions' epochs ended, and nobody waited for their release."""
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "too large", frozenset({0}))]
    partition = bench.partition()
    async with bench.running():
        with patch.object(commits_module, "MAX_WAITING_OUTCOMES", 1):
            bench.add(partition, 0)
            await asyncio.sleep(1)
            assert bench.commits.full
            told = bench.room_told
            bench.assignment.end(partition.id)
            await asyncio.sleep(REFUSED_AGAIN_S + 1)
            assert bench.room_told == told + 1


@simulated
async def test_a_refused_audit_copy_is_left_out_and_its_outcome_goes_out_in_its_place() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "audit: too large", copies_refused=frozenset({0, 2}))]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, 1, 2, audited=True)
        await asyncio.sleep(1)
        assert (bench.published(), bench.told.copies_dropped, bench.told.refusals) == ([0, 1, 2], 3, [])
        bench.add(partition, 3, audited=True)
        await asyncio.sleep(1)
        assert [len(parcel.records) for parcel in bench.committer.attempts[-1].parcels] == [1]
        await asyncio.sleep(COPIES_AGAIN_S)
        bench.add(partition, 4, audited=True)
        await asyncio.sleep(1)
    assert [len(parcel.records) for parcel in bench.committer.attempts[-1].parcels] == [2]
    assert bench.commits.unpublished == 0


@simulated
async def test_an_outcome_never_waits_twice_for_its_copy() -> None:
    """An audit partition without a leader holds up the transaction and its abort: that looks like any trouble."""
    bench = Bench()
    bench.thread.takes_s = SLOW_S
    bench.committer.endings = [ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, audited=True)
        await asyncio.sleep(3 * SLOW_S)
        bench.add(partition, 1, audited=True)
        await asyncio.sleep(3 * SLOW_S)
        assert [len(attempt.parcels[0].records) for attempt in bench.committer.attempts[1:]] == [1, 1]
        assert bench.told.copies_dropped == 2
        await asyncio.sleep(COPIES_AGAIN_S)
        bench.add(partition, 2, audited=True)
        await asyncio.sleep(3 * SLOW_S)
    assert len(bench.committer.attempts[-1].parcels[0].records) == 2


@pytest.mark.parametrize("landed", [True, False])
def test_after_an_attempt_of_unknown_fate_copies_are_left_out(landed: bool) -> None:
    bench = Bench()
    bench.thread.takes_s = SLOW_S
    bench.committer.endings = [Ending(Result.UNKNOWN, "let go"), COMMITTED if landed else ABORTED]

    async def main() -> None:
        partition = bench.partition()
        async with bench.running():
            bench.add(partition, 0, audited=True)
            await asyncio.sleep(3 * SLOW_S)
            bench.add(partition, 1, audited=True)
            await asyncio.sleep(3 * SLOW_S)

    run_virtual(main())
    assert len(bench.committer.attempts[-1].parcels[0].records) == 1
    assert bench.told.copies_dropped == (1 if landed else 2)


@simulated
async def test_an_attempt_that_fails_at_once_as_in_a_rebalance_costs_no_copy() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, audited=True)
        await asyncio.sleep(1)
    assert [len(attempt.parcels[0].records) for attempt in bench.committer.attempts] == [2, 2]


@simulated
async def test_a_failed_attempt_without_copies_says_nothing_of_them() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0)
        await asyncio.sleep(1)
        bench.add(partition, 1, audited=True)
        await asyncio.sleep(1)
    assert len(bench.committer.attempts[-1].parcels[0].records) == 2


@simulated
async def test_an_outcome_refused_with_its_copy_by_an_answer_that_names_neither_is_tried_without_it_at_once() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.REFUSED, "not authorized", copies_refused=frozenset({0}))]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, audited=True)
        await asyncio.sleep(1)
    assert (bench.published(), bench.told.refusals, bench.told.copies_dropped) == ([0], [], 1)
