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

from confluent_kafka import KafkaError, KafkaException

from stream.core.errors import LlmStreamError
from stream.core.offsets import Delivery, DoneMap, OffsetTracker, topic_hash
from stream.core.pipeline import Pipeline
from stream.core.records import Record
from stream.core.settlement import SettlePolicy
from stream.core.starting import Start, StopCause, Stopped
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.attempts import Committer
from stream.kafka.budget import Budget
from stream.kafka.commits import LET_GO_S, Commits
from stream.kafka.failpoints import reach
from stream.kafka.flow import Flow
from stream.kafka.intake import Commit, Owner, Reader
from stream.kafka.partition import Partition, Phase
from stream.kafka.scheduler import Admission
from stream.kafka.threads import Serial, SerialThread
from stream.settings.model import WorkerSettings
from stream.telemetry.figures import Figures
from stream.telemetry.watch import Watch

MAX_WAITING_BYTES = 128 * 1024 * 1024
"""How much may wait over all partitions; each gets its share of it, at most `partition.WAITING_BYTES`."""

WATCH_BROKER_S = 30.0
"""How often a broker is asked whether the topics are still the same."""

_START_AGAIN_S = 1.0
_LEAVE_S = 10.0
_COMMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; `app` wires it.

    make_intake: a member of the group that reports to the given owner. make_committer: given how to commit offsets as
    that member (at least once needs it). judge: where partitions start (blocking; raises KafkaException or one of our
    errors while the broker can't be asked). admissions: gates by provider name. topic_ids: of the request topics, as
    they are now. broker_answers: whether one does, within seconds (blocking). holds_no_record: whether a range that
    was passed over is empty indeed (blocking; raises KafkaException); None where reading can't skip.
    """

    make_intake: Callable[[Assignment, Owner], Reader]
    make_committer: Callable[[Callable[[Sequence[Commit]], None]], Committer]
    pipeline: Pipeline
    policy: SettlePolicy
    judge: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, Start | Stopped]]
    admissions: Mapping[str, Admission]
    topic_ids: Callable[[], Mapping[str, str | None]]
    broker_answers: Callable[[], bool]
    watch: Watch
    now_ms: Callable[[], int]
    make_thread: Callable[[str], Serial] = SerialThread
    holds_no_record: Callable[[TopicPartition, int, int], bool] | None = None


class Worker:
    """One member of the fleet. `run` it until `stop` is called or its budget is used up."""

    def __init__(self, parts: Parts, settings: WorkerSettings, budget: Budget) -> None:
        self._parts = parts
        self._settings = settings
        self._watch = parts.watch
        self._assignment = Assignment()
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._loop = asyncio.get_running_loop()
        self._intake = parts.make_intake(self._assignment, _OnLoop(self, self._loop))
        self._flow = Flow(
            parts.pipeline,
            parts.policy,
            self._intake,
            self._live,
            budget,
            parts.watch,
            parts.now_ms,
            self.failed,
            max_in_flight=settings.max_in_flight,
            admissions=parts.admissions,
        )
        self._commits = self._flow.commits = Commits(
            parts.make_committer(self._commit_as_member),
            parts.make_thread("committer"),
            self._assignment,
            lambda topic: topic_hash(parts.topic_ids().get(topic), topic),
            self._committed,
            parts.watch,
            interval_s=settings.commit_interval_ms / 1000,
            transactional=settings.delivery == "exactly_once",
            quiet=lambda: self._flow.scheduler.started == 0,
        )
        self._starting = parts.make_thread("starter")
        self._asking = parts.make_thread("broker-watch")
        self._gaps = parts.make_thread("gaps")
        self._stopping = asyncio.Event()
        self._stop_cause = ""
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._assignment_known = False
        self._brokers_up = True

    def stop(self, cause: str = "asked to") -> None:
        """Drain and leave. May be called from a signal handler on the loop."""
        self._stop_cause = self._stop_cause or cause
        self._stopping.set()

    def figures(self) -> Figures:
        """What the worker is like right now."""
        partitions = list(self._partitions.values())
        return Figures(
            in_flight=self._flow.scheduler.slots.used,
            waiting=sum(p.waiting for p in partitions) + self._flow.scheduler.started - self._flow.scheduler.slots.used,
            waiting_bytes=sum(p.waiting_bytes for p in partitions),
            uncommitted=self._commits.waiting,
            partitions=tuple(str(p.id) for p in partitions),
            stopped={str(p.id): p.stop.cause for p in partitions if p.stop},
            ticked_s_ago=time.monotonic() - self._intake.ticked_s,
            assignment_known=self._assignment_known,
            brokers_up=self._brokers_up,
            draining=self._flow.draining,
        )

    async def run(self) -> None:
        """Work until told to stop. Raises FencedError, or whatever broke the intake or the committer."""
        self._intake.start()
        committing = self._spawn(self._commits.run())
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
                    self._flow.take_in(partition, record)
                case Delivery.TRUNCATED:
                    self._watch.trouble(f"{partition.id}: the log was cut below offset {partition.tracker.position}")
                    self._begin_again(partition)
                case Delivery.SKIP:
                    pass
        for key in {(record.topic, record.partition) for record in batch}:
            self._doubt_gaps(self._partitions.get(key))
        self._flow.scheduler.pump()

    def reached_end(self, id_: TopicPartition, offset: int) -> None:
        """The end of a partition: what stands between its last record and here holds none (transaction markers)."""
        partition = self._partitions.get((id_.topic, id_.partition))
        if partition is None or partition.phase is not Phase.RUNNING or partition.tracker is None:
            return
        partition.tracker.passed(offset)
        self._doubt_gaps(partition)
        if partition.idle:
            self._commits.advance(partition)

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
        if partition is not None and partition.phase is Phase.RUNNING:
            partition.out_of_range = detail
            self._flow.pause(partition, "out_of_range")
            self._judge_again_when_idle(partition)

    def trouble(self, error: KafkaError) -> None:
        """librdkafka wants something known."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  (librdkafka's local codes are spelt so)
            self._lost_broker(error.str())
        else:
            self._watch.trouble(f"Kafka: {error.str()} ({error.name()})")

    def failed(self, error: BaseException) -> None:
        """The intake thread or a request's task ended by a defect: nothing may stay in limbo, so the worker ends."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _committed(self, partition: Partition, done: DoneMap) -> None:
        """A commit went through: a start is durable, or the window moves on."""
        if partition.tracker is None:
            self._begin(partition, done)
            return
        self._flow.moved(partition, done)
        self._flow.relieve(self._partitions.values())
        self._judge_again_when_idle(partition)
        if self._flow.done:
            self.stop(self._flow.done_because)
        self._flow.scheduler.pump()

    # Where a partition starts, stops, pauses.

    async def _start(self, partitions: list[Partition]) -> None:
        """Judge partitions until the broker has answered, and begin those that may."""
        while True:
            partitions = [p for p in partitions if self._live(p)]
            if not partitions:
                return
            ids = [p.id for p in partitions]
            topic_ids = self._parts.topic_ids()
            for partition in partitions:
                partition.topic_hash = topic_hash(topic_ids.get(partition.id.topic), partition.id.topic)
            try:
                verdicts = await self._starting.run(lambda ids=ids: self._parts.judge(ids))  # type: ignore[misc]
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
            self._commits.add_start(partition, verdict.done)
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

    def _doubt_gaps(self, partition: Partition | None) -> None:
        """Have the gaps that reading left confirmed by somebody else."""
        if partition is None or partition.tracker is None or not partition.tracker.unproven:
            return
        for gap in partition.tracker.unproven - partition.doubted:
            partition.doubted.add(gap)
            self._spawn(self._prove(partition, partition.tracker, gap))

    async def _prove(self, partition: Partition, tracker: OffsetTracker, gap: tuple[int, int]) -> None:
        """A gap without records counts as finished. One with records means that they were never delivered to us: the
        partition is read again from its commit."""
        look = self._parts.holds_no_record
        while self._live(partition):
            try:
                empty = look is None or await self._gaps.run(lambda: look(partition.id, *gap))
            except KafkaException as error:
                self._watch.trouble(f"{partition.id}: a gap could not be looked into yet: {error.args[0].str()}")
                await asyncio.sleep(_START_AGAIN_S)
                continue
            if not self._live(partition):
                return
            partition.doubted.discard(gap)
            if empty:
                tracker.prove(gap)
                self._commits.advance(partition)
            else:
                self._watch.trouble(
                    f"{partition.id}: offsets {gap[0]} to {gap[1] - 1} were skipped; reading them again"
                )
                self._begin_again(partition)
            return

    def _judge_again_when_idle(self, partition: Partition) -> None:
        if partition.out_of_range and partition.idle and partition.phase is Phase.RUNNING:
            self._begin_again(partition)

    def _begin_again(self, partition: Partition) -> None:
        """Give up what we know of a partition and judge it anew, in a new epoch: once no open attempt can move its
        commit behind the judge's back."""
        self._forget(partition)
        self._spawn(self._restart(partition))

    async def _restart(self, partition: Partition) -> None:
        await self._commits.released([partition], LET_GO_S)
        self._flow.scheduler.pump()
        self._intake.restart(partition.id)

    # Letting go.

    def _forget(self, partition: Partition | None) -> None:
        """Drop a partition's state at once; what was in flight is run again by whoever reads it next."""
        if partition is not None:
            partition.phase = Phase.ENDED
            self._flow.forget_waiting(partition)
            partition.cancel(only_waiting=False)
            self._assignment.end(partition.id, partition.epoch)

    async def _revoke(self, partitions: list[Partition], lost: bool, released: threading.Event) -> None:
        started_s = self._loop.time()
        try:
            broken = self._failure.done()
            cancelled = 0 if lost or broken else await self._drain(partitions, self._settings.rebalance_drain_s)
            for partition in partitions:
                cancelled += partition.cancel(only_waiting=False)
                self._assignment.end(partition.id, partition.epoch)
            await self._commits.released(partitions, LET_GO_S)
            for partition in partitions:
                self._forget(partition)
                if self._partitions.get((partition.id.topic, partition.id.partition)) is partition:
                    del self._partitions[partition.id.topic, partition.id.partition]
            self._flow.relieve(self._partitions.values())
            self._flow.scheduler.pump()  # outcomes that were dropped with them may have kept others from starting
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
            self._flow.forget_waiting(partition)
            partition.cancel(only_waiting=True)
        while (left_s := deadline_s - self._loop.time()) > 0:
            running = [task for p in partitions for task, _ in p.running.values()]
            if not running:
                break
            await asyncio.wait(running, timeout=min(left_s, 0.1))
            for partition in partitions:
                partition.cancel(only_waiting=True)  # a call that failed must not wait for its next try
        cancelled = sum(p.cancel(only_waiting=False) for p in partitions)
        try:
            left_s = max(deadline_s - self._loop.time(), 1.0)
            await asyncio.wait_for(self._commits.drained(partitions), left_s)
        except TimeoutError:
            self._watch.trouble("not every outcome could be committed before its partition was given back")
        return cancelled

    async def _drain_all(self) -> None:
        reach("draining")
        self._flow.draining = True
        self._watch.draining(self._settings.drain_timeout_s, self._stop_cause)
        await self._drain(list(self._partitions.values()), self._settings.drain_timeout_s)

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
        known = dict(self._parts.topic_ids())
        missed: set[TopicPartition] = set()
        while True:
            await asyncio.sleep(WATCH_BROKER_S if self._brokers_up else 2)
            if not await self._asking.run(self._parts.broker_answers):
                continue
            self._saw_broker()
            now = self._parts.topic_ids()
            for partition in list(self._partitions.values()):
                before, after = known.get(partition.id.topic), now.get(partition.id.topic)
                if not before or before == after or partition.stop is not None:
                    missed.discard(partition.id)
                elif after is None and partition.id not in missed:
                    missed.add(partition.id)  # one broker that doesn't know it yet is no proof: ask again
                else:
                    self._stop_for_good(partition, before, after)

    def _stop_for_good(self, partition: Partition, before: str, after: str | None) -> None:
        self._flow.pause(partition, "stopped")
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
    """The intake's reports, carried over to the loop. A report that fails by a defect ends the worker."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        self._report(self._worker.received, batch, taken)

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        self._report(self._worker.assigned, partitions)

    def revoked(self, partitions: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        self._report(self._worker.revoked, partitions, lost, released)

    def reached_end(self, partition: TopicPartition, offset: int) -> None:
        self._report(self._worker.reached_end, partition, offset)

    def out_of_range(self, partition: TopicPartition, detail: str) -> None:
        self._report(self._worker.out_of_range, partition, detail)

    def trouble(self, error: KafkaError) -> None:
        self._report(self._worker.trouble, error)

    def failed(self, error: BaseException) -> None:
        self._report(self._worker.failed, error)

    def _report(self, what: Callable[..., None], *about: Any) -> None:
        self._loop.call_soon_threadsafe(self._guarded, what, about)

    def _guarded(self, what: Callable[..., None], about: tuple[Any, ...]) -> None:
        try:
            what(*about)
        except Exception as error:  # noqa: BLE001  (whatever it is, records are in limbo: the worker must end)
            self._worker.failed(error)
