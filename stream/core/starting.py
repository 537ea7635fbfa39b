"""Where reading of a partition starts, judged from what the broker knows. Nothing is ever skipped by default.

A partition whose commit can't be believed *stops*, with a cause and a remedy, until a person accepts the gap or the
re-run. The acceptance is a decision with an exact range; it is void if the log start has moved since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stream.core.offsets import DoneMap, MapError, MapFault, decode_map


class StopCause(StrEnum):
    """Why a partition stopped."""

    RETENTION_GAP = "retention_gap"
    PAST_END = "past_end"
    EARLIER_OUTCOMES = "earlier_outcomes"
    DAMAGED_MAP = "damaged_map"
    OTHER_TOPIC = "other_topic"
    MIRRORED_OFFSET = "mirrored_offset"
    NEWER_MAP = "newer_map"
    TOPIC_CHANGED = "topic_changed"


_CAUSE_OF_FAULT = {
    MapFault.FOREIGN: StopCause.EARLIER_OUTCOMES,
    MapFault.DAMAGED: StopCause.DAMAGED_MAP,
    MapFault.OTHER_TOPIC: StopCause.OTHER_TOPIC,
    MapFault.MIRRORED: StopCause.MIRRORED_OFFSET,
    MapFault.NEWER: StopCause.NEWER_MAP,
}


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """What the broker says of a partition.

    committed: the group's offset, None if it has none. low, high: log start and end. start: where to begin without a
    commit (the log start, or what `start = "latest"` recorded).
    """

    topic: str
    partition: int
    topic_hash: bytes
    committed: int | None
    metadata: str | None
    low: int
    high: int
    start: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person's decision: `accept_gap` (the range is lost) or `accept_rerun` (the range may be paid for twice)."""

    kind: str
    topic: str
    partition: int
    from_offset: int
    to_offset: int


@dataclass(frozen=True, slots=True)
class Start:
    """Read on from this map. commit_first: the map must be committed before anything is paid for."""

    done: DoneMap
    commit_first: bool


@dataclass(frozen=True, slots=True)
class Search:
    """First look whether outcomes of this group at or past `from_offset` exist; then `judge` again with the answer."""

    from_offset: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The partition stays where it is until a person decides. `accept` is the decision that would let it go on."""

    cause: StopCause
    detail: str
    accept: Accepted | None = None

    @property
    def remedy(self) -> str:
        """What to do, as a sentence."""
        if self.accept is None:
            return "Restart the worker once the topic is as it should be; it judges the partition again."
        flag = self.accept.kind.replace("_", "-")
        meaning = (
            "counts the missing records as lost and reads on behind them"
            if self.accept.kind == "accept_gap"
            else f"runs everything from offset {self.accept.from_offset} on again, paying and publishing it twice"
        )
        where = f"{self.accept.topic}:{self.accept.partition}"
        return f"`llm-stream worker --{flag} {where}` {meaning}."


def judge(
    facts: PartitionFacts, accepted: Iterable[Accepted] = (), outcomes_found: bool | None = None
) -> Start | Search | Stopped:
    """Where to start, or why not.

    outcomes_found: the answer to a `Search`; None: not searched yet.
    """
    decisions = frozenset(accepted)
    offset = facts.start if facts.committed is None else facts.committed
    try:
        done = decode_map(facts.metadata if facts.committed is not None else None, offset, facts.topic_hash)
        fault = None
    except MapError as error:
        done, fault = DoneMap(offset), error
    if fault is not None and fault.fault is MapFault.OTHER_TOPIC:
        return _rerun(facts, facts.low, fault, decisions)
    claimed = done
    if gap := _gap(facts, claimed):
        if gap.accept not in decisions:
            return gap
        done = claimed.cut(min(facts.high, claimed.end)).advanced_to(facts.low)
    if fault is None:
        return Start(done, commit_first=done != claimed or facts.committed is None)
    if fault.fault is not MapFault.FOREIGN:
        return _rerun(facts, done.base, fault, decisions)
    if outcomes_found is None:
        return Search(done.base)
    return _rerun(facts, done.base, fault, decisions) if outcomes_found else Start(done, commit_first=True)


def _gap(facts: PartitionFacts, done: DoneMap) -> Stopped | None:
    """The stop for a commit that is not, or not wholly, inside the log; None if it is."""
    offset = done.base
    where = f"{facts.topic}:{facts.partition}"
    if offset < facts.low:
        accept = Accepted("accept_gap", facts.topic, facts.partition, offset, facts.low)
        detail = (
            f"{where}: offsets {offset} to {facts.low - 1} were deleted (retention) before they were finished; "
            f"the log now starts at {facts.low}."
        )
        return Stopped(StopCause.RETENTION_GAP, detail, accept)
    if done.end > facts.high:
        # An empty range: what is written there from now on is no part of what was lost.
        accept = Accepted("accept_gap", facts.topic, facts.partition, facts.high, facts.high)
        reaches = "is" if done.end == offset else "reaches to"
        detail = (
            f"{where}: the group's commit {reaches} {done.end}, but the log ends at {facts.high}: it was truncated."
        )
        return Stopped(StopCause.PAST_END, detail, accept)
    return None


def _rerun(facts: PartitionFacts, offset: int, fault: MapError, decisions: frozenset[Accepted]) -> Start | Stopped:
    """The start a person accepted, else the stop for a commit that doesn't say what is finished."""
    for decision in decisions:
        same = (decision.kind, decision.topic, decision.partition) == ("accept_rerun", facts.topic, facts.partition)
        if same and decision.from_offset == offset:
            return Start(DoneMap(offset), commit_first=True)
    accept = Accepted("accept_rerun", facts.topic, facts.partition, offset, facts.high)
    cause = _CAUSE_OF_FAULT[fault.fault]
    detail = f"{facts.topic}:{facts.partition}: {fault.detail}"
    if cause is StopCause.EARLIER_OUTCOMES:
        lost = "has no commit" if facts.committed is None else "has a commit without our done-map"
        detail = (
            f"{facts.topic}:{facts.partition}: the group {lost}, but results or dead letters of it exist at or past "
            f"offset {offset}: starting there would pay and publish them again."
        )
    return Stopped(cause, detail, accept)
