"""The worker: records in, outcomes out, from joining the group to leaving it.

It lives on the event loop and owns the partitions' state. The intake thread brings records and rebalances, the
committer's thread publishes; both are told what to do from here. See `docs/architecture.md` for a record's way.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from stream.core.errors import LlmStreamError, ProviderError
from stream.core.offsets import Delivery, DoneMap, OffsetTracker, topic_hash
from stream.core.outcomes import Outcome
from stream.core.pipeline import Pipeline, Prepared
from stream.core.records import Record
from stream.core.settlement import SettlePolicy, settle
from stream.core.starting import Start, StopCause, Stopped
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.budget import Budget
from stream.kafka.commits import LET_GO_S, Commits, Settled
from stream.kafka.committer import Committer, Parcel
from stream.kafka.failpoints import reach
from stream.kafka.intake import Commit, Intake
from stream.kafka.partition import Item, Partition, Phase
from stream.kafka.scheduler import Admission, Scheduler
from stream.kafka.slots import HeldSlot
from stream.kafka.starter import Starter
from stream.kafka.threads import SerialThread
from stream.settings.model import WorkerSettings
from stream.telemetry.figures import Figures
from stream.telemetry.watch import Watch

MAX_WAITING_BYTES = 128 * 1024 * 1024
"""How much may wait over all partitions; each gets its share of it, at most `partition.WAITING_BYTES`."""

_BROKERS_DOWN = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE})  # noqa: SLF001
_START_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; `app` wires it.

    make_consumer: a member of the group. make_committer: given how to commit offsets as that member (at least once
    needs it). admissions: gates by provider name. topic_ids: of the request topics, as they are now. broker_answers:
    whether one does, within seconds (blocking).
    """

    make_consumer: Callable[[], Consumer]
    make_committer: Callable[[Callable[[Sequence[Commit]], None]], Committer]
    pipeline: Pipeline
    policy: SettlePolicy
    starter: Starter
    admissions: Mapping[str, Admission]
    topic_ids: Callable[[], Mapping[str, str | None]]
    broker_answers: Callable[[], bool]
    watch: Watch
    now_ms: Callable[[], int]


class Worker:
    """One member of the fleet. `run` it until `stop` is called or its budget is used up."""

    def __init__(self, parts: Parts, settings: WorkerSettings, topics: Sequence[str], budget: Budget) -> None:
        self._parts = parts
        self._settings = settings
        self._watch = parts.watch
        self._budget = budget
        self._assignment = Assignment()
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._loop = asyncio.get_running_loop()
        self._intake = Intake(parts.make_consumer, topics, self._assignment, _OnLoop(self, self._loop))
        transactional = settings.delivery == "exactly_once"
        self.commits = Commits(
            parts.make_committer(self._commit_as_member),
            self._assignment,
            lambda topic: topic_hash(parts.topic_ids().get(topic), topic),
            self._committed,
            parts.watch,
            interval_s=settings.commit_interval_ms / 1000,
            transactional=transactional,
            quiet=lambda: self.scheduler.started == 0,
        )
        self.scheduler = Scheduler(settings.max_in_flight, parts.admissions, self._serve, self._may_start)
        self._starting = SerialThread("starter")
        self._asking = SerialThread("broker-watch")
        self._stopping = asyncio.Event()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._assignment_known = False
        self._brokers_up = True
        self._draining = False

    def stop(self) -> None:
        """Drain and leave. May be called from a signal handler on the loop."""
        self._stopping.set()

    def figures(self) -> Figures:
        """What the worker is like right now."""
        partitions = list(self._partitions.values())
        return Figures(
            in_flight=self.scheduler.slots.used,
            waiting=sum(p.waiting for p in partitions) + self.scheduler.started - self.scheduler.slots.used,
            waiting_bytes=sum(p.waiting_bytes for p in partitions),
            uncommitted=self.commits.waiting,
            partitions=tuple(str(p.id) for p in partitions),
            stopped={str(p.id): p.stop.cause for p in partitions if p.stop},
            ticked_s_ago=time.monotonic() - self._intake.ticked_s,
            assignment_known=self._assignment_known,
            brokers_up=self._brokers_up,
            draining=self._draining,
        )

    async def run(self) -> None:
        """Work until told to stop. Raises FencedError, or whatever broke the intake or the committer."""
        self._intake.start()
        committing = self._spawn(self.commits.run())
        watching = self._spawn(self._watch_broker())
        stopping = self._spawn(self._stopping.wait())
        try:
            await asyncio.wait({committing, stopping, self._failure}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                await self._drain_all()
        finally:
            watching.cancel()
            await self._leave()
            if not committing.done():
                committing.cancel()
        for ended in (committing, self._failure):
            if ended.done() and not ended.cancelled() and (error := ended.exception()):
                raise error

    # What the intake reports, on the loop.

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        """Take records over."""
        taken()
        self._watch.received(len(batch))
        self._saw_broker()
        for record in batch:
            partition = self._partitions.get((record.topic, record.partition))
            if partition is None or partition.phase is not Phase.RUNNING or partition.tracker is None:
                continue
            match partition.tracker.delivered(record.offset, record.leader_epoch):
                case Delivery.RUN:
                    self._take_in(partition, record)
                case Delivery.TRUNCATED:
                    self._watch.trouble(f"{partition.id}: the log was cut below offset {partition.tracker.position}")
                    self._begin_again(partition)
                case Delivery.SKIP:
                    pass
        self.scheduler.pump()

    def assigned(self, begun: list[tuple[TopicPartition, int]]) -> None:
        """Partitions are ours: find out where they start."""
        self._assignment_known = True
        self._saw_broker()
        partitions = [Partition(id_, epoch, self._settings.ordering == "key") for id_, epoch in begun]
        for partition in partitions:
            self._forget(self._partitions.get((partition.id.topic, partition.id.partition)))
            self._partitions[partition.id.topic, partition.id.partition] = partition
        for partition in self._partitions.values():
            partition.share(MAX_WAITING_BYTES // len(self._partitions))
        self._watch.assigned(str(p.id) for p in partitions)
        if partitions:
            self._spawn(self._start(partitions))

    def revoked(self, ids: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        """Let go of partitions, draining them first unless they are lost already."""
        found = [self._partitions.get((id_.topic, id_.partition)) for id_ in ids]
        self._spawn(self._revoke([p for p in found if p is not None], lost, released))

    def out_of_range(self, id_: TopicPartition, detail: str) -> None:
        """Reading left the log: what was read is finished, then the partition is judged again."""
        partition = self._partitions.get((id_.topic, id_.partition))
        if partition is not None:
            partition.out_of_range = detail
            self._pause(partition, "out_of_range")
            self._judge_again_when_idle(partition)

    def trouble(self, error: KafkaError) -> None:
        """librdkafka wants something known."""
        if error.code() in _BROKERS_DOWN:
            self._lost_broker(error.str())
        else:
            self._watch.trouble(f"Kafka: {error.str()} ({error.name()})")

    def failed(self, error: BaseException) -> None:
        """The intake thread ended by a defect."""
        if not self._failure.done():
            self._failure.set_exception(error)

    # A request's way.

    def _take_in(self, partition: Partition, record: Record) -> None:
        item = partition.item(record)
        if partition.tracker is not None and record.offset >= partition.tracker.window_end:
            partition.beyond.append(item)
            self._pause(partition, "window")
        elif partition.enters(item):
            self._prepare(item)
        if partition.full():
            self._pause(partition, "bytes")

    def _prepare(self, item: Item | None) -> None:
        """Understand a request whose turn it is, and those behind it in the key as long as they end right here."""
        while item is not None:
            if not self._budget.begin():
                return
            prepared = self._parts.pipeline.prepare(item.record)
            if isinstance(prepared, Prepared):
                item.prepared = prepared
                self.scheduler.ready(item)
                return
            item.partition.leaves(item)
            item = self._settle(item, prepared)

    async def _serve(self, item: Item, slot: HeldSlot) -> None:
        """A request's task: from its start to its outcome."""
        if item.prepared is None:
            raise TypeError("a request starts only once it is understood")
        self._relieve(item.partition)
        try:
            outcome = await self._parts.pipeline.process(item.prepared, slot)
        except ProviderError as error:
            self._watch.trouble(f"a provider's trouble came through to a request ({error.error_class}); it goes back")
            self._wait_again(item)
            return
        reach("call_answered")
        self._prepare(self._settle(item, outcome))

    def _settle(self, item: Item, outcome: Outcome) -> Item | None:
        """Hand an outcome over to be published; the request that becomes ready by it."""
        partition, record = item.partition, item.record
        if not self._assignment.live(partition.id, partition.epoch):
            return None
        settlement = settle(record, outcome, self._parts.policy, self._parts.now_ms())
        self._budget.finished(settlement.outcome)
        self._watch.finished(record, settlement.outcome)
        if settlement.audit_dropped:
            self._watch.audit_dropped()
        size = sum(outgoing.size_bytes for outgoing in settlement.outgoing)
        self.commits.add(Settled(partition, record, Parcel(settlement.outgoing), size))
        return partition.after(item) if partition.phase is Phase.RUNNING else None

    def _wait_again(self, item: Item) -> None:
        if item.partition.phase is Phase.RUNNING:
            item.partition.waiting += 1
            item.partition.waiting_bytes += item.size
            self.scheduler.ready(item)

    def _may_start(self) -> bool:
        return not self.commits.full and not self._draining and self._budget.may_spend

    def _committed(self, partition: Partition, done: DoneMap) -> None:
        """A commit went through: the window moves on, a start is durable."""
        if partition.tracker is None:
            self._begin(partition, done)
            return
        partition.tracker.acknowledge(done)
        reach("acknowledged")
        while partition.beyond and partition.beyond[0].record.offset < partition.tracker.window_end:
            item = partition.beyond.popleft()
            if partition.enters(item):
                self._prepare(item)
        if not partition.beyond:
            self._resume(partition, "window")
        self._relieve(partition)
        self._judge_again_when_idle(partition)
        if self._budget.used_up and not self.commits.waiting and not self.scheduler.started:
            self.stop()
        self.scheduler.pump()

    def _relieve(self, partition: Partition) -> None:
        if "bytes" in partition.pauses and not partition.full():
            self._resume(partition, "bytes")

    # Where a partition starts, stops, pauses.

    async def _start(self, partitions: list[Partition]) -> None:
        """Judge partitions until the broker has answered, and begin those that may."""
        while True:
            partitions = [p for p in partitions if self._live(p)]
            if not partitions:
                return
            ids = [p.id for p in partitions]
            try:
                verdicts = await self._starting.run(lambda ids=ids: self._parts.starter.judge(ids))  # type: ignore[misc]
            except (KafkaException, LlmStreamError) as error:
                self._watch.trouble(f"where to start {', '.join(map(str, ids))} could not be found out yet: {error}")
                await asyncio.sleep(_START_AGAIN_S)
            else:
                break
        for partition in partitions:
            if self._live(partition):
                self._follow(partition, verdicts[partition.id])

    def _follow(self, partition: Partition, verdict: Start | Stopped) -> None:
        if isinstance(verdict, Stopped):
            self._stop(partition, verdict)
        elif verdict.commit_first:
            reach("start_commit")
            self.commits.add_start(partition, verdict.done)
        else:
            self._begin(partition, verdict.done)

    def _begin(self, partition: Partition, done: DoneMap) -> None:
        partition.tracker = OffsetTracker(done)
        partition.phase = Phase.RUNNING
        partition.pauses.discard("starting")
        self._intake.begin(partition.id, partition.epoch, done.base)
        self._watch.started(str(partition.id), done.base)

    def _stop(self, partition: Partition, stopped: Stopped) -> None:
        partition.stop = stopped
        partition.phase = Phase.STOPPED
        self._watch.stopped(str(partition.id), stopped.cause, stopped.detail, stopped.remedy)

    def _judge_again_when_idle(self, partition: Partition) -> None:
        if partition.out_of_range and partition.idle and partition.phase is Phase.RUNNING:
            self._begin_again(partition)

    def _begin_again(self, partition: Partition) -> None:
        """Give up what we know of a partition and judge it anew, in a new epoch."""
        self._forget(partition)
        self._intake.restart(partition.id)

    def _pause(self, partition: Partition, reason: str) -> None:
        if not partition.pauses:
            self._intake.pause(partition.id, partition.epoch)
        partition.pauses.add(reason)

    def _resume(self, partition: Partition, reason: str) -> None:
        if reason in partition.pauses:
            partition.pauses.discard(reason)
            if not partition.pauses:
                self._intake.resume(partition.id, partition.epoch)

    # Letting go.

    def _forget(self, partition: Partition | None) -> None:
        """Drop a partition's state at once; what was in flight is run again by whoever reads it next."""
        if partition is not None:
            partition.phase = Phase.ENDED
            self.scheduler.forget(partition)
            partition.forget_waiting()
            partition.cancel(only_waiting=False)
            self._assignment.end(partition.id, partition.epoch)

    async def _revoke(self, partitions: list[Partition], lost: bool, released: threading.Event) -> None:
        started_s = self._loop.time()
        try:
            cancelled = 0 if lost else await self._drain(partitions, self._settings.rebalance_drain_s)
            for partition in partitions:
                cancelled += partition.cancel(only_waiting=False)
                self._assignment.end(partition.id, partition.epoch)
            await self.commits.released(partitions, LET_GO_S)
            for partition in partitions:
                self._forget(partition)
                if self._partitions.get((partition.id.topic, partition.id.partition)) is partition:
                    del self._partitions[partition.id.topic, partition.id.partition]
        finally:
            released.set()
        if partitions:
            seconds = self._loop.time() - started_s
            names = [str(p.id) for p in partitions]
            self._watch.revoked(names, lost=lost, cancelled=cancelled, seconds=seconds)

    async def _drain(self, partitions: Sequence[Partition], seconds: float) -> int:
        """Let calls in flight end and be committed, for so long; nothing new starts. How many calls were given up."""
        deadline_s = self._loop.time() + seconds
        for partition in partitions:
            if partition.phase is Phase.RUNNING:
                partition.phase = Phase.DRAINING
            self.scheduler.forget(partition)
            partition.forget_waiting()
            partition.cancel(only_waiting=True)
        running = [task for p in partitions for task, _ in p.running.values()]
        if running:
            await asyncio.wait(running, timeout=seconds)
        cancelled = sum(p.cancel(only_waiting=False) for p in partitions)
        try:
            left_s = max(deadline_s - self._loop.time(), 1.0)
            await asyncio.wait_for(self.commits.drained(partitions), left_s)
        except TimeoutError:
            self._watch.trouble("not every outcome could be committed before its partition was given back")
        return cancelled

    async def _drain_all(self) -> None:
        reach("draining")
        self._draining = True
        self._watch.draining(self._settings.drain_timeout_s)
        await self._drain(list(self._partitions.values()), self._settings.drain_timeout_s)

    async def _leave(self) -> None:
        """Leave the group and end the threads. Bounded: a broker that is gone can't hold us."""
        self._intake.stop()
        await asyncio.to_thread(self._intake.join, 10.0)
        await asyncio.to_thread(self.commits.stop, 10.0)
        self._starting.submit(self._parts.starter.close)
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    # The broker.

    def _commit_as_member(self, commits: Sequence[Commit]) -> None:
        """At least once: the intake commits, for it is the member. Blocks the committer's thread. KafkaException."""
        answer: Future[None] = self._intake.commit(commits)
        answer.result(timeout=30)

    async def _watch_broker(self) -> None:
        """Ask now and then whether a broker answers, and whether the topics are still the same."""
        known = dict(self._parts.topic_ids())
        while True:
            await asyncio.sleep(30 if self._brokers_up else 2)
            if not await self._asking.run(self._parts.broker_answers):
                continue
            self._saw_broker()
            now = self._parts.topic_ids()
            for partition in list(self._partitions.values()):
                before, after = known.get(partition.id.topic), now.get(partition.id.topic)
                if before and before != after and partition.stop is None:
                    self._stop_for_good(partition, before, after)

    def _stop_for_good(self, partition: Partition, before: str, after: str | None) -> None:
        self._pause(partition, "stopped")
        self._forget(partition)
        became = (
            f"is gone (its id was {before})" if after is None else f"was recreated: its id was {before}, now {after}"
        )
        detail = f"{partition.id}: topic {partition.id.topic} {became}."
        self._stop(partition, Stopped(StopCause.TOPIC_CHANGED, detail))

    def _lost_broker(self, detail: str) -> None:
        if self._brokers_up:
            self._brokers_up = False
            self._watch.brokers(up=False, detail=detail)

    def _saw_broker(self) -> None:
        if not self._brokers_up:
            self._brokers_up = True
            self._watch.brokers(up=True, detail="")

    def _live(self, partition: Partition) -> bool:
        return self._assignment.live(partition.id, partition.epoch)

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)


class _OnLoop:
    """The intake's reports, carried over to the loop."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._call = loop.call_soon_threadsafe

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        self._call(self._worker.received, batch, taken)

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        self._call(self._worker.assigned, partitions)

    def revoked(self, partitions: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        self._call(self._worker.revoked, partitions, lost, released)

    def out_of_range(self, partition: TopicPartition, detail: str) -> None:
        self._call(self._worker.out_of_range, partition, detail)

    def trouble(self, error: KafkaError) -> None:
        self._call(self._worker.trouble, error)

    def failed(self, error: BaseException) -> None:
        self._call(self._worker.failed, error)
