"""Outcomes on their way to be visible: what an attempt holds, what is tried again, when partitions are released."""

import asyncio

import pytest

from stream.core.offsets import DoneMap
from stream.kafka import commits as commits_module
from stream.kafka.attempts import Attempt, Ending, Result
from stream.kafka.backlog import MAX_OUTCOMES
from tests.support.commit_bench import ABORTED, COMMITTED, MEMBER, Bench
from tests.support.virtual_time import run_virtual, simulated


@simulated
async def test_the_first_outcome_after_a_quiet_spell_commits_at_once() -> None:
    bench = Bench(quiet=False)
    partition = bench.partition()
    async with bench.running():
        await asyncio.sleep(5)
        bench.add(partition, 0)
        await asyncio.sleep(0.01)
        assert bench.told.visible == [1]


@simulated
async def test_under_load_an_attempt_is_cut_every_interval() -> None:
    bench = Bench(quiet=False)
    partition = bench.partition()
    async with bench.running():
        for offset in range(10):
            bench.add(partition, offset)
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.2)
    assert 3 <= len(bench.committer.attempts) <= 5
    assert sum(bench.told.visible) == 10


@simulated
async def test_with_no_call_in_flight_nothing_is_waited_for() -> None:
    bench = Bench(quiet=True)
    partition = bench.partition()
    async with bench.running():
        for offset in range(3):
            bench.add(partition, offset)
            await asyncio.sleep(0.01)
    assert len(bench.committer.attempts) == 3


@simulated
async def test_an_attempts_map_marks_what_was_committed_and_what_it_holds_and_nothing_else() -> None:
    bench = Bench()
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 2)
        await asyncio.sleep(1)
        bench.add(partition, 0, 5)
        bench.thread.held.clear()
        await asyncio.sleep(0.001)
        bench.add(partition, 1)
        bench.thread.held.set()
        await asyncio.sleep(1)
    assert bench.maps(0) == {0: DoneMap(0, 0b100, 1)}
    assert bench.maps(1) == {0: DoneMap(1, 0b10010, 1)}
    assert bench.maps(2) == {0: DoneMap(3, 0b100, 1)}


@simulated
async def test_a_failed_attempt_is_tried_again_with_the_very_same_records() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED, ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0, 1)
        await asyncio.sleep(1)
    first, second, third = bench.committer.attempts
    assert first.parcels == second.parcels == third.parcels
    assert bench.told.visible == [2]
    assert bench.told.failed == ["made so"] * 2


@simulated
async def test_what_came_later_is_published_later_also_after_a_failure() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED]
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0)
        await asyncio.sleep(0.003)
        bench.add(partition, 1)
        await asyncio.sleep(1)
    assert bench.published() == [0, 1]


@simulated
async def test_nothing_is_attempted_while_we_are_no_member() -> None:
    bench = Bench()
    bench.assignment.metadata = b"CGMDv2:\0\0\0\1group\0\0\0"
    partition = bench.partition()
    async with bench.running():
        bench.add(partition, 0)
        await asyncio.sleep(2)
        assert bench.committer.attempts == []
        bench.assignment.metadata = MEMBER
        await asyncio.sleep(1)
    assert bench.told.visible == [1]


@simulated
async def test_without_transactions_the_intake_is_the_member_and_nobody_else_need_be() -> None:
    bench = Bench(transactional=False)
    bench.assignment.metadata = b""
    async with bench.running():
        bench.add(bench.partition(), 0)
        await asyncio.sleep(1)
    assert bench.told.visible == [1]


@simulated
async def test_outcomes_of_an_ended_epoch_are_dropped_the_others_go_out() -> None:
    bench = Bench()
    lost, kept = bench.partition(0), bench.partition(1)
    async with bench.running():
        bench.add(lost, 0)
        bench.add(kept, 4)
        bench.assignment.end(lost.id)
        await asyncio.sleep(1)
    assert bench.published() == [4]
    assert list(bench.maps()) == [1]
    assert bench.commits.waiting == 0


@simulated
async def test_a_partition_that_came_back_is_not_the_one_that_went() -> None:
    bench = Bench()
    before = bench.partition(0)
    async with bench.running():
        bench.add(before, 0)
        bench.partition(0)  # a new epoch
        await asyncio.sleep(1)
    assert bench.committer.attempts == []


@simulated
async def test_an_attempt_asks_itself_whether_a_partition_is_still_ours() -> None:
    bench = Bench()
    partition = bench.partition(0)
    async with bench.running():
        bench.add(partition, 0)
        await asyncio.sleep(1)
    (attempt,) = bench.committer.attempts
    assert attempt.still_ours(partition.id)
    bench.partition(0)
    assert not attempt.still_ours(partition.id)


@simulated
async def test_a_start_is_committed_with_an_empty_map_and_tried_until_it_is() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED]
    partition = bench.partition(read=0)
    partition.tracker = None
    async with bench.running():
        bench.commits.add_start(partition, DoneMap(7))
        await asyncio.sleep(1)
    assert len(bench.committer.attempts) == 2
    assert bench.moved == [(0, DoneMap(7))]


@simulated
async def test_a_gap_that_was_looked_into_moves_the_commit_without_an_outcome() -> None:
    bench = Bench()
    partition = bench.partition(read=0)
    assert partition.tracker is not None
    partition.tracker.passed(3)
    partition.tracker.prove((0, 3))
    async with bench.running():
        bench.commits.advance(partition)
        await asyncio.sleep(1)
        bench.commits.advance(partition)
        await asyncio.sleep(1)
    assert bench.moved == [(0, DoneMap(3))]


@simulated
async def test_a_drain_waits_until_everything_of_its_partitions_is_visible() -> None:
    bench = Bench()
    bench.committer.endings = [ABORTED] * 3
    draining, other = bench.partition(0), bench.partition(1)
    async with bench.running():
        bench.add(draining, 0)
        await asyncio.wait_for(bench.commits.drained([draining]), 5)
        assert bench.told.visible == [1]
        await asyncio.wait_for(bench.commits.drained([other]), 5)


@simulated
async def test_a_release_waits_for_the_attempt_that_holds_the_partition() -> None:
    bench = Bench()
    partition, bystander = bench.partition(0), bench.partition(1)
    async with bench.running():
        await asyncio.sleep(0.01)  # the committer is open
        bench.thread.held.clear()
        bench.add(partition, 0)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(bench.commits.released([bystander], 2), 0.01)
        release = asyncio.create_task(bench.commits.released([partition], 2))
        await asyncio.sleep(1)
        assert not release.done()
        bench.thread.held.set()
        await asyncio.wait_for(release, 0.1)
    assert bench.committer.let_go_of == 0


@simulated
async def test_past_its_patience_a_release_makes_the_attempt_end() -> None:
    bench = Bench()
    bench.committer.endings = [Ending(Result.UNKNOWN, "let go")]
    bench.committer.on_let_go = bench.thread.held.set
    partition = bench.partition()
    async with bench.running():
        await asyncio.sleep(0.01)  # the committer is open
        bench.thread.held.clear()
        bench.add(partition, 0)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(bench.commits.released([partition], 2), 2.2)
        assert bench.committer.let_go_of == 1
        await asyncio.sleep(1)
    assert bench.committer.resolved == bench.committer.attempts[:1]


@pytest.mark.parametrize("landed", [True, False])
def test_an_unknown_fate_is_resolved_before_anything_else_is_attempted(landed: bool) -> None:
    async def main() -> None:
        bench = Bench()
        bench.committer.endings = [Ending(Result.UNKNOWN, "let go"), COMMITTED if landed else ABORTED]
        partition = bench.partition()
        async with bench.running():
            bench.add(partition, 0)
            await asyncio.sleep(0.006)
            bench.add(partition, 1)
            await asyncio.sleep(1)
        assert bench.committer.resolved == bench.committer.attempts[:1]
        assert bench.published(1) == ([1] if landed else [0, 1])
        assert sum(bench.told.visible) == 2

    run_virtual(main())


@simulated
async def test_too_many_waiting_outcomes_are_full_and_room_comes_back() -> None:
    bench = Bench()
    partition = bench.partition(read=commits_module.MAX_WAITING_OUTCOMES)
    bench.add(partition, *range(commits_module.MAX_WAITING_OUTCOMES))
    assert bench.commits.full
    async with bench.running():
        await asyncio.sleep(2)
    assert not bench.commits.full
    assert bench.room_told == 1
    assert max(bench.told.visible) <= MAX_OUTCOMES
    assert bench.commits.waiting == 0


@simulated
async def test_a_released_partitions_outcomes_leave_room_at_once() -> None:
    bench = Bench()
    lost = bench.partition(read=commits_module.MAX_WAITING_OUTCOMES)
    bench.add(lost, *range(commits_module.MAX_WAITING_OUTCOMES))
    assert bench.commits.full
    bench.assignment.end(lost.id)
    await bench.commits.released([lost], 1)
    assert bench.room_told == 1


@simulated
async def test_what_the_committer_cannot_cure_ends_the_loop_and_releases_everybody() -> None:
    bench = Bench()

    def fails(_: Attempt) -> Ending:
        raise ZeroDivisionError

    bench.committer.attempt = fails  # type: ignore[method-assign]
    partition = bench.partition()
    loop = asyncio.create_task(bench.commits.run())
    bench.add(partition, 0)
    with pytest.raises(ZeroDivisionError):
        await loop
    await asyncio.wait_for(bench.commits.released([partition], 1), 0.1)
