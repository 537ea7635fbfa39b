"""What the commit loop asks of a committer, and what it hears back: values, and the interface between them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from stream.core.records import Outgoing, Record
from stream.kafka.assignment import TopicPartition
from stream.kafka.member_commits import Commit
from stream.kafka.partition import Partition


@dataclass(slots=True, eq=False)
class Parcel:
    """The records of one outcome: the outcome itself, then its audit copy, if it has one.

    published: acknowledged by the broker outside a transaction (at least once only).
    """

    records: tuple[Outgoing, ...]
    published: bool = False


@dataclass(slots=True, eq=False)
class Settled:
    """A settled outcome that isn't visible yet.

    refused_alone: whether the broker refused it, and it alone, before.
    """

    partition: Partition
    record: Record
    parcel: Parcel
    size: int
    refused_alone: bool = False

    @property
    def topic(self) -> str:
        """Where the outcome itself goes (not its audit copy)."""
        return self.parcel.records[0].topic if self.parcel.records else ""

    @property
    def has_copy(self) -> bool:
        """Whether an audit copy is to be published with it."""
        return len(self.parcel.records) > 1 and not self.parcel.published

    def drop_copy(self) -> None:
        """Publish it without its audit copy, if it has one."""
        records = self.parcel.records
        self.parcel.records = records[:1]
        self.size -= sum(copy.size_bytes for copy in records[1:])


@dataclass(frozen=True, slots=True)
class Attempt:
    """What must be published together, and the offsets that finish it, with done-maps.

    metadata: the group's, taken before the outcomes were chosen. still_ours: whether a partition's epoch lives on.
    """

    parcels: tuple[Parcel, ...]
    offsets: tuple[Commit, ...]
    metadata: bytes
    still_ours: Callable[[TopicPartition], bool]


class Result(Enum):
    """How an attempt ended."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """Nothing of it is visible; the same outcomes may be tried again."""
    REFUSED = "refused"
    """Aborted because the broker won't take the records of some outcomes."""
    UNKNOWN = "unknown"
    """It had to be let go of before its fate was known; `resolve` it before anything else is attempted."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, why, and what of it the broker refused.

    refused: the parcels whose outcome it won't take. refusing_topics: topics of those that take nothing at all (gone,
    or not ours to write), whatever the record. copies_refused: the parcels of which it refused the audit copy.
    """

    result: Result
    reason: str = ""
    refused: frozenset[int] = frozenset()
    refusing_topics: frozenset[str] = frozenset()
    copies_refused: frozenset[int] = frozenset()


class Committer(Protocol):
    """Carries out attempts, one at a time, on the caller's thread."""

    beats: int
    """Grows while it works, also while it waits for a broker: the sign that no call of it hangs."""

    longest_silence_s: float
    """For so long at most it gives no such sign while it is well; beyond, a call of it hangs."""

    def open(self) -> None:
        """Get ready: end what an earlier process with our id left open. Raises as `attempt` does."""

    def attempt(self, attempt: Attempt) -> Ending:
        """Publish and commit. Raises FencedError, and KafkaException for what no waiting will cure."""

    def resolve(self, attempt: Attempt) -> Ending:
        """The fate of an attempt that ended UNKNOWN. Raises as `attempt` does."""

    def let_go(self) -> None:
        """Make a running attempt end soon, whatever its fate. Called from another thread."""

    def doubt(self) -> None:
        """A broker went away: the next attempt may need other connections. Called from another thread."""

    def replacement(self) -> "Committer":
        """One to go on with, for a call of this one hangs. If that call comes back after all, it begins, publishes and
        commits nothing more. Called from another thread."""
        ...

    def close(self) -> None:
        """Give the producer back."""
