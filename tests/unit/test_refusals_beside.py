"""What the broker refuses, beside what it takes: nobody waits for it, and it costs little, however much it is."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from stream.kafka import commits as commits_module
from stream.kafka.attempts import Result
from stream.kafka.partition import Partition
from stream.kafka.refusals import APART_S, REFUSED_AGAIN_S, REFUSING_AT
from tests.support.commit_bench import ABORTED, Bench
from tests.support.refusing_topics import RefusingTopics
from tests.support.virtual_time import simulated

ATTEMPT_S = 0.3


def refusing(**of: Any) -> tuple[Bench, RefusingTopics, Partition]:
    """A bench whose attempts take as long as refused ones do, what its broker does, and a partition of 1,000."""
    bench = Bench()
    bench.thread.takes_s = ATTEMPT_S
    broker = RefusingTopics(asyncio.get_running_loop().time, **of)
    bench.committer.broker = broker.ending
    return bench, broker, bench.partition(read=1_000)


def add(bench: Bench, partition: Partition, *offsets: int, **of: Any) -> None:
    """Outcomes without a key, unless `of` has one."""
    bench.add(partition, *offsets, **{"key": None, **of})


@simulated
async def test_healthy_outcomes_flow_beside_many_that_are_refused_which_are_tried_again_once_a_minute() -> None:
    bench, broker, partition = refusing(poison=range(20))
    added_s: dict[int, float] = {}
    async with bench.running():
        add(bench, partition, *range(20))
        for offset in range(20, 620):
            await asyncio.sleep(0.5)
            added_s[offset] = asyncio.get_running_loop().time()
            add(bench, partition, offset)
        await asyncio.sleep(2)
    assert len(broker.taken_at_s) == 600
    assert max(broker.taken_at_s[offset] - at_s for offset, at_s in added_s.items()) <= 3
    for times in broker.refused_at_s.values():
        assert 4 <= len(times) <= 5
        assert all(later - sooner >= REFUSED_AGAIN_S for sooner, later in pairwise(times))
    assert bench.commits.waiting == 0


@simulated
async def test_what_shared_a_batch_with_refused_ones_does_not_wait_for_more_than_their_first_try() -> None:
    """Nothing else comes that could show that the topic takes outcomes."""
    bench, broker, partition = refusing(poison=range(20))
    async with bench.running():
        add(bench, partition, *range(100))
        await asyncio.sleep(40)
    assert sorted(broker.taken_at_s) == list(range(20, 100))


@simulated
async def test_more_of_them_than_can_be_tried_in_a_minute_take_turns() -> None:
    bench, broker, partition = refusing(poison=range(200))
    async with bench.running():
        add(bench, partition, *range(200))
        await asyncio.sleep(100)
        before = broker.in_vain
        await asyncio.sleep(300)
        assert broker.in_vain - before <= 300 / APART_S
        assert max(map(len, broker.refused_at_s.values())) - min(map(len, broker.refused_at_s.values())) <= 1


@simulated
async def test_once_one_of_them_is_taken_the_others_follow_at_once() -> None:
    bench, broker, partition = refusing(poison=range(200))
    async with bench.running():
        add(bench, partition, *range(200))
        await asyncio.sleep(100)
        broker.poison = {7, 8}
        await asyncio.sleep(REFUSED_AGAIN_S + 200 * ATTEMPT_S + 5)
    assert sorted(broker.taken_at_s) == [offset for offset in range(200) if offset not in (7, 8)]
    assert bench.commits.unpublished == 2


@simulated
async def test_a_topic_that_refuses_one_after_the_other_is_tried_ever_less_often() -> None:
    bench, broker, partition = refusing(poison=range(600))
    async with bench.running():
        for offset in range(600):
            add(bench, partition, offset)
            await asyncio.sleep(0.5)
        first_tries = len(broker.refused_at_s)
        assert REFUSING_AT < first_tries <= REFUSING_AT + 12
        broker.poison = ()
        await asyncio.sleep(REFUSED_AGAIN_S + 15)
    assert len(broker.taken_at_s) == 600
    untried = [offset for offset in broker.order if offset not in broker.refused_at_s]
    assert untried == sorted(untried)
    assert bench.commits.unpublished == 0


@simulated
async def test_the_next_newcomer_opens_a_topic_that_refused_three_outcomes_for_their_own_sake() -> None:
    bench, broker, partition = refusing(poison=range(3))
    async with bench.running():
        for offset in range(3):
            add(bench, partition, offset)
            await asyncio.sleep(1)
        await asyncio.sleep(10 * REFUSED_AGAIN_S)
        added_s = asyncio.get_running_loop().time()
        add(bench, partition, 3)
        await asyncio.sleep(5)
    assert broker.taken_at_s[3] - added_s <= 2


@simulated
async def test_a_topic_that_is_gone_is_not_tried_record_by_record_and_gets_all_when_it_is_back() -> None:
    bench, broker, partition = refusing(shut={"results"})
    async with bench.running():
        add(bench, partition, 0, 1, 2, key=b"k")
        await asyncio.sleep(1)
        add(bench, partition, 3, 4, key=b"k")
        add(bench, partition, 5, topic="dlq")
        await asyncio.sleep(1)
        assert (broker.in_vain, broker.order) == (1, [5])
        assert (bench.commits.waiting, bench.commits.unpublished) == (0, 5)
        assert bench.told.refusals == [0, 1, 2, 3, 4]
        broker.shut = ()
        await asyncio.sleep(REFUSED_AGAIN_S + 2)
    assert broker.order == [5, 0, 1, 2, 3, 4]
    assert bench.published() == [1, 2, 3, 4]
    assert bench.commits.unpublished == 0


@simulated
async def test_a_topic_that_is_shut_while_it_has_refused_ones_opens_without_them() -> None:
    bench, broker, partition = refusing(poison={0})
    async with bench.running():
        add(bench, partition, 0)
        await asyncio.sleep(1)
        broker.shut = {"results"}
        add(bench, partition, 1)
        await asyncio.sleep(3 * REFUSED_AGAIN_S)
        assert broker.in_vain <= 1 + 1 + 3
        broker.shut = ()
        await asyncio.sleep(REFUSED_AGAIN_S + 2)
        assert broker.order == [1]
        add(bench, partition, 2)
        await asyncio.sleep(2)
    assert broker.order == [1, 2]
    assert bench.commits.unpublished == 1


@simulated
async def test_suspects_of_a_topic_that_is_shut_wait_with_the_others() -> None:
    bench, broker, partition = refusing(poison={0})
    async with bench.running():
        await asyncio.sleep(ATTEMPT_S)  # the committer is open
        add(bench, partition, *range(10))
        await asyncio.sleep(1.5 * ATTEMPT_S)
        broker.shut = {"results"}
        await asyncio.sleep(30)
        assert broker.in_vain == 2
        assert bench.told.refusals == [*range(1, 10), 0]
        assert (bench.commits.waiting, bench.commits.unpublished) == (0, 10)


@simulated
async def test_a_drain_tries_once_more_what_waits_for_its_topic() -> None:
    bench, broker, partition = refusing(shut={"results"})
    async with bench.running():
        add(bench, partition, 0)
        await asyncio.sleep(1)
        add(bench, partition, 1, 2)
        await asyncio.sleep(1)
        await asyncio.wait_for(bench.commits.drained([partition]), 1)
        assert (broker.order, broker.in_vain) == ([], 2)
        broker.shut = ()
        await asyncio.wait_for(bench.commits.drained([partition]), 1)
    assert broker.order == [0, 1, 2]


@simulated
async def test_what_was_spared_goes_without_newcomers_of_which_each_attempt_has_a_refused_one() -> None:
    bench, broker, partition = refusing(poison=range(100, 1_000))
    async with bench.running():
        add(bench, partition, 0, topic="dlq")
        for offset in range(100, 140):
            add(bench, partition, offset)
            await asyncio.sleep(0.05)
        assert 0 in broker.taken_at_s


@simulated
async def test_suspects_of_a_key_keep_their_order_though_the_earlier_one_became_one_later() -> None:
    bench, broker, partition = refusing(poison={4})
    async with bench.running():
        await asyncio.sleep(ATTEMPT_S)  # the committer is open
        add(bench, partition, 1, topic="dlq", key=b"k")
        add(bench, partition, 2, key=b"k")
        add(bench, partition, 3, 4)
        add(bench, partition, 5, topic="dlq")
        await asyncio.sleep(1.5 * ATTEMPT_S)  # 2, 3 and 4 are suspects now
        broker.poison = {4, 5}  # and then 1 and 5 are
        await asyncio.sleep(20)
    assert broker.order.index(1) < broker.order.index(2)


@simulated
async def test_a_probe_whose_attempt_fails_is_tried_again_and_still_opens_its_topic() -> None:
    bench, broker, partition = refusing(shut={"results"})
    async with bench.running():
        add(bench, partition, 0, 1)
        await asyncio.sleep(1)
        broker.shut = ()
        bench.committer.endings = [ABORTED, ABORTED]
        await asyncio.sleep(REFUSED_AGAIN_S + 5)
    assert broker.order == [0, 1]


@simulated
async def test_a_lost_partitions_probe_lets_the_next_one_go() -> None:
    bench, broker, lost = refusing(shut={"results"})
    kept = bench.partition(1)
    async with bench.running():
        add(bench, lost, 0)
        add(bench, kept, 1)
        await asyncio.sleep(1)
        broker.shut = ()
        bench.committer.endings = [ABORTED] * 3
        await asyncio.sleep(REFUSED_AGAIN_S - 1 + 0.5 * ATTEMPT_S)
        assert bench.committer.endings == [ABORTED] * 3  # the probe is under way
        bench.assignment.end(lost.id)
        await asyncio.sleep(REFUSED_AGAIN_S + 5)
    assert broker.order == [1]


@simulated
async def test_all_that_is_set_aside_counts_against_the_bound() -> None:
    bench, broker, partition = refusing(poison=range(3), shut={"dlq"})
    with patch.object(commits_module, "MAX_WAITING_OUTCOMES", 5):
        async with bench.running():
            add(bench, partition, *range(3))
            await asyncio.sleep(3)
            add(bench, partition, 3, topic="dlq")
            await asyncio.sleep(1)
            assert not bench.commits.full
            add(bench, partition, 4, topic="dlq")
            await asyncio.sleep(1)
            assert bench.commits.full
            broker.poison = broker.shut = ()
            await asyncio.sleep(REFUSED_AGAIN_S + 5)
            assert bench.room_told == 1
    assert bench.commits.unpublished == 0
    assert Result.COMMITTED is bench.committer.broker(bench.committer.attempts[-1]).result
