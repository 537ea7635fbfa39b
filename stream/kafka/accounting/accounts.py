"""One partition's account: what the group claims to be finished, held against the outcomes and the requests.

Pure: no I/O, no clock. Call in this order: `outcome` for every outcome read, `prove` once, `request` for every request
read, `close` once. Memory: up to three bits for each offset that has an outcome, and the first offsets of each verdict.

The commit must have been read *before* the outcomes, and the outcomes before the ends of the requests were asked for;
then a live worker can raise no false alarm: only what was committed at that moment must have its outcome, and what came
later is settled, or pending.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from stream.kafka.accounting.bitmap import OffsetSet
from stream.kafka.accounting.claims import Claim

LISTED_OFFSETS = 1_000
"""How many offsets of each verdict are kept."""

UNKNOWN_TIMESTAMP_MS = -1


class Verdict(StrEnum):
    """What became of a request (`orphaned`: of an outcome). Each offset has exactly one.

    settled: one outcome. pending: not claimed to be finished, and no outcome yet. missing: claimed to be finished, and
    no outcome. doubled: two outcomes or more. orphaned: an outcome whose request never was. gap: lost, and a person
    accepted it. rerun: doubled where a person accepted it. unprovable: it may have had an outcome that is deleted, or
    hidden behind an open transaction. doubled_allowed: doubled under at_least_once. before_start: older than where the
    group was told to start (`start = "latest"`).
    """

    SETTLED = "settled"
    PENDING = "pending"
    MISSING = "missing"
    DOUBLED = "doubled"
    ORPHANED = "orphaned"
    GAP = "gap"
    RERUN = "rerun"
    UNPROVABLE = "unprovable"
    DOUBLED_ALLOWED = "doubled_allowed"
    BEFORE_START = "before_start"


FAILURES = (Verdict.MISSING, Verdict.DOUBLED, Verdict.ORPHANED)
"""The verdicts that make the check fail."""

_NOT_LISTED = (Verdict.SETTLED, Verdict.BEFORE_START)


class Rerun(NamedTuple):
    """An accepted re-run: of which offsets, and when it was accepted (milliseconds since 1970)."""

    offsets: range
    at_ms: int


@dataclass(frozen=True, slots=True)
class Allowances:
    """What a person, or the settings, allow in a partition.

    gaps: ranges of offsets that decisions accepted as lost. reruns: each allows one more outcome of its offsets.
    start: where `start = "latest"` told the group to begin, None if it didn't. doubles: the delivery is at_least_once.
    """

    gaps: tuple[range, ...] = ()
    reruns: tuple[Rerun, ...] = ()
    start: int | None = None
    doubles: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What the outcomes that were read can prove.

    since_ms: outcomes of requests older than this may have been deleted; None: none was ever deleted. complete: False
    if the end of results or dead letters could not be read, so that any outcome may be hidden there.
    """

    since_ms: int | None = None
    complete: bool = True

    def covers(self, timestamp_ms: int) -> bool:
        """Whether the outcome of a request of that time would have been seen."""
        return self.complete and (self.since_ms is None or timestamp_ms >= self.since_ms)


@dataclass(frozen=True, slots=True)
class LogRange:
    """The requests that could be read. `first`: the log start, asked after reading. `end`: where reading came to.

    judged: the offsets the check was asked for (`--from`, `--to`). compacted: single requests may have been removed.
    """

    first: int
    end: int
    judged: range
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """A partition's account, closed. `offsets`: the first `LISTED_OFFSETS` of each verdict but the harmless ones.

    results, dead_letters: of the settled requests. aged: outcomes whose requests retention has deleted.
    oldest_pending_ms: timestamp of the first pending request; None if there is none or it has none.
    stopped: why no worker reads on here; None if one does, or would. committed: the group's offset; None if it has none
    or it could not be read.
    """

    topic: str
    partition: int
    verdicts: Mapping[Verdict, int]
    offsets: Mapping[Verdict, tuple[int, ...]]
    results: int
    dead_letters: int
    aged: int = 0
    oldest_pending_ms: int | None = None
    stopped: str | None = None
    committed: int | None = None

    @property
    def requests(self) -> int:
        """How many requests were judged."""
        return sum(count for verdict, count in self.verdicts.items() if verdict is not Verdict.ORPHANED)

    @property
    def failed(self) -> bool:
        """Whether the check found something here."""
        return self.stopped is not None or any(self.verdicts[verdict] for verdict in FAILURES)


@dataclass(slots=True)
class Account:
    """One partition while it is judged."""

    topic: str
    partition: int
    claim: Claim
    allowances: Allowances = field(default_factory=Allowances)
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    offsets: dict[Verdict, list[int]] = field(default_factory=dict)
    results: int = 0
    dead_letters: int = 0
    highest_outcome: int = -1
    latest_outcome_ms: int = UNKNOWN_TIMESTAMP_MS
    oldest_pending_ms: int | None = None
    _proof: Proof = field(default_factory=Proof)
    _seen: OffsetSet = field(default_factory=OffsetSet)
    _twice: OffsetSet = field(default_factory=OffsetSet)
    _dead: OffsetSet = field(default_factory=OffsetSet)
    _more: Counter[int] = field(default_factory=Counter)
    """Of the few offsets with more than two outcomes, how many more."""

    def outcome(self, offset: int, *, dead: bool, timestamp_ms: int = UNKNOWN_TIMESTAMP_MS) -> bool:
        """Note an outcome of this partition's offset. True if it is the first of that offset."""
        self.latest_outcome_ms = max(self.latest_outcome_ms, timestamp_ms)
        if self._seen.add(offset):
            if dead:
                self._dead.add(offset)
            if offset > self.highest_outcome:
                self.highest_outcome = offset
            return True
        if not self._twice.add(offset):
            self._more[offset] += 1
        return False

    def unjudged(self, offset: int, *, timestamp_ms: int) -> None:
        """Note an outcome outside the offsets that are judged: whether a worker reads on depends on it too."""
        self.latest_outcome_ms = max(self.latest_outcome_ms, timestamp_ms)
        self.highest_outcome = max(self.highest_outcome, offset)

    def stranger(self, offset: int) -> None:
        """Note an outcome that can't belong to any request of this topic: of another topic id, or past the log end."""
        self._give(Verdict.ORPHANED, offset)

    def prove(self, proof: Proof) -> None:
        """Say what the outcomes noted so far can prove."""
        self._proof = proof

    def request(self, offset: int, timestamp_ms: int, leader_epoch: int | None = None) -> Verdict:
        """Judge a request, and forget its outcomes. timestamp_ms: -1 if it has none."""
        verdict = self._verdict(offset, timestamp_ms, leader_epoch)
        self._give(verdict, offset)
        return verdict

    def close(self, log: LogRange, *, stopped: str | None = None) -> PartitionReport:
        """Judge the outcomes that no request has claimed, and the account is done."""
        aged = self._close_outcomes(log)
        self._count_gaps(log)
        if log.end < log.judged.stop:
            self.verdicts[Verdict.UNPROVABLE] += log.judged.stop - max(log.end, log.judged.start)
        return PartitionReport(
            self.topic,
            self.partition,
            self.verdicts,
            {
                verdict: tuple(sorted(self.offsets.get(verdict, ())))
                for verdict in Verdict
                if verdict not in _NOT_LISTED
            },
            self.results,
            self.dead_letters,
            aged,
            self.oldest_pending_ms,
            stopped,
            self.claim.offset,
        )

    def _verdict(self, offset: int, timestamp_ms: int, leader_epoch: int | None) -> Verdict:
        if self._seen.discard(offset):
            if self._twice.discard(offset):
                return self._doubled(offset)
            if offset in self._dead:
                self.dead_letters += 1
            else:
                self.results += 1
            return Verdict.SETTLED
        if self.claim.fault == "unread":
            return Verdict.UNPROVABLE
        finished = self.claim.finished(offset, leader_epoch)
        early = self.allowances.start is not None and offset < self.allowances.start
        if early and (finished or self.claim.fault == "no_commit"):
            return Verdict.BEFORE_START
        if finished:
            return self._lost(offset, timestamp_ms)
        if self.oldest_pending_ms is None and timestamp_ms != UNKNOWN_TIMESTAMP_MS:
            self.oldest_pending_ms = timestamp_ms
        return Verdict.PENDING

    def _lost(self, offset: int, timestamp_ms: int) -> Verdict:
        """The verdict on a request that is claimed to be finished, and has no outcome."""
        if within(offset, self.allowances.gaps):
            return Verdict.GAP
        return Verdict.MISSING if self._proof.covers(timestamp_ms) else Verdict.UNPROVABLE

    def _doubled(self, offset: int) -> Verdict:
        allowed = sum(offset in rerun.offsets for rerun in self.allowances.reruns)
        if 1 + self._more.pop(offset, 0) <= allowed:
            return Verdict.RERUN
        return Verdict.DOUBLED_ALLOWED if self.allowances.doubles else Verdict.DOUBLED

    def _close_outcomes(self, log: LogRange) -> int:
        """Give verdicts to outcomes that are left; how many belong to requests that are no longer there."""
        first, judged = log.first, log.judged
        for offset in self._twice.between(judged.start, min(first, judged.stop)):
            self._give(self._doubled(offset), offset)
        for offset in self._seen.between(max(first, judged.start), min(log.end, judged.stop)):
            self._give(Verdict.UNPROVABLE if log.compacted else Verdict.ORPHANED, offset)
        return self._seen.count(judged.start, min(first, judged.stop))

    def _count_gaps(self, log: LogRange) -> None:
        """Accepted gaps whose records are gone: every offset without an outcome counts (some may have been markers)."""
        for gap in self.allowances.gaps:
            first, end = max(gap.start, log.judged.start), min(gap.stop, log.first, log.judged.stop)
            if first < end:
                self.verdicts[Verdict.GAP] += end - first - self._seen.count(first, end)

    def _give(self, verdict: Verdict, offset: int) -> None:
        self.verdicts[verdict] += 1
        if verdict in _NOT_LISTED:
            return
        listed = self.offsets.setdefault(verdict, [])
        if len(listed) < LISTED_OFFSETS:
            listed.append(offset)


def within(offset: int, ranges: tuple[range, ...]) -> bool:
    """Whether one of the ranges has the offset."""
    return any(offset in each for each in ranges)
