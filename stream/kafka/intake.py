"""The thread that owns the Consumer: reads records, serves rebalances, pauses and resumes. Nobody else touches it.

Promises: it polls always, except inside a rebalance callback, whose wait goes on ticking; callbacks never raise and
never wait for the broker; a partition is assigned paused and moves only when told where to start; a revoke callback
returns only when the worker has let go of the partitions.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from stream.core.records import Record
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.failpoints import reach
from stream.kafka.member_commits import Commit, MemberCommits, OnCommit
from stream.kafka.messages import record_from

POLL_S = 0.02
"""How long an idle poll waits: commands (resume, seek, commit) wait at most this long."""

_NOWHERE = 0
"""Where a partition stands, paused, until its start is known: any absolute offset would do. At a logical one (the end)
librdkafka asks the broker, and an answer that comes late overrides the `seek`, even in mid-run: everything up to the
end would be passed over as if there were no records."""

MAX_BATCH = 500
MAX_BATCHES_UNTAKEN = 2

RebalanceCallback = Callable[[Consumer, list[Position]], None]
_Command = Callable[[Consumer], None]
MakeConsumer = Callable[[Callable[[KafkaError], None], OnCommit], Consumer]
"""Makes a member of the group, given librdkafka's `error_cb` and `on_commit`, both called inside `poll`."""


class Owner(Protocol):
    """Whom the intake reports to. All methods are called on the intake's thread, and must not wait or raise."""

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        """Records of one poll, in order per partition; call `taken` when they are taken over."""

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        """Partitions with their new epochs; they stay paused until `start`."""

    def revoked(self, partitions: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        """Let go of partitions, then set `released`. `lost`: they may belong to another already."""

    def reached_end(self, partition: TopicPartition, offset: int) -> None:
        """Everything before `offset` was read: the end of a partition for now."""

    def out_of_range(self, partition: TopicPartition, detail: str) -> None:
        """A partition's position left the log; it has stopped delivering."""

    def trouble(self, error: KafkaError) -> None:
        """Something librdkafka wants known (brokers down, authentication...)."""

    def failed(self, error: BaseException) -> None:
        """The thread ended by a defect; nothing more will come."""


class Reader(Protocol):
    """What the worker needs of an intake; all methods return at once, but `left`."""

    ticked_s: float
    """When the poll loop last went round (monotonic)."""

    def start(self) -> None:
        """Join the group and read."""

    def stop(self) -> None:
        """Leave the group (which revokes what is still assigned) and end."""

    async def left(self, timeout_s: float) -> bool:
        """Wait for the end after `stop`; whether it came."""
        ...

    def begin(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Read a partition from this offset on. Ignored if the epoch has ended, as `resume` is."""

    def pause(self, partition: TopicPartition) -> None:
        """Stop delivering a partition."""

    def resume(self, partition: TopicPartition, epoch: int) -> None:
        """Deliver a partition again."""

    def restart(self, partition: TopicPartition) -> None:
        """Begin a new epoch of a partition, as if it had just been assigned: it must be judged again."""

    def commit(self, commits: Sequence[Commit]) -> "Future[None]":
        """Commit offsets as a member of the group (at-least-once mode). The future fails with KafkaException."""
        ...


class Intake:
    """A `Reader` that is a thread with a Consumer of its own. `start` it once; `stop` leaves the group and ends it."""

    def __init__(self, make: MakeConsumer, topics: Sequence[str], assignment: Assignment, owner: Owner) -> None:
        self._make = make
        self._topics = list(topics)
        self._assignment = assignment
        self._owner = owner
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._commits = MemberCommits()
        """Served inside a rebalance callback too. Nothing else is: a partition that began there would get records that
        the same poll had read before."""
        self._untaken = threading.Semaphore(MAX_BATCHES_UNTAKEN)
        self._stopping = threading.Event()
        self._assigned: set[TopicPartition] = set()
        self._callback_failed: Exception | None = None
        self._commands_later: list[_Command] = []
        """What librdkafka refused and must be tried again: after the next poll."""
        self._ends: list[tuple[TopicPartition, int]] = []
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self.ticked_s = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    async def left(self, timeout_s: float) -> bool:
        await asyncio.to_thread(self._thread.join, timeout_s)
        return not self._thread.is_alive()

    def begin(self, partition: TopicPartition, epoch: int, offset: int) -> None:

        def start(consumer: Consumer) -> None:
            try:
                # Not a seek: where the log starts above 0, a first fetch from there has failed already, and then
                # librdkafka refuses to seek (_STATE). A new assignment forgets that failure.
                consumer.incremental_unassign([Position(partition.topic, partition.partition)])
                consumer.incremental_assign([Position(partition.topic, partition.partition, offset)])
                consumer.resume([Position(partition.topic, partition.partition)])
            except KafkaException as error:  # it would stand paused for ever, and everybody would think that it reads
                self._owner.trouble(error.args[0])
                self._assignment.end(partition)
                self.restart(partition)

        self._on_live(partition, epoch, start)

    def pause(self, partition: TopicPartition) -> None:
        def command(consumer: Consumer) -> None:
            if partition in self._assigned:
                consumer.pause([Position(partition.topic, partition.partition)])

        self._commands.put(command)

    def resume(self, partition: TopicPartition, epoch: int) -> None:
        self._on_live(partition, epoch, lambda c: c.resume([Position(partition.topic, partition.partition)]))

    def restart(self, partition: TopicPartition) -> None:
        def again(consumer: Consumer) -> None:
            if partition in self._assigned and not self._assignment.owned(partition):
                try:
                    self._assign_again(consumer, partition)
                except KafkaException as error:  # nobody else would try it again, and it is nobody's till then
                    self._owner.trouble(error.args[0])
                    self._assignment.end(partition)
                    self._commands_later.append(again)

        self._commands.put(again)

    def commit(self, commits: Sequence[Commit]) -> "Future[None]":
        return self._commits.ask(commits)

    def _on_live(self, partition: TopicPartition, epoch: int, act: Callable[[Consumer], None]) -> None:
        def command(consumer: Consumer) -> None:
            if self._assignment.live(partition, epoch):
                act(consumer)

        self._commands.put(command)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._read_until_trouble()
        except BaseException as error:  # noqa: BLE001  (a thread's end must be known, whatever it was)
            self._owner.failed(error)

    def _read_until_trouble(self) -> None:
        """One consumer's life: until told to stop, or until `poll` raises, after which it is made anew."""
        consumer = self._make(self._owner.trouble, self._commits.answered)
        self._ends.clear()
        consumer.subscribe(
            self._topics,
            on_assign=self._never_raising(self._on_assign),
            on_revoke=self._never_raising(self._on_revoke),
            on_lost=self._never_raising(self._on_lost),
        )
        try:
            while not self._stopping.is_set():
                self._serve(consumer)
                self._poll(consumer)
        except KafkaException as error:
            self._owner.trouble(error.args[0])
            self._let_go(list(self._assigned), lost=True, consumer=consumer)
        finally:
            consumer.close()
            self._commits.interrupt()
            self._let_go(list(self._assigned), lost=True, consumer=None)
            self._assignment.metadata = b""

    def _serve(self, consumer: Consumer) -> None:
        """Carry out what was asked. A refusal by librdkafka is reported; it concerns partitions that just moved."""
        again, self._commands_later = self._commands_later, []
        for command in again:
            self._commands.put(command)
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                break
            try:
                command(consumer)
            except KafkaException as error:
                self._owner.trouble(error.args[0])
        self._commits.send(consumer)

    def _poll(self, consumer: Consumer) -> None:
        before = self._assignment.epochs()
        message = consumer.poll(POLL_S)
        if self._callback_failed is not None:
            failure, self._callback_failed = self._callback_failed, None
            raise failure
        self._tick(consumer)
        if message is None:
            return
        batch = [record for m in (message, *consumer.consume(MAX_BATCH - 1, 0)) if (record := self._record(m))]
        ends, self._ends = self._ends, []
        # A callback inside of this poll may have ended epochs and begun new ones: what was read is of the old ones.
        now = self._assignment.epochs()
        if now != before:
            same = {partition for partition, epoch in before.items() if now.get(partition) == epoch}
            batch = [record for record in batch if TopicPartition(record.topic, record.partition) in same]
            ends = [end for end in ends if end[0] in same]
        if batch:
            while not self._untaken.acquire(timeout=1):
                if self._stopping.is_set():
                    return
            reach("received")
            self._owner.received(batch, self._untaken.release)
        for partition, offset in ends:
            self._owner.reached_end(partition, offset)

    def _tick(self, consumer: Consumer | None) -> None:
        self.ticked_s = time.monotonic()
        if consumer is not None:
            self._assignment.metadata = consumer.consumer_group_metadata()

    def _record(self, message: Message) -> Record | None:
        """The record in a message; None for an event, which is reported. Raises KafkaException if the consumer is done
        for."""
        error = message.error()
        topic, partition = message.topic(), message.partition()
        if error is None:
            return record_from(message)
        if error.fatal():
            raise KafkaException(error)
        if topic is None or partition is None:
            self._owner.trouble(error)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (librdkafka's local codes are spelt so)
            self._ends.append((TopicPartition(topic, partition), message.offset() or 0))
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._owner.out_of_range(TopicPartition(topic, partition), error.str())
        else:
            self._owner.trouble(error)
        return None

    def _never_raising(self, callback: RebalanceCallback) -> RebalanceCallback:
        """The callback, its exception kept for after `poll`: one that crosses the binding loses records, and comes out
        of it as something else. The consumer is then made anew."""

        def guarded(consumer: Consumer, positions: list[Position]) -> None:
            try:
                callback(consumer, positions)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is raised again outside)
                self._callback_failed = error

        return guarded

    def _on_assign(self, consumer: Consumer, positions: list[Position]) -> None:
        self._assign(consumer, [_partition(p) for p in positions])
        self._tick(consumer)

    def _assign_again(self, consumer: Consumer, partition: TopicPartition) -> None:
        """After an offset error only a new assignment recovers. The old one may be gone already."""
        with suppress(KafkaException):
            consumer.incremental_unassign([Position(partition.topic, partition.partition)])
        self._assign(consumer, [partition])

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin epochs: paused, until the worker has found out where to start."""
        begun = [(partition, self._assignment.begin(partition)) for partition in partitions]
        consumer.incremental_assign([Position(p.topic, p.partition, _NOWHERE) for p in partitions])
        self._assigned.update(partitions)
        if partitions:
            consumer.pause([Position(p.topic, p.partition) for p in partitions])
        reach("assign")
        self._owner.assigned(begun)

    def _on_revoke(self, consumer: Consumer, positions: list[Position]) -> None:
        reach("revoke")
        self._let_go([_partition(p) for p in positions], lost=False, consumer=consumer)
        reach("revoke_drained")
        consumer.incremental_unassign([Position(p.topic, p.partition) for p in positions])
        self._tick(consumer)

    def _on_lost(self, consumer: Consumer, positions: list[Position]) -> None:
        partitions = [_partition(p) for p in positions]
        for partition in partitions:
            self._assignment.end(partition)
        self._let_go(partitions, lost=True, consumer=consumer)
        consumer.incremental_unassign([Position(p.topic, p.partition) for p in positions])
        self._tick(consumer)

    def _let_go(self, partitions: list[TopicPartition], *, lost: bool, consumer: Consumer | None) -> None:
        """Wait, ticking and serving commits, until the worker has released the partitions; then their epochs end."""
        if partitions:
            self._commits.interrupt()
            released = threading.Event()
            self._owner.revoked(partitions, lost, released)
            while not released.wait(0.005):
                self._tick(consumer)
                if consumer is not None:
                    self._commits.carry_out(consumer)
        for partition in partitions:
            self._assignment.end(partition)
            self._assigned.discard(partition)


def _partition(position: Any) -> TopicPartition:
    return TopicPartition(position.topic, position.partition)
