"""Outcomes that the broker refuses, or may refuse: tried one by one, set aside, and tried again until they are taken.

A batch is refused as a whole, so several are *suspects* first. One that is refused by itself is *set aside*: its offset
stays unfinished, and nobody waits for it. Every minute the oldest of each topic is tried again; once the broker takes
it, the others follow. Requests of a key keep their order among suspects.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from stream.kafka.attempts import Settled
from stream.kafka.partition import Partition
from stream.telemetry.watch import Watch

REFUSED_AGAIN_S = 60.0
REFUSING_AT = 3
"""From so many refused outcomes on, all others for the same topic are set aside untried until one is taken."""


class Refusals:
    """See the module. `size_bytes`: what they take.

    live: whether a partition's epoch is still ours. wake: has the next attempt made. on_dropped: told when a probe has
    dropped what belongs to ended epochs.
    """

    def __init__(
        self,
        live: Callable[[Partition], bool],
        wake: Callable[[], None],
        on_dropped: Callable[[], None],
        watch: Watch,
    ) -> None:
        self._live = live
        self._wake = wake
        self._on_dropped = on_dropped
        self._watch = watch
        self.size_bytes = 0
        self._suspects: list[Settled] = []
        self._suspects_turn = True
        self._aside: list[Settled] = []
        self._barred: set[str] = set()
        self._probes: set[Settled] = set()
        self._probing: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._suspects) + len(self._aside)

    @property
    def suspects(self) -> int:
        """How many wait for an attempt of their own."""
        return len(self._suspects)

    def suspected(self) -> dict[tuple[Partition, bytes], int]:
        """The first suspect's offset of each key: what comes later in that key must wait for it."""
        first: dict[tuple[Partition, bytes], int] = {}
        for settled in self._suspects:
            if settled.record.key is not None:
                place = settled.partition, settled.record.key
                first[place] = min(settled.record.offset, first.get(place, settled.record.offset))
        return first

    def refusing_topics(self) -> set[str]:
        """Topics of which so many outcomes were refused that it isn't about a single record."""
        counts = Counter(settled.topic for settled in self._aside)
        return self._barred | {topic for topic, count in counts.items() if count >= REFUSING_AT}

    def bar(self, topics: Iterable[str]) -> None:
        """These topics take nothing, whatever the record: until a probe is taken, nothing is tried there."""
        self._barred |= set(topics)

    def next_suspect(self, others: Sequence[Settled], *, others_wait: bool) -> Settled | None:
        """The next suspect that no earlier outcome of its key waits with; None if there is none.

        others: outcomes that wait and are no suspects. others_wait: whether something else than suspects could be
        attempted now: then it goes in turn, for what is refused must not hold up what isn't.
        """
        self._suspects_turn = not self._suspects_turn
        if not self._suspects or (others_wait and not self._suspects_turn):
            return None
        keyed = {(other.partition, other.record.key): other.record.offset for other in reversed(others)}
        for number, suspect in enumerate(self._suspects):
            earlier = keyed.get((suspect.partition, suspect.record.key)) if suspect.record.key is not None else None
            if earlier is None or earlier > suspect.record.offset:
                self.size_bytes -= suspect.size
                return self._suspects.pop(number)
        return None

    def suspect(self, outcomes: Sequence[Settled]) -> None:
        """Try these one by one."""
        self._suspects += outcomes
        self.size_bytes += sum(settled.size for settled in outcomes)

    def put_back(self, outcomes: list[Settled]) -> None:
        """A suspect's attempt failed: in front of the others of its key again."""
        self._suspects = outcomes + self._suspects
        self.size_bytes += sum(settled.size for settled in outcomes)

    def set_aside(self, settled: Settled, reason: str) -> None:
        """Leave it out; it is tried again later."""
        self._probe_later()
        settled.partition.uncommitted -= 1
        self._probes.discard(settled)
        self._aside.append(settled)
        self.size_bytes += settled.size
        self._watch.refused(settled.record, reason)

    def published(self, settled: Settled) -> None:
        """It is visible. If it was a probe, its topic takes outcomes again."""
        if settled in self._probes:
            self._probes.discard(settled)
            self._barred.discard(settled.topic)
            for other in [each for each in self._aside if each.topic == settled.topic]:
                self._try_again(other)

    def drop_dead(self) -> None:
        """Drop outcomes of ended epochs."""
        self._suspects = [settled for settled in self._suspects if self._live(settled.partition)]
        self._aside = [settled for settled in self._aside if self._live(settled.partition)]
        self._probes = {settled for settled in self._probes if self._live(settled.partition)}
        self.size_bytes = sum(settled.size for settled in (*self._suspects, *self._aside))

    def _probe_later(self) -> None:
        if self._probing is None:
            self._probing = asyncio.get_running_loop().call_later(REFUSED_AGAIN_S, self._probe)

    def _probe(self) -> None:
        self._probing = None
        self.drop_dead()
        self._on_dropped()
        oldest = {settled.topic: settled for settled in reversed(self._aside)}
        for settled in oldest.values():
            self._probes.add(settled)
            self._try_again(settled)
        if self._aside or self._probes:
            self._probe_later()

    def _try_again(self, settled: Settled) -> None:
        self._aside.remove(settled)
        settled.partition.uncommitted += 1
        self._suspects.append(settled)
        self._wake()
