"""A commit loop over a committer that ends attempts as told, and the partitions it serves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from stream.core.offsets import Delivery, DoneMap, OffsetTracker, decode_map, topic_hash
from stream.core.records import Outgoing
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.attempts import Attempt, Ending, Parcel, Result, Settled
from stream.kafka.carrier import Carrier
from stream.kafka.commits import Commits
from stream.kafka.partition import Partition, Phase
from stream.telemetry.watch import Watch
from tests.support.outcome_builders import record

TOPIC = topic_hash(None, "requests")
MEMBER = b"CGMDv2:\0\0\0\1group\0member-1\0\0"
COMMITTED = Ending(Result.COMMITTED)
ABORTED = Ending(Result.ABORTED, "made so")


class ScriptedCommitter:
    """Ends attempts as told, in turn; when nothing is left to tell, as `broker` says, which takes everything."""

    def __init__(self) -> None:
        self.broker: Callable[[Attempt], Ending] = lambda _: COMMITTED
        self.endings: list[Ending] = []
        self.attempts: list[Attempt] = []
        self.resolved: list[Attempt] = []
        self.let_go_of = 0
        self.beats = 0
        self.longest_silence_s = 10.0
        self.on_let_go: Callable[[], None] = lambda: None

    def open(self) -> None:
        assert not self.attempts

    def attempt(self, attempt: Attempt) -> Ending:
        self.attempts.append(attempt)
        return self.endings.pop(0) if self.endings else self.broker(attempt)

    def resolve(self, attempt: Attempt) -> Ending:
        self.resolved.append(attempt)
        return self.endings.pop(0) if self.endings else COMMITTED

    def doubt(self) -> None: ...

    def let_go(self) -> None:
        self.let_go_of += 1
        self.on_let_go()

    def replacement(self) -> "ScriptedCommitter":
        return self

    def close(self) -> None: ...


class OnTheLoop:
    """A `Serial` whose calls take `takes_s` seconds of the loop's time; while `held` is cleared they don't end."""

    def __init__(self) -> None:
        self.takes_s = 0.005
        self.held = asyncio.Event()
        self.held.set()

    async def run(self, call: Callable[[], Any]) -> Any:
        await asyncio.sleep(self.takes_s)
        await self.held.wait()
        return call()

    async def stop(self, last: Callable[[], object], timeout_s: float) -> bool:
        last()
        return True


class Told(Watch):
    def __init__(self) -> None:
        self.visible: list[int] = []
        self.failed: list[str] = []
        self.refusals: list[int] = []
        self.copies_dropped = 0

    def committed(self, outcomes: int, seconds: float) -> None:
        self.visible.append(outcomes)

    def attempt_failed(self, reason: str) -> None:
        self.failed.append(reason)

    def refused(self, record: Any, reason: str) -> None:
        self.refusals.append(record.offset)

    def audit_dropped(self) -> None:
        self.copies_dropped += 1


class Bench:
    """A commit loop over a scripted committer, and the partitions it serves."""

    def __init__(self, *, transactional: bool = True, quiet: bool = True, interval_s: float = 0.1) -> None:
        self.committer = ScriptedCommitter()
        self.thread = OnTheLoop()
        self.assignment = Assignment()
        self.assignment.metadata = MEMBER
        self.told = Told()
        self.quiet = quiet
        self.moved: list[tuple[int, DoneMap]] = []
        self.room_told = 0
        self.commits = Commits(
            Carrier(self.committer, self._thread_made, self.told),
            self.assignment,
            lambda _: TOPIC,
            self._committed,
            self._room_again,
            self.told,
            interval_s=interval_s,
            transactional=transactional,
            quiet=lambda: self.quiet,
        )

    def _committed(self, partition: Partition, done: DoneMap) -> None:
        self.moved.append((partition.id.partition, done))
        if partition.tracker is not None:
            partition.tracker.acknowledge(done)

    def _thread_made(self) -> Any:
        return self.thread

    def _room_again(self) -> None:
        assert not self.commits.full
        self.room_told += 1

    def partition(self, number: int = 0, read: int = 10) -> Partition:
        """A partition of ours at offset 0, of which so many records were read."""
        id_ = TopicPartition("requests", number)
        partition = Partition(id_, self.assignment.begin(id_), keyed=False)
        partition.tracker, partition.phase = OffsetTracker(DoneMap(0)), Phase.RUNNING
        for offset in range(read):
            assert partition.tracker.delivered(offset, 1) is Delivery.RUN
        return partition

    def add(
        self,
        partition: Partition,
        *offsets: int,
        size: int = 0,
        audited: bool = False,
        topic: str = "results",
        **of: Any,
    ) -> None:
        """Outcomes; each counts as `size` bytes, if given. audited: with an audit copy. of: fields of their records."""
        for offset in offsets:
            source = record(partition=partition.id.partition, offset=offset, leader_epoch=1, **of)
            outgoing = Outgoing(topic, None, str(offset).encode(), ())
            copies = (Outgoing("audit", None, str(offset).encode(), ()),) if audited else ()
            parcel = Parcel((outgoing, *copies))
            size_bytes = sum(each.size_bytes for each in parcel.records)
            self.commits.add(Settled(partition, source, parcel, size or size_bytes))

    def published(self, attempt: int = -1) -> list[int]:
        """The offsets whose outcomes an attempt held."""
        return [int(parcel.records[0].value or b"") for parcel in self.committer.attempts[attempt].parcels]

    def maps(self, attempt: int = -1) -> dict[int, DoneMap]:
        """The maps an attempt would commit, by partition."""
        offsets = self.committer.attempts[attempt].offsets
        return {id_.partition: decode_map(text, offset, TOPIC) for id_, offset, text in offsets}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.commits.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
