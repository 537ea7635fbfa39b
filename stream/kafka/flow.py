"""A request's way through the worker: taken in, understood, started, settled, committed, and who must wait meanwhile.

Runs on the event loop; owns the partitions' queues, not their assignment.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from stream.core.errors import INTERNAL_ERROR, ProviderError
from stream.core.offsets import DoneMap
from stream.core.outcomes import Completed, DeadLettered, Failure, Outcome
from stream.core.pipeline import Pipeline, Prepared, unforeseen
from stream.core.records import Record
from stream.core.settlement import Settlement, SettlePolicy, settle
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Parcel, Settled
from stream.kafka.budget import Budget
from stream.kafka.commits import Commits
from stream.kafka.failpoints import reach
from stream.kafka.partition import Item, Partition, Phase
from stream.kafka.scheduler import Admission, Scheduler
from stream.kafka.slots import HeldSlot
from stream.telemetry.watch import Watch


class Tap(Protocol):
    """Turns the delivery of a partition off and on."""

    def pause(self, partition: TopicPartition) -> None: ...

    def resume(self, partition: TopicPartition, epoch: int) -> None: ...


class Flow:
    """Everything between a record that was read and an outcome that waits for its commit.

    live: whether a partition's epoch is still ours. on_defect: told of what no code foresaw; the worker must end. Set
    `commits` before the first record comes.
    """

    commits: Commits

    def __init__(
        self,
        pipeline: Pipeline,
        policy: Callable[[str, str | None], SettlePolicy],
        tap: Tap,
        live: Callable[[Partition], bool],
        budget: Budget,
        watch: Watch,
        now_ms: Callable[[], int],
        on_defect: Callable[[BaseException], None],
        *,
        max_in_flight: int,
        admissions: Mapping[str, Admission],
    ) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._tap = tap
        self._live = live
        self._budget = budget
        self._watch = watch
        self._now_ms = now_ms
        self.draining = False
        self.scheduler = Scheduler(max_in_flight, admissions, self._serve, self._may_start, on_defect)

    @property
    def done(self) -> bool:
        """Whether the budget is used up and everything that was begun is visible. What the broker refuses is waited
        for: it is paid already."""
        waits = self._budget.may_spend and self.scheduler.waiting  # begun, and only held up: by a gate, by a slot
        return self._budget.used_up and not (self.commits.unpublished or self.scheduler.started or waits)

    @property
    def done_because(self) -> str:
        """Why `done` came to be."""
        return self._budget.used_up_because

    def take_in(self, partition: Partition, record: Record) -> None:
        """A record that must be run. Call `scheduler.pump` after the last of several."""
        item = partition.item(record)
        if partition.tracker is not None and record.offset >= partition.tracker.window_end:
            partition.beyond.append(item)
            self.pause(partition, "window")
        elif partition.enters(item):
            self._prepare(item)
        if partition.full():
            self.pause(partition, "bytes")
        if self.commits.full:
            self.pause(partition, "outcomes")

    def moved(self, partition: Partition, done: DoneMap) -> None:
        """A commit went through: the window moves on. Call `scheduler.pump` afterwards."""
        if partition.tracker is None:
            return
        partition.tracker.acknowledge(done)
        reach("acknowledged")
        while partition.beyond and partition.beyond[0].record.offset < partition.tracker.window_end:
            item = partition.beyond.popleft()
            if partition.enters(item):
                self._prepare(item)
        if not partition.beyond:
            self.resume(partition, "window")
        self._relieve(partition)

    def relieve(self, partitions: Iterable[Partition]) -> None:
        """Read on where only unpublished outcomes were in the way: there is room for more."""
        for partition in partitions:
            self.resume(partition, "outcomes")

    def forget_waiting(self, partition: Partition) -> None:
        """Let go of everything of a partition that isn't running: others will read it again."""
        self.scheduler.forget(partition)
        partition.forget_waiting()

    def pause(self, partition: Partition, reason: str) -> None:
        """Stop reading a partition, for one more reason."""
        if not partition.pauses:
            self._tap.pause(partition.id)
        partition.pauses.add(reason)

    def resume(self, partition: Partition, reason: str) -> None:
        """Read a partition again, if this was its last reason not to."""
        if reason in partition.pauses:
            partition.pauses.discard(reason)
            if not partition.pauses:
                self._tap.resume(partition.id, partition.epoch)

    def _prepare(self, item: Item | None) -> None:
        """Understand a request whose turn it is, and those behind it in the key as long as they end right here."""
        while item is not None:
            if not self._budget.begin():
                return
            prepared = self._pipeline.prepare(item.record)
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
        if not self._live(item.partition):
            return  # lost a moment ago: whoever owns the partition now pays for it
        self._relieve(item.partition)
        try:
            outcome = await self._pipeline.process(item.prepared, slot)
        except ProviderError as error:
            self._watch.trouble(f"a provider's trouble came through to a request ({error.error_class}); it goes back")
            self._wait_again(item)
            return
        reach("call_answered")
        self._prepare(self._settle(item, outcome))

    def _settle(self, item: Item, outcome: Outcome) -> Item | None:
        """Hand an outcome over to be published; the request that becomes ready by it."""
        partition, record = item.partition, item.record
        if not self._live(partition):
            return None
        settlement = self._settlement(record, outcome, self._policy(partition.id.topic, partition.topic_id))
        self._budget.finished(settlement.outcome)
        self._watch.finished(record, settlement.outcome)
        if settlement.audit_dropped:
            self._watch.audit_dropped()
        size = sum(outgoing.size_bytes for outgoing in settlement.outgoing)
        self.commits.add(Settled(partition, record, Parcel(settlement.outgoing), size))
        return partition.after(item) if partition.phase is Phase.RUNNING else None

    def _settlement(self, record: Record, outcome: Outcome, policy: SettlePolicy) -> Settlement:
        """What to publish. An outcome that can't be settled by a defect of ours is a dead letter, never in limbo."""
        now_ms = self._now_ms()
        try:
            return settle(record, outcome, policy, now_ms)
        except Exception as error:  # noqa: BLE001  (the promise: an unknown exception is a dead letter, not a crash)
            cost = outcome.cost if isinstance(outcome, Completed) else outcome.failure.cost
            failure = Failure("encode", INTERNAL_ERROR, unforeseen(error), (), cost)
            return settle(record, DeadLettered(failure, outcome.request), policy, now_ms)

    def _wait_again(self, item: Item) -> None:
        if item.partition.phase is Phase.RUNNING:
            item.partition.returns(item)
            self.scheduler.ready(item)

    def _may_start(self) -> bool:
        room = not self.commits.full and not self.draining
        return room and self._budget.may_start(self.scheduler.started)

    def _relieve(self, partition: Partition) -> None:
        if "bytes" in partition.pauses and not partition.full():
            self.resume(partition, "bytes")
