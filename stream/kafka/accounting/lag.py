"""How many records are behind: unfinished ones, not offsets. Asked of the broker alone: every worker may be dead.

Promises: markers of transactions, aborted records and what the done-map marks don't count; open transactions are not
waited for; a backlog too long to be read is given as an upper bound, and said to be one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from stream.kafka import decisions
from stream.kafka.accounting import watermarks
from stream.kafka.accounting.allowances import allowances
from stream.kafka.accounting.claims import Claim
from stream.kafka.accounting.scan import scan
from stream.kafka.accounting.stops import stop_reason
from stream.kafka.reading import Partition, Span
from stream.settings import Settings

READ_IN_ALL = 65_536
"""How many offsets are read at most, all partitions together, to tell records from markers."""

READ_AT_LEAST = 512
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition. committed: None if the group has no commit. log_end: the last stable offset.

    records: unfinished ones below log_end; an upper bound unless `exact`. hidden_offsets: what an open transaction of a
    producer of requests holds back. oldest_ms: timestamp of the oldest unfinished record; None if there is none.
    stopped: why no worker reads on here; None if nothing seen here stops one.
    """

    topic: str
    partition: int
    committed: int | None
    log_start: int
    log_end: int
    records: int
    exact: bool
    hidden_offsets: int
    oldest_ms: int | None
    stopped: str | None


@dataclass(frozen=True, slots=True)
class Lag:
    """All partitions. measured_ms: when the log ends were asked for, milliseconds since 1970."""

    partitions: tuple[PartitionLag, ...]
    measured_ms: int

    @property
    def records(self) -> int:
        """Unfinished records in all; an upper bound unless `exact`."""
        return sum(each.records for each in self.partitions)

    @property
    def exact(self) -> bool:
        """Whether every partition's backlog was short enough to be read."""
        return all(each.exact for each in self.partitions)


@dataclass(slots=True)
class _Count:
    """What was read of a partition's backlog."""

    claim: Claim
    records: int = 0
    oldest_ms: int | None = None

    def take(self, message: Message) -> None:
        if self.claim.finished(message.offset() or 0, message.leader_epoch()):
            return
        self.records += 1
        timestamp_ms = message.timestamp()[1]
        if self.oldest_ms is None and timestamp_ms >= 0:
            self.oldest_ms = timestamp_ms


def lag(settings: Settings) -> Lag:
    """Measure it. Raises ConfigError for a topic that isn't there, DependencyError."""
    topics = watermarks.topics_there(settings, settings.topics.requests)
    places = watermarks.partitions_of(topics, settings.topics.requests)
    made = decisions.read_all(settings) if watermarks.existing(settings, [settings.topics.decisions]) else []
    ask = watermarks.Watermarks(settings)
    starts = ask.starts(places)  # before the commits, which a live worker moves; the ends after them
    claims = watermarks.claims(settings, places, topics, stable=False, patience_s=_PATIENCE_S)
    highs, ends = ask.ends(places), ask.stable_ends(places)
    measured_ms = time.time_ns() // 1_000_000
    allowed = {place: allowances(made, settings.kafka.group_id, place, topics[place[0]].topic_id) for place in places}
    backlogs = {place: backlog(claims[place], starts[place], ends[place], allowed[place].start) for place in places}
    counts, read_to = _read(settings, claims, backlogs)
    partitions = []
    for place in places:
        claim, count, rest = claims[place], counts[place], range(read_to[place], backlogs[place].stop)
        each = PartitionLag(
            *place,
            committed=claim.offset,
            log_start=starts[place],
            log_end=ends[place],
            records=count.records + at_most(claim, rest),
            exact=not rest,
            hidden_offsets=max(highs[place] - ends[place], 0),
            oldest_ms=count.oldest_ms,
            stopped=stop_reason(f"{place[0]}:{place[1]}", claim, starts[place], highs[place], -1, allowed[place]),
        )
        partitions.append(each)
    return Lag(tuple(partitions), measured_ms)


def backlog(claim: Claim, log_start: int, log_end: int, told_start: int | None) -> range:
    """The offsets that may hold unfinished records."""
    begin = claim.offset if claim.offset is not None else told_start or 0
    first = max(begin, log_start)
    return range(first, max(first, log_end))


def at_most(claim: Claim, offsets: range) -> int:
    """How many records can be unfinished there, if none of the offsets is a marker."""
    if not offsets or claim.offset is None:
        return len(offsets)
    later = claim.marks >> max(offsets.start - claim.offset, 0)
    marks = later & (1 << min(len(offsets), later.bit_length())) - 1
    return len(offsets) - marks.bit_count()


def _read(
    settings: Settings, claims: Mapping[Partition, Claim], backlogs: Mapping[Partition, range]
) -> tuple[dict[Partition, _Count], dict[Partition, int]]:
    """Count the records of the backlogs as far as they are read; and how far that is."""
    counts = {place: _Count(claims[place]) for place in backlogs}
    waiting = [place for place, offsets in backlogs.items() if at_most(claims[place], offsets)]
    read_to = {place: offsets.stop for place, offsets in backlogs.items()}
    share = max(READ_AT_LEAST, READ_IN_ALL // max(len(waiting), 1))
    for place in waiting:
        read_to[place] = min(backlogs[place].start + share, backlogs[place].stop)
    spans = [Span(*place, backlogs[place].start, read_to[place]) for place in waiting]

    def take(message: Message) -> None:
        counts[message.topic() or "", message.partition() or 0].take(message)

    return counts, read_to | scan(settings, spans, take, patience_s=_PATIENCE_S).hidden
