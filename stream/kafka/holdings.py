"""The partitions a worker holds: where each starts, when it is judged again, how it is let go of.

Promises: nothing of a partition is served before its start is known, and durable where that matters; what is given up
or taken away ends its epoch, so that nothing of it is committed afterwards; a revoked partition is released only once
no open attempt holds it. Runs on the event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream.core.errors import LlmStreamError
from stream.core.offsets import DoneMap, OffsetTracker, topic_hash
from stream.core.starting import Start, StopCause, Stopped
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.commits import LET_GO_S, Commits
from stream.kafka.failpoints import reach
from stream.kafka.flow import Flow
from stream.kafka.intake import Reader
from stream.kafka.partition import Partition, Phase
from stream.kafka.parts import Parts
from stream.settings.model import WorkerSettings

MAX_WAITING_BYTES = 128 * 1024 * 1024
"""How much may wait over all partitions; each gets its share of it, at most `partition.WAITING_BYTES`."""

_AGAIN_S = 1.0


class Holdings:
    """See the module.

    spawn: runs a coroutine as a task of the worker's. broken: whether the worker is ending by a defect, so that
    draining would wait for what never comes.
    """

    def __init__(
        self,
        parts: Parts,
        settings: WorkerSettings,
        assignment: Assignment,
        intake: Reader,
        flow: Flow,
        commits: Commits,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        broken: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._assignment = assignment
        self._intake = intake
        self._flow = flow
        self._commits = commits
        self._spawn = spawn
        self._broken = broken
        self._watch = parts.watch
        self._held: dict[tuple[str, int], Partition] = {}
        self._begun: dict[str, int] = {}
        self._starting = parts.make_thread("starter")
        self._gaps = parts.make_thread("gaps")

    @property
    def all(self) -> list[Partition]:
        """Every partition that is ours, in whatever phase."""
        return list(self._held.values())

    def running(self, topic: str, partition: int) -> Partition | None:
        """The partition, if it is ours and being read."""
        found = self._held.get((topic, partition))
        return found if found and found.phase is Phase.RUNNING and found.tracker is not None else None

    def assigned(self, begun: Iterable[tuple[TopicPartition, int]]) -> None:
        """Partitions are ours, in new epochs: find out where they start."""
        partitions = [Partition(id_, epoch, self._settings.ordering == "key") for id_, epoch in begun]
        for partition in partitions:
            if before := self._held.get((partition.id.topic, partition.id.partition)):
                self.forget(before)
            self._held[partition.id.topic, partition.id.partition] = partition
        for partition in self._held.values():
            partition.share(MAX_WAITING_BYTES // len(self._held))
        if partitions or not self._held:  # a rebalance that brings nothing new is no news
            self._watch.assigned(str(p.id) for p in partitions)
            self._tell_accepted_in_vain()
        if partitions and not self._flow.draining:  # who is leaving gives them back untouched
            self._spawn(self._start(partitions))

    def revoked(self, ids: Iterable[TopicPartition], lost: bool, released: threading.Event) -> None:
        """Let go of partitions, draining them first unless they are lost already; then set `released`."""
        found = [self._held.get((id_.topic, id_.partition)) for id_ in ids]
        self._spawn(self._revoke([p for p in found if p is not None], lost, released))

    def begin(self, partition: Partition, done: DoneMap) -> None:
        """Read a partition from here on."""
        partition.tracker = OffsetTracker(done)
        partition.phase = Phase.RUNNING
        partition.pauses.discard("starting")
        self._intake.begin(partition.id, partition.epoch, done.base)
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._tell_begun)
        self._begun[str(partition.id)] = done.base

    def begin_again(self, partition: Partition) -> None:
        """Give up what we know of a partition and judge it anew, in a new epoch: once no open attempt can move its
        commit behind the judge's back."""
        self.forget(partition)
        self._spawn(self._restart(partition))

    def left_the_log(self, id_: TopicPartition, detail: str) -> None:
        """Reading left the log: what was read is finished, then the partition is judged again."""
        partition = self.running(id_.topic, id_.partition)
        if partition is not None:
            partition.out_of_range = detail
            self._flow.pause(partition, "out_of_range")
            if not partition.idle:
                self._watch.trouble(f"{id_}: reading left the log ({detail}); what was read of it is finished first")
            self.judge_again_when_idle(partition)

    def judge_again_when_idle(self, partition: Partition) -> None:
        """Judge a partition whose reading left the log, if nothing of it is left to finish."""
        if partition.out_of_range and partition.idle and partition.phase is Phase.RUNNING:
            self.begin_again(partition)

    def doubt_gaps(self, partition: Partition) -> None:
        """Have the gaps that reading left confirmed by somebody else."""
        if partition.tracker is None or not partition.tracker.unproven:
            return
        for gap in partition.tracker.unproven - partition.doubted:
            partition.doubted.add(gap)
            self._spawn(self._prove(partition, partition.tracker, gap))

    def stop(self, partition: Partition, stopped: Stopped) -> None:
        """Serve no more of a partition until a person decides."""
        partition.stop = stopped
        partition.phase = Phase.STOPPED
        self._watch.stopped(str(partition.id), stopped.cause, stopped.detail, stopped.remedy)

    def topic_changed(self, partition: Partition, what: str) -> None:
        """A running partition's topic is gone or another one now: stop it, and commit nothing more of it."""
        self._flow.pause(partition, "stopped")
        self.forget(partition)
        self.stop(partition, Stopped(StopCause.TOPIC_CHANGED, f"{partition.id}: topic {partition.id.topic} {what}."))

    def forget(self, partition: Partition) -> None:
        """Drop a partition's state at once; what was in flight is run again by whoever reads it next."""
        partition.phase = Phase.ENDED
        self._flow.forget_waiting(partition)
        partition.cancel(only_waiting=False)
        self._assignment.end(partition.id, partition.epoch)

    def live(self, partition: Partition) -> bool:
        """Whether this epoch of a partition is still ours."""
        return self._assignment.live(partition.id, partition.epoch)

    async def drain(self, partitions: Sequence[Partition], seconds: float) -> None:
        """Let calls in flight end and be committed, for so long; nothing new starts."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + seconds
        for partition in partitions:
            if partition.phase is Phase.RUNNING:
                partition.phase = Phase.DRAINING
            if partition.draining_since_s is None:
                partition.draining_since_s = loop.time()
            self._flow.forget_waiting(partition)
            partition.cancel(only_waiting=True)
        while (left_s := deadline_s - loop.time()) > 0:
            running = [task for p in partitions for task, _ in p.running.values()]
            if not running:
                break
            await asyncio.wait(running, timeout=min(left_s, 0.1))
            for partition in partitions:
                partition.cancel(only_waiting=True)  # a call that failed must not wait for its next try
        for partition in partitions:
            partition.cancel(only_waiting=False)
        try:
            left_s = max(deadline_s - loop.time(), 1.0)
            await asyncio.wait_for(self._commits.drained(partitions), left_s)
        except TimeoutError:
            self._watch.trouble("not every outcome could be committed before its partition was given back")

    async def _start(self, partitions: list[Partition]) -> None:
        """Judge partitions until the broker has answered for each, and begin those that may."""
        while partitions := [p for p in partitions if self.live(p)]:
            ids = [p.id for p in partitions]
            topic_ids = self._parts.topic_ids()
            for partition in partitions:
                partition.topic_id = topic_ids.get(partition.id.topic)
                partition.topic_hash = topic_hash(partition.topic_id, partition.id.topic)
            try:
                verdicts = await self._starting.run(lambda ids=ids: self._parts.judge(ids))  # type: ignore[misc]
            except (KafkaException, LlmStreamError) as error:
                self._not_yet(partitions, str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            for partition in partitions:
                if partition.id in verdicts and self.live(partition):
                    self._follow(partition, verdicts[partition.id])
            partitions = [p for p in partitions if p.id not in verdicts]
            if partitions:
                self._not_yet(partitions, "their broker doesn't answer")
                await asyncio.sleep(_AGAIN_S)

    def _not_yet(self, partitions: Sequence[Partition], why: str) -> None:
        names = ", ".join(str(p.id) for p in partitions)
        self._watch.trouble(f"where to start {names} could not be found out yet: {why}")

    def _tell_accepted_in_vain(self) -> None:
        for flag, id_ in self._parts.accepted:
            if (id_.topic, id_.partition) not in self._held:
                self._watch.trouble(
                    f"{flag} {id_} has no effect yet: another worker of the group has that partition. "
                    "Stop the others, or start the one that has it with that option."
                )

    def _tell_begun(self) -> None:
        """All that began in the same turn of the loop, at once: a worker with hundreds of partitions says one line."""
        begun, self._begun = self._begun, {}
        self._watch.started(begun)

    def _follow(self, partition: Partition, verdict: Start | Stopped) -> None:
        if isinstance(verdict, Stopped):
            self.stop(partition, verdict)
        elif verdict.commit_first:
            reach("start_commit")
            self._commits.add_start(partition, verdict.done)
        else:
            self.begin(partition, verdict.done)

    async def _prove(self, partition: Partition, tracker: OffsetTracker, gap: tuple[int, int]) -> None:
        """A gap without records counts as finished. One with records means that they were never delivered to us: the
        partition is read again from its commit."""
        look = self._parts.holds_no_record
        while self.live(partition):
            try:
                empty = look is None or await self._gaps.run(lambda: look(partition.id, *gap))
            except KafkaException as error:
                if error.args[0].code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  (retention came first)
                    self.left_the_log(partition.id, f"offsets {gap[0]} to {gap[1] - 1} can't be read any more")
                    return
                self._watch.trouble(f"{partition.id}: a gap could not be looked into yet: {error.args[0].str()}")
                await asyncio.sleep(_AGAIN_S)
                continue
            if not self.live(partition):
                return
            partition.doubted.discard(gap)
            if empty:
                tracker.prove(gap)
                self._commits.advance(partition)
            else:
                self._watch.trouble(
                    f"{partition.id}: offsets {gap[0]} to {gap[1] - 1} were skipped; reading them again"
                )
                self.begin_again(partition)
            return

    async def _restart(self, partition: Partition) -> None:
        await self._commits.released([partition], LET_GO_S)
        self._intake.restart(partition.id)

    async def _revoke(self, partitions: list[Partition], lost: bool, released: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        try:
            in_vain = lost or self._broken()
            if not in_vain:
                await self.drain(partitions, self._settings.rebalance_drain_s)
            for partition in partitions:
                partition.cancel(only_waiting=False)
                self._assignment.end(partition.id, partition.epoch)
            await self._commits.released(partitions, LET_GO_S)
            for partition in partitions:
                self.forget(partition)
                if self._held.get((partition.id.topic, partition.id.partition)) is partition:
                    del self._held[partition.id.topic, partition.id.partition]
        finally:
            released.set()
        if partitions:
            names = [str(p.id) for p in partitions]
            started_s = min(now_s if p.draining_since_s is None else p.draining_since_s for p in partitions)
            given_up = sum(p.given_up for p in partitions)
            self._watch.revoked(names, lost=lost, cancelled=given_up, seconds=loop.time() - started_s)
