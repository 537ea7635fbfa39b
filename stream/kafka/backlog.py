"""Outcomes that wait for an attempt with others, in the order they go: what was tried before comes first."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from stream.kafka.attempts import Settled
from stream.kafka.partition import Partition

MAX_OUTCOMES = 1_000
MAX_BYTES = 16 * 1024 * 1024


class Backlog:
    """See the module. `size_bytes`: what they take."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._outcomes: list[Settled] = []
        self._spared = 0
        """How many of the oldest were in an attempt that was refused for others' sake. They go without newcomers, of
        which one may be refused again."""

    def __len__(self) -> int:
        return len(self._outcomes)

    def __iter__(self) -> Iterator[Settled]:
        return iter(self._outcomes)

    @property
    def fills_an_attempt(self) -> bool:
        """Whether more than wait now wouldn't go together anyway."""
        return len(self._outcomes) >= MAX_OUTCOMES

    def add(self, settled: Settled) -> None:
        """A newcomer."""
        self._outcomes.append(settled)
        self.size_bytes += settled.size

    def take(self, suspected: Mapping[tuple[Partition, bytes], int]) -> list[Settled]:
        """The oldest, as many as an attempt takes.

        suspected: the first suspect's offset of each key. What comes later in that key stays and waits for it:
        requests of a key become visible in order.
        """
        chosen: list[Settled] = []
        kept: list[Settled] = []
        size = 0
        limit, self._spared = self._spared or MAX_OUTCOMES, 0
        for number, settled in enumerate(self._outcomes):
            if len(chosen) >= limit or size >= MAX_BYTES:
                kept += self._outcomes[number:]
                break
            if suspected and settled.record.key is not None:
                first = suspected.get((settled.partition, settled.record.key))
                if first is not None and first < settled.record.offset:
                    kept.append(settled)
                    continue
            chosen.append(settled)
            size += settled.size
        self._outcomes = kept
        self.size_bytes -= size
        return chosen

    def put_back(self, outcomes: Sequence[Settled]) -> None:
        """Their attempt didn't go through: each has its old place again."""
        self._outcomes = [*outcomes, *self._outcomes]
        self.size_bytes += sum(settled.size for settled in outcomes)

    def spare(self, count: int) -> None:
        """The oldest, so many, go without newcomers next time."""
        self._spared = count

    def put_in(self, outcomes: Sequence[Settled]) -> None:
        """They were set aside, and wait like all others now, each in front of what came later in its key."""
        self._outcomes = sorted([*outcomes, *self._outcomes], key=lambda settled: settled.record.offset)
        self.size_bytes += sum(settled.size for settled in outcomes)
        self._spared = 0

    def drop_dead(self, live: Callable[[Partition], bool]) -> None:
        """Drop outcomes of ended epochs: whoever owns the partition now runs their requests again."""
        dead = {settled.partition for settled in self._outcomes if not live(settled.partition)}
        if dead:
            self._outcomes = [settled for settled in self._outcomes if settled.partition not in dead]
            self.size_bytes = sum(settled.size for settled in self._outcomes)
