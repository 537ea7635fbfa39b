"""One partition's books: what waits, what runs, when it is full, what a drain cancels."""

import asyncio

import pytest

from stream.kafka.assignment import TopicPartition
from stream.kafka.partition import OVERHEAD_BYTES, WAITING_BYTES, Partition
from stream.kafka.slots import Slots
from tests.support.outcome_builders import record


@pytest.fixture
def partition() -> Partition:
    return Partition(TopicPartition("requests", 3), epoch=1, keyed=True)


def test_what_waits_is_counted_with_what_we_keep_about_it(partition: Partition) -> None:
    item = partition.item(record(key=b"k", value=b"12345"))
    assert (partition.waiting, partition.waiting_bytes) == (1, 6 + OVERHEAD_BYTES)
    partition.leaves(item)
    assert (partition.waiting, partition.waiting_bytes) == (0, 0)
    partition.returns(item)
    assert partition.waiting == 1


def test_a_keyed_partition_holds_back_the_second_of_a_key(partition: Partition) -> None:
    first, second = partition.item(record(offset=1)), partition.item(record(offset=2))
    assert partition.enters(first)
    assert not partition.enters(second)
    assert partition.after(first) is second


def test_without_ordering_nothing_is_held_back() -> None:
    partition = Partition(TopicPartition("requests", 3), epoch=1, keyed=False)
    items = [partition.item(record(offset=offset)) for offset in (1, 2)]
    assert [partition.enters(item) for item in items] == [True, True]
    assert partition.after(items[0]) is None


def test_once_paused_for_its_bytes_it_reads_on_at_half(partition: Partition) -> None:
    partition.share(10_000)
    partition.waiting_bytes = 10_001
    assert partition.full()
    partition.pauses.add("bytes")
    partition.waiting_bytes = 5_001
    assert partition.full()
    partition.waiting_bytes = 5_000
    assert not partition.full()


def test_its_share_never_exceeds_what_one_partition_may_hold(partition: Partition) -> None:
    partition.share(WAITING_BYTES * 10)
    assert partition.waiting_limit == WAITING_BYTES


def test_forgetting_what_waits_leaves_nothing_of_it(partition: Partition) -> None:
    first, second = partition.item(record(offset=1)), partition.item(record(offset=2))
    partition.enters(first)
    partition.enters(second)
    partition.beyond.append(partition.item(record(offset=3)))
    partition.forget_waiting()
    assert partition.idle
    assert len(partition.keys) == len(partition.beyond) == partition.waiting_bytes == 0


@pytest.mark.parametrize("busy", ["waiting", "uncommitted"])
def test_it_is_idle_only_when_nothing_of_it_is_left(partition: Partition, busy: str) -> None:
    assert partition.idle
    setattr(partition, busy, 1)
    assert not partition.idle


async def test_a_drain_first_cancels_only_what_has_no_call_in_the_air(partition: Partition) -> None:
    slots = Slots(2, lambda: None)
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]
    in_the_air, waiting = slots.taken(), slots.taken()
    waiting.release()
    partition.running = {1: (tasks[0], in_the_air), 2: (tasks[1], waiting)}
    partition.cancel(only_waiting=True)
    assert partition.given_up == 0
    assert [task.cancelling() for task in tasks] == [0, 1]
    for _ in range(2):
        partition.cancel(only_waiting=False)
        assert partition.given_up == 1
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
