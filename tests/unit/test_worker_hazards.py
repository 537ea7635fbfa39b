"""Hazards of the delivery path that a review found: each was red once."""

import asyncio
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream.core.offsets import Delivery, DoneMap, OffsetTracker, topic_hash
from stream.core.records import Record
from stream.core.starting import PartitionFacts, Start, judge
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.attempts import Attempt, Ending, Parcel, Result, Settled
from stream.kafka.carrier import Carrier
from stream.kafka.commits import Commits
from stream.kafka.partition import Item, Partition, Phase
from stream.kafka.scheduler import Scheduler
from stream.kafka.slots import HeldSlot
from stream.kafka.worker import Worker
from stream.telemetry.watch import Watch
from tests.support.waiting import wait_until_async


def record(offset: int, partition: int = 0) -> Record:
    return Record("t", partition, offset, None, b"x", (), 0, 1)


def ready(scheduler: Scheduler, partition: Partition, offset: int, model: str = "m") -> None:
    item = partition.item(record(offset, partition.id.partition))
    item.prepared = SimpleNamespace(version=SimpleNamespace(provider=model, model=model))  # type: ignore[assignment]
    scheduler.ready(item)


def test_a_rewritten_log_takes_back_every_mark_behind_the_cut() -> None:
    """Records 5 and later were written anew; 5 is committed before 50, which the old map marks, is read."""
    tracker = OffsetTracker(DoneMap(0, 1 << 50, epoch=1))
    for offset in range(5):
        tracker.delivered(offset, 1)
    for offset in range(5, 10):
        tracker.delivered(offset, 2)
    tracker.acknowledge(tracker.plan([(5, 2)]))
    for offset in range(10, 50):
        tracker.delivered(offset, 2)
    assert tracker.delivered(50, 2) is Delivery.RUN


def test_a_mark_taken_back_while_an_attempt_is_open_stays_taken_back() -> None:
    tracker = OffsetTracker(DoneMap(0, 1 << 50, epoch=1))
    tracker.delivered(0, 1)
    planned = tracker.plan([(0, 1)])
    tracker.delivered(1, 2)
    tracker.acknowledge(planned)
    assert 50 not in tracker.committed
    assert 0 in tracker.committed


async def test_dead_pools_do_not_starve_a_healthy_one() -> None:
    ran: list[str] = []

    async def run(item: Item, slot: HeldSlot) -> None:
        assert item.prepared is not None
        ran.append(item.prepared.version.model)
        if item.prepared.version.model != "healthy":
            slot.release()
            await asyncio.sleep(3600)

    scheduler = Scheduler(4, {}, run, lambda: True, lambda _: None)
    partition = Partition(TopicPartition("t", 0), 1, keyed=False)
    for offset in range(20):
        ready(scheduler, partition, offset, "dead-1" if offset % 2 else "dead-2")
    scheduler.pump()
    await asyncio.sleep(0.01)
    scheduler.pump()
    await asyncio.sleep(0.01)
    ready(scheduler, partition, 20, "healthy")
    scheduler.pump()
    await wait_until_async(lambda: "healthy" in ran, 5, "the healthy pool starts")
    tasks = [task for task, _ in partition.running.values()]
    partition.cancel(only_waiting=False)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_task_that_others_cancelled_is_a_defect_and_not_forgotten() -> None:
    defects: list[BaseException] = []

    async def run(item: Item, slot: HeldSlot) -> None:
        raise asyncio.CancelledError

    scheduler = Scheduler(1, {}, run, lambda: True, defects.append)
    ready(scheduler, Partition(TopicPartition("t", 0), 1, keyed=False), 0)
    scheduler.pump()
    await wait_until_async(lambda: defects, 5, "the defect is told")


async def test_progress_in_an_old_topic_is_never_committed_under_the_new_topics_name() -> None:
    """The topic is recreated, and an attempt is cut before the loop knows."""
    assignment, id_ = Assignment(), TopicPartition("t", 0)
    partition = Partition(id_, assignment.begin(id_), keyed=True, phase=Phase.RUNNING)
    partition.tracker = OffsetTracker(DoneMap(0))
    partition.topic_hash = topic_hash("old", "t")
    assignment.metadata = b"CGMDv2:\0\0\0\1group\0member-1\0\0"
    attempts: list[Attempt] = []

    class Committer:
        beats = 0
        longest_silence_s = 10.0

        def open(self) -> None: ...

        def attempt(self, attempt: Attempt) -> Ending:
            attempts.append(attempt)
            return Ending(Result.COMMITTED)

        def resolve(self, attempt: Attempt) -> Ending:
            return self.attempt(attempt)

        def let_go(self) -> None: ...

        def doubt(self) -> None: ...

        def replacement(self) -> "Committer":
            return self

        def close(self) -> None: ...

    class AtOnce:
        async def run(self, call: Any) -> Any:
            return call()

        async def stop(self, last: Any, timeout_s: float) -> bool:
            return True

    commits = Commits(
        Carrier(Committer(), AtOnce, Watch()),  # type: ignore[arg-type]
        assignment,
        lambda topic: topic_hash("new", topic),
        lambda partition, done: None,
        lambda: None,
        Watch(),
        interval_s=0.01,
        transactional=True,
        quiet=lambda: True,
    )
    partition.tracker.delivered(0, 0)
    commits.add(Settled(partition, record(0), Parcel(()), 1))
    task = asyncio.create_task(commits.run())
    await wait_until_async(lambda: attempts, 5, "an attempt")
    task.cancel()
    ((_, base, text),) = attempts[0].offsets
    verdict = judge(PartitionFacts("t", 0, topic_hash("new", "t"), base, text, 0, 10, 0))
    assert not isinstance(verdict, Start)


def test_a_client_that_is_dead_for_good_ends_the_worker() -> None:
    """librdkafka tells a fatal error once, and `poll` is silent afterwards, for ever."""
    failures: list[BaseException] = []
    worker: Any = SimpleNamespace(failed=failures.append, _watch=Watch())
    Worker.trouble(worker, KafkaError(KafkaError._FATAL, "unsupported version", fatal=True))
    assert [type(each) for each in failures] == [KafkaException]
    Worker.trouble(worker, KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    assert len(failures) == 1
