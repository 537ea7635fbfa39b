"""The worker: records in, outcomes out, from joining the group to leaving it.

It lives on the event loop and owns the partitions' state. The intake thread brings records and rebalances, the
committer's thread publishes; both are told what to do from here. See `docs/architecture.md` for a record's way.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream.core.counting import counted
from stream.core.offsets import Delivery, DoneMap, topic_hash
from stream.core.records import Record
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.budget import Budget
from stream.kafka.carrier import Carrier
from stream.kafka.commits import Commits
from stream.kafka.failpoints import reach
from stream.kafka.flow import Flow
from stream.kafka.holdings import Holdings
from stream.kafka.member_commits import Commit
from stream.kafka.on_loop import OnLoop
from stream.kafka.partition import Partition
from stream.kafka.parts import Parts
from stream.settings.model import WorkerSettings
from stream.telemetry.figures import Figures

WATCH_BROKER_S = 30.0
"""How often a broker is asked whether the topics are still the same."""

JOINING_S = 10.0
"""How often it is said that the group is still being joined."""

_LEAVE_S = 10.0
_LOOK_AT_BUDGET_S = 1.0
IDLE_S = 5.0
"""A worker with a limit says after so long that it waits for requests."""
_COMMIT_S = 30.0
_BROKER_WENT_AWAY = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT})  # noqa: SLF001


class Worker:
    """One member of the fleet. `run` it until `stop` is called or its budget is used up."""

    def __init__(self, parts: Parts, settings: WorkerSettings, budget: Budget) -> None:
        self._parts = parts
        self._settings = settings
        self._watch = parts.watch
        self._budget = budget
        self._assignment = Assignment()
        self._loop = asyncio.get_running_loop()
        self._intake = parts.make_intake(self._assignment, OnLoop(self, self._loop))
        self._flow = Flow(
            parts.pipeline,
            parts.policy,
            self._intake,
            lambda partition: self._assignment.live(partition.id, partition.epoch),
            budget,
            parts.watch,
            parts.now_ms,
            self.failed,
            max_in_flight=settings.max_in_flight,
            admissions=parts.admissions,
        )
        self._commits = self._flow.commits = Commits(
            Carrier(
                parts.make_committer(self._commit_as_member),
                lambda: parts.make_thread("committer"),
                parts.watch,
            ),
            self._assignment,
            lambda topic: topic_hash(parts.topic_ids().get(topic), topic),
            self._committed,
            self._has_room,
            parts.watch,
            interval_s=settings.commit_interval_ms / 1000,
            transactional=settings.delivery == "exactly_once",
            quiet=lambda: self._flow.scheduler.started == 0,
        )
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._holdings = Holdings(
            parts,
            settings,
            self._assignment,
            self._intake,
            self._flow,
            self._commits,
            self._spawn,
            self._failure.done,
        )
        self._asking = parts.make_thread("broker-watch")
        self._stopping = asyncio.Event()
        self._stop_cause = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._assignment_known = asyncio.Event()
        self._brokers_up = True

    def stop(self, cause: str = "asked to") -> None:
        """Drain and leave. May be called from a signal handler on the loop."""
        self._stop_cause = self._stop_cause or cause
        self._stopping.set()

    def figures(self) -> Figures:
        """What the worker is like right now."""
        partitions = self._holdings.all
        scheduler = self._flow.scheduler
        return Figures(
            in_flight=scheduler.slots.used,
            waiting=sum(p.waiting for p in partitions) + scheduler.started - scheduler.slots.used,
            waiting_bytes=sum(p.waiting_bytes for p in partitions),
            uncommitted=self._commits.waiting,
            partitions=tuple(str(p.id) for p in partitions),
            stopped={str(p.id): p.stop.cause for p in partitions if p.stop},
            ticked_s_ago=time.monotonic() - self._intake.ticked_s,
            assignment_known=self._assignment_known.is_set(),
            brokers_up=self._brokers_up,
            draining=self._flow.draining,
        )

    async def run(self) -> None:
        """Work until told to stop. Raises FencedError, or whatever broke the intake or the committer."""
        self._intake.start()
        committing = self._spawn(self._commits.run())
        watching = [self._spawn(work) for work in (self._watch_broker(), self._watch_joining(), self._watch_budget())]
        stopping = self._spawn(self._stopping.wait())
        try:
            await asyncio.wait({committing, stopping, self._failure}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                await self._drain_all()
        finally:
            for task in watching:
                task.cancel()
            await self._leave()
            if not committing.done():
                committing.cancel()
            self._watch.left()
        for ended in (committing, self._failure):
            if ended.done() and not ended.cancelled() and (error := ended.exception()):
                raise error

    # What the intake reports, on the loop.

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        """Take records over."""
        taken()
        self._watch.received(len(batch))
        self._saw_broker()
        touched: dict[tuple[str, int], Partition] = {}
        for record in batch:
            partition = self._holdings.running(record.topic, record.partition)
            if partition is not None:
                touched[record.topic, record.partition] = partition
                self._take_in(partition, record)
        for partition in touched.values():
            self._holdings.doubt_gaps(partition)
        self._flow.scheduler.pump()

    def reached_end(self, id_: TopicPartition, offset: int) -> None:
        """The end of a partition: what stands between its last record and here holds none (transaction markers)."""
        partition = self._holdings.running(id_.topic, id_.partition)
        if partition is None or partition.tracker is None:
            return
        partition.tracker.passed(offset)
        self._holdings.doubt_gaps(partition)
        if partition.idle:
            self._commits.advance(partition)

    def assigned(self, begun: list[tuple[TopicPartition, int]]) -> None:
        """Partitions are ours; none, perhaps."""
        self._assignment_known.set()
        self._saw_broker()
        self._holdings.assigned(begun)

    def revoked(self, ids: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        """Let go of partitions."""
        self._holdings.revoked(ids, lost, released)

    def out_of_range(self, id_: TopicPartition, detail: str) -> None:
        """Reading left the log."""
        self._holdings.left_the_log(id_, detail)

    def trouble(self, error: KafkaError) -> None:
        """librdkafka wants something known."""
        if error.code() in _BROKER_WENT_AWAY:
            self._commits.doubt()
        if error.fatal():  # the client is dead, though `poll` may say nothing of it
            self.failed(KafkaException(error))
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  (librdkafka's local codes are spelt so)
            self._lost_broker(error.str())
        else:
            self._watch.trouble(f"Kafka: {error.str()} ({error.name()})")

    def failed(self, error: BaseException) -> None:
        """The intake thread or a request's task ended by a defect: nothing may stay in limbo, so the worker ends."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _take_in(self, partition: Partition, record: Record) -> None:
        tracker = partition.tracker
        if tracker is None:
            return
        match tracker.delivered(record.offset, record.leader_epoch):
            case Delivery.RUN:
                self._flow.take_in(partition, record)
            case Delivery.TRUNCATED:
                self._watch.trouble(f"{partition.id}: the log was cut below offset {tracker.position}")
                self._holdings.begin_again(partition)
            case Delivery.SKIP:
                pass

    def _committed(self, partition: Partition, done: DoneMap) -> None:
        """A commit went through: a start is durable, or the window moves on."""
        if partition.tracker is None:
            self._holdings.begin(partition, done)
            return
        self._flow.moved(partition, done)
        self._holdings.judge_again_when_idle(partition)
        self._stop_when_done()
        self._flow.scheduler.pump()

    def _has_room(self) -> None:
        """There is room for outcomes again: read on, and start what waits."""
        self._flow.relieve(self._holdings.all)
        self._flow.scheduler.pump()

    # The end.

    async def _drain_all(self) -> None:
        reach("draining")
        self._flow.draining = True
        self._watch.draining(self._settings.drain_timeout_s, self._stop_cause)
        await self._holdings.drain(self._holdings.all, self._settings.drain_timeout_s)

    async def _leave(self) -> None:
        """Leave the group and end the threads. Bounded: a broker that is gone can't hold us."""
        self._intake.stop()
        await self._intake.left(_LEAVE_S)
        await self._commits.stop(_LEAVE_S)
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    # The broker.

    def _commit_as_member(self, commits: Sequence[Commit]) -> None:
        """At least once: the intake commits, for it is the member. Blocks the committer's thread. KafkaException."""
        answer: Future[None] = self._intake.commit(commits)
        try:
            answer.result(timeout=_COMMIT_S)
        except TimeoutError as error:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001

    async def _watch_broker(self) -> None:
        """Ask now and then whether a broker answers, and whether the topics are still the same."""
        missed: set[TopicPartition] = set()
        while True:
            await asyncio.sleep(WATCH_BROKER_S if self._brokers_up else 2)
            if not await self._asking.run(self._parts.broker_answers):
                continue
            self._saw_broker()
            now = self._parts.topic_ids()
            for partition in self._holdings.all:
                before, after = partition.topic_id, now.get(partition.id.topic)
                if not before or before == after or partition.stop is not None:
                    missed.discard(partition.id)
                elif after is None and partition.id not in missed:
                    missed.add(partition.id)  # one broker that doesn't know it yet is no proof: ask again
                else:
                    self._holdings.topic_changed(partition, _became(before, after))

    async def _watch_joining(self) -> None:
        """Say that the group is being joined, and again while that takes long."""
        started_s = self._loop.time()
        while not self._assignment_known.is_set():
            self._watch.joining(self._loop.time() - started_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._assignment_known.wait(), JOINING_S)

    async def _watch_budget(self) -> None:
        """What was begun may also end without a commit of ours: its partition went to another worker."""
        busy_s, to_come, told = self._loop.time(), 0, 0
        while True:
            await asyncio.sleep(_LOOK_AT_BUDGET_S)
            self._stop_when_done()
            before, to_come = to_come, self._budget.to_come
            busy = any(not partition.idle for partition in self._holdings.all)
            if busy or to_come != before or not self._assignment_known.is_set():
                busy_s = self._loop.time()
            elif to_come != told and self._loop.time() - busy_s > IDLE_S:
                told = to_come
                awaited = counted(to_come, "request")
                self._watch.trouble(f"--limit: {awaited} still to come, and nothing waits here; Ctrl-C ends the worker")

    def _stop_when_done(self) -> None:
        if self._flow.done:
            self.stop(self._flow.done_because)

    def _lost_broker(self, detail: str) -> None:
        if self._brokers_up:
            self._brokers_up = False
            self._watch.brokers(up=False, detail=detail)

    def _saw_broker(self) -> None:
        if not self._brokers_up:
            self._brokers_up = True
            self._commits.doubt()
            self._watch.brokers(up=True, detail="")

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)


def _became(before: str, after: str | None) -> str:
    return f"is gone (its id was {before})" if after is None else f"was recreated: its id was {before}, now {after}"
