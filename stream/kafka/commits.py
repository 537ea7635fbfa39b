"""Outcomes on their way to be visible: gathered, cut into attempts, retried with the same records until acknowledged.

Promises: an attempt holds only outcomes of live epochs, and its done-maps mark exactly what is committed already, what
it holds, and known gaps; one attempt at a time; `released` returns only when no open attempt holds the partitions. The
first outcome after a quiet spell commits at once, and so does one with no call in flight behind it; under load an
attempt is cut every interval, or when one is full.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stream.core.offsets import DoneMap, encode_map
from stream.kafka.assignment import Assignment, member_of
from stream.kafka.attempts import Attempt, Ending, Result, Settled
from stream.kafka.backlog import Backlog
from stream.kafka.carrier import Carrier
from stream.kafka.copies import Copies
from stream.kafka.partition import Partition
from stream.kafka.refusals import Refusals
from stream.telemetry.watch import Watch

MAX_WAITING_OUTCOMES = 8_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Beyond either, no further call starts."""

LET_GO_S = 2.0
_RETRY_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(slots=True, eq=False)
class _Batch:
    """What an attempt is made of: its outcomes, and the map it would commit for each partition.

    suspect: its one outcome may be what the broker refuses.
    """

    outcomes: list[Settled]
    maps: dict[Partition, DoneMap]
    suspect: bool = False

    def holds(self, partitions: Iterable[Partition]) -> bool:
        return not self.maps.keys().isdisjoint(partitions)


class Commits:
    """The commit loop. `run` it as a task.

    hash_of: the topic hash of a request topic, for a partition that wasn't given
    one with its start. on_committed: told of each partition that moved, with its new map. on_room: told once there is
    room again after `full` said that there is none. transactional: whether the group's metadata is needed. quiet:
    whether no call is in flight, so that waiting for more outcomes would gain nothing.
    """

    def __init__(
        self,
        carrier: Carrier,
        assignment: Assignment,
        hash_of: Callable[[str], bytes],
        on_committed: Callable[[Partition, DoneMap], None],
        on_room: Callable[[], None],
        watch: Watch,
        *,
        interval_s: float,
        transactional: bool,
        quiet: Callable[[], bool],
    ) -> None:
        self._carrier = carrier
        self._assignment = assignment
        self._hash_of = hash_of
        self._on_committed = on_committed
        self._on_room = on_room
        self._watch = watch
        self._interval_s = interval_s
        self._transactional = transactional
        self._quiet = quiet
        self._waiting = Backlog()
        self._starts: dict[Partition, DoneMap] = {}
        self._advanced: set[Partition] = set()
        self._open: _Batch | None = None
        self._wake = asyncio.Event()
        self._refusals = Refusals(self._live, self._wake.set, self._wait_again, self._tell_room, watch)
        self._copies = Copies(watch, lambda: asyncio.get_running_loop().time())
        self._moved = asyncio.Condition()
        self._said_full = False
        self._cut_s = 0.0

    @property
    def waiting(self) -> int:
        """Outcomes that are not visible yet."""
        return len(self._waiting) + self._refusals.suspects + (len(self._open.outcomes) if self._open else 0)

    @property
    def unpublished(self) -> int:
        """Outcomes that are paid for and not visible yet, those the broker refuses included."""
        return len(self._waiting) + len(self._refusals) + (len(self._open.outcomes) if self._open else 0)

    @property
    def full(self) -> bool:
        """Whether so much waits that no further call should start. If so, `on_room` will tell when that is over."""
        is_full = self._is_full()
        self._said_full = self._said_full or is_full
        return is_full

    def add(self, settled: Settled) -> None:
        """An outcome to be published."""
        settled.partition.uncommitted += 1
        self._waiting.add(settled)
        self._wake.set()

    def add_start(self, partition: Partition, done: DoneMap) -> None:
        """A start to be made durable before anything of the partition is paid for."""
        self._starts[partition] = done
        self._wake.set()

    def advance(self, partition: Partition) -> None:
        """A partition can be committed further without an outcome: what it passed over holds no record."""
        self._advanced.add(partition)
        self._wake.set()

    async def run(self) -> None:
        """Commit until cancelled. Raises what the committer raises."""
        try:
            await self._run()
        finally:
            await self._close()

    async def _run(self) -> None:
        await self._carrier.open()
        failures = 0
        while True:
            await self._wake.wait()
            await self._until_cut()
            batch = self._next_batch()
            self._tell_room()
            attempt = self._attempt_for(batch) if batch else None
            if batch is None or attempt is None:
                await asyncio.sleep(self._interval_s if batch else 0)
                self._put_back(batch)
                await self._close()  # what was set aside untried, nobody waits for any more
                continue
            ending = await self._carry_out(batch, attempt)
            failures = 0 if ending.result is Result.COMMITTED else failures + 1
            if ending.result is Result.ABORTED:
                self._watch.attempt_failed(ending.reason)
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S)) - 1])

    async def drained(self, partitions: Sequence[Partition]) -> None:
        """Wait until every outcome of these partitions is visible, but those the broker refuses. Those that wait for
        their topic are tried once more."""
        self._refusals.try_held(partitions)
        async with self._moved:
            await self._moved.wait_for(lambda: not any(p.uncommitted for p in partitions if self._live(p)))

    async def released(self, partitions: Sequence[Partition], patience_s: float) -> None:
        """Wait until no open attempt holds these partitions; past `patience_s` the attempt is made to end. What waits
        of epochs that ended is dropped, so there may be room for calls again."""
        async with self._moved:
            if self._open is not None and self._open.holds(partitions):
                try:
                    await asyncio.wait_for(self._moved.wait_for(lambda: not self._holds(partitions)), patience_s)
                except TimeoutError:
                    self._carrier.let_go()
                    await self._moved.wait_for(lambda: not self._holds(partitions))
        self._drop_dead()
        self._tell_room()

    def doubt(self) -> None:
        """A broker went away."""
        self._carrier.doubt()

    async def stop(self, timeout_s: float) -> bool:
        """End the committer and its thread; whether it ended in time."""
        return await self._carrier.stop(timeout_s)

    def _holds(self, partitions: Sequence[Partition]) -> bool:
        return self._open is not None and self._open.holds(partitions)

    async def _until_cut(self) -> None:
        """Wait for the moment of the next cut: the interval since the last one, sooner if an attempt is full."""
        loop = asyncio.get_running_loop()
        while (left_s := self._cut_s + self._interval_s - loop.time()) > 0:
            if self._waiting.fills_an_attempt or self._starts or self._quiet():
                break
            await asyncio.sleep(min(left_s, 0.02))
        self._cut_s = loop.time()

    def _next_batch(self) -> _Batch | None:
        """The outcomes and starts of the next attempt, taken out of what waits; None if there is nothing live."""
        self._drop_dead()
        starts, self._starts = self._starts, {}
        advanced, self._advanced = self._advanced, set()
        suspect = self._refusals.next_suspect(self._waiting, others_wait=bool(self._waiting or starts or advanced))
        chosen = [suspect] if suspect else self._from_waiting()
        self._copies.spare(chosen)
        if not (self._waiting or self._refusals.suspects):
            self._wake.clear()
        batch = _Batch(chosen, starts | _further(advanced) | _maps(chosen), suspect is not None)
        return batch if batch.maps else None

    def _from_waiting(self) -> list[Settled]:
        """The next outcomes of the backlog; those for a topic that refuses everything are set aside."""
        chosen = self._waiting.take(self._refusals.suspected())
        for settled in chosen:
            if self._refusals.barred(settled.topic):
                self._refusals.hold(settled)
        return [settled for settled in chosen if not self._refusals.barred(settled.topic)]

    def _attempt_for(self, batch: _Batch) -> Attempt | None:
        """The attempt; None while we are no member of the group. Metadata first, liveness after (`assignment`)."""
        metadata = self._assignment.metadata
        if self._transactional and not member_of(metadata):
            return None
        dead = [partition for partition in batch.maps if not self._live(partition)]
        for partition in dead:
            del batch.maps[partition]
        batch.outcomes = [settled for settled in batch.outcomes if settled.partition in batch.maps]
        offsets = tuple(
            (partition.id, done.base, encode_map(done, partition.topic_hash or self._hash_of(partition.id.topic)))
            for partition, done in batch.maps.items()
        )
        epochs = {partition.id: partition.epoch for partition in batch.maps}
        return Attempt(
            tuple(settled.parcel for settled in batch.outcomes),
            offsets,
            metadata,
            lambda partition: self._assignment.live(partition, epochs[partition]),
        )

    async def _carry_out(self, batch: _Batch, attempt: Attempt) -> Ending:
        """Try it once, and find out how it ended whatever that takes. The same records are never published twice."""
        if not attempt.offsets:
            return Ending(Result.COMMITTED)
        started_s = asyncio.get_running_loop().time()
        ending = await self._ended(batch, attempt)
        if ending.copies_refused:
            self._copies.refused([batch.outcomes[index] for index in ending.copies_refused], ending.reason)
        if ending.result is Result.COMMITTED:
            self._acknowledge(batch, asyncio.get_running_loop().time() - started_s)
        elif ending.result is Result.REFUSED:
            self._set_aside(batch, ending)
        else:
            self._copies.doubt(batch.outcomes, asyncio.get_running_loop().time() - started_s)
            self._put_back(batch)
        await self._close()
        return ending

    async def _ended(self, batch: _Batch, attempt: Attempt) -> Ending:
        """How the attempt ended; it is open until then, or until it was let go of."""
        self._open = batch
        started_s = asyncio.get_running_loop().time()
        try:
            ending = await self._carrier.attempt(attempt)
            while ending.result is Result.UNKNOWN:
                self._copies.doubt(batch.outcomes, asyncio.get_running_loop().time() - started_s)
                await self._close()
                ending = await self._carrier.resolve(attempt)
        finally:
            self._open = None
        return ending

    async def _close(self) -> None:
        """No attempt is open any more: tell those who wait for that."""
        self._open = None
        async with self._moved:
            self._moved.notify_all()

    def _acknowledge(self, batch: _Batch, seconds: float) -> None:
        for settled in batch.outcomes:
            settled.partition.uncommitted -= 1
        self._refusals.published(batch.outcomes)
        for partition, done in batch.maps.items():
            if self._live(partition):
                self._on_committed(partition, done)
        if batch.outcomes:
            self._watch.committed(len(batch.outcomes), seconds)

    def _put_back(self, batch: _Batch | None) -> None:
        """Everything of an attempt that didn't go through waits again, in its old place."""
        if batch is None:
            return
        if batch.suspect:
            self._refusals.put_back(batch.outcomes)
        else:
            self._waiting.put_back(batch.outcomes)
        chosen = {settled.partition for settled in batch.outcomes}
        self._starts |= {p: done for p, done in batch.maps.items() if p not in chosen and p.tracker is None}
        self._advanced |= {p for p in batch.maps if p not in chosen and p.tracker is not None}
        self._wake.set()

    def _set_aside(self, batch: _Batch, ending: Ending) -> None:
        """Leave out what the broker refused: set it aside for a while, its offset unfinished. Several for a topic that
        takes others are tried one by one first, for a batch is refused as a whole."""
        refused = [batch.outcomes[index] for index in sorted(ending.refused)]
        batch.outcomes = [s for index, s in enumerate(batch.outcomes) if index not in ending.refused]
        self._put_back(batch)
        if not batch.suspect:
            self._waiting.spare(len(batch.outcomes))
        self._refusals.bar(ending.refusing_topics)
        doubtful = [settled for settled in refused if settled.topic not in ending.refusing_topics]
        if len(doubtful) > 1:
            self._refusals.suspect(doubtful)
        elif doubtful:
            self._refusals.refused_alone(doubtful[0], ending.reason)
        for settled in refused:
            if settled.topic in ending.refusing_topics:
                self._refusals.hold(settled, ending.reason)

    def _wait_again(self, outcomes: list[Settled]) -> None:
        """These wait like all others now."""
        self._waiting.put_in(outcomes)
        self._wake.set()

    def _drop_dead(self) -> None:
        """Nothing of ended epochs is published or committed."""
        self._waiting.drop_dead(self._live)
        self._refusals.drop_dead()
        self._starts = {p: done for p, done in self._starts.items() if self._live(p)}
        self._advanced = {p for p in self._advanced if self._live(p)}

    def _is_full(self) -> bool:
        count = len(self._waiting) + len(self._refusals)
        size_bytes = self._waiting.size_bytes + self._refusals.size_bytes
        return count >= MAX_WAITING_OUTCOMES or size_bytes >= MAX_WAITING_BYTES

    def _tell_room(self) -> None:
        if self._said_full and not self._is_full():
            self._said_full = False
            self._on_room()

    def _live(self, partition: Partition) -> bool:
        return self._assignment.live(partition.id, partition.epoch)


def _further(partitions: Iterable[Partition]) -> dict[Partition, DoneMap]:
    """What can be committed of partitions without an outcome, where that is more than is committed already."""
    plans = {p: p.tracker.plan(()) for p in partitions if p.tracker is not None}
    return {p: done for p, done in plans.items() if p.tracker is not None and done != p.tracker.committed}


def _maps(outcomes: Sequence[Settled]) -> dict[Partition, DoneMap]:
    """What an attempt with these outcomes would commit, by partition."""
    offsets: dict[Partition, list[tuple[int, int | None]]] = {}
    for settled in outcomes:
        offsets.setdefault(settled.partition, []).append((settled.record.offset, settled.record.leader_epoch))
    return {p: p.tracker.plan(done) for p, done in offsets.items() if p.tracker is not None}
