"""Outcomes that the broker refuses: tried one by one, set aside, and tried again until they are taken.

A batch is refused as a whole, so several are *suspects* first. One that is refused by itself is set aside: its offset
stays unfinished, nobody waits for it, and it is tried again by itself, a minute later. A topic that takes nothing, or
refuses one outcome after the other, is *barred*: others for it are set aside untried, and go out together once one of
them was taken. Requests of a key keep their order among suspects.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stream.kafka.attempts import Settled
from stream.kafka.partition import Partition
from stream.telemetry.watch import Watch

REFUSED_AGAIN_S = 60.0
APART_S = 1.0
"""How far apart outcomes that were refused by themselves are tried again, at least: each refusal costs a producer (some
0.3 s), and others must flow beside any number of them. Once one was taken, the next of its topic follows at once."""

REFUSING_AT = 3
"""From so many different outcomes on, each refused by itself while the topic took none, the topic is barred."""

_BARRED = "its topic takes nothing at the moment"


@dataclass(slots=True, eq=False)
class _Bar:
    """A barred topic: when it is probed, how long after a failed probe again, and the probe under way."""

    again_s: float
    pause_s: float
    probe: Settled | None = None


class Refusals:
    """See the module. `size_bytes`: what they take.

    live: whether a partition's epoch is still ours. wake: has the next attempt made. wait_again: takes outcomes that
    may be tried with all others again. on_dropped: told when a look at what is set aside has dropped what belongs to
    ended epochs.
    """

    def __init__(
        self,
        live: Callable[[Partition], bool],
        wake: Callable[[], None],
        wait_again: Callable[[list[Settled]], None],
        on_dropped: Callable[[], None],
        watch: Watch,
    ) -> None:
        self._live = live
        self._wake = wake
        self._wait_again = wait_again
        self._on_dropped = on_dropped
        self._watch = watch
        self.size_bytes = 0
        self._suspects: list[Settled] = []
        self._suspects_turn = True
        self._held: list[Settled] = []
        self._bars: dict[str, _Bar] = {}
        self._streaks: Counter[str] = Counter()
        self._alone: dict[Settled, float] = {}
        """Refused by themselves, and when each may be tried again."""
        self._alone_again_s = 0.0
        self._retried: Settled | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._suspects) + len(self._held) + len(self._alone)

    @property
    def suspects(self) -> int:
        """How many wait for an attempt of their own."""
        return len(self._suspects)

    def suspected(self) -> dict[tuple[Partition, bytes], int]:
        """The first suspect's offset of each key: what comes later in that key must wait for it."""
        return _first_of_each_key(self._suspects)

    def barred(self, topic: str) -> bool:
        """Whether nothing is to be tried there, but what is tried here."""
        return topic in self._bars

    def bar(self, topics: Iterable[str]) -> None:
        """These topics take nothing, whatever the record: until a probe is taken, nothing else is tried there."""
        for topic in topics:
            self._bars[topic] = _Bar(_now_s() + REFUSED_AGAIN_S, REFUSED_AGAIN_S)
            self._look_at(self._bars[topic].again_s)
        moved = [settled for settled in self._suspects if settled.topic in topics]
        self._suspects = [settled for settled in self._suspects if settled.topic not in topics]
        for settled in moved:
            self._lay_aside(settled)
            self._watch.refused(settled.record, _BARRED)

    def next_suspect(self, others: Iterable[Settled], *, others_wait: bool) -> Settled | None:
        """The next suspect that no earlier outcome of its key waits with; None if there is none.

        others: outcomes that wait and are no suspects. others_wait: whether something else than suspects could be
        attempted now: then it goes in turn, for what is refused must not hold up what isn't.
        """
        self._suspects_turn = not self._suspects_turn
        if not self._suspects or (others_wait and not self._suspects_turn):
            return None
        first = _first_of_each_key((*others, *self._suspects))
        for number, suspect in enumerate(self._suspects):
            record = suspect.record
            if record.key is None or first[suspect.partition, record.key] == record.offset:
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

    def hold(self, settled: Settled, reason: str = _BARRED) -> None:
        """Set it aside with its barred topic."""
        self.size_bytes += settled.size
        self._lay_aside(settled)
        if settled.topic in self._bars:
            self._look_at(self._bars[settled.topic].again_s)
        self._watch.refused(settled.record, reason)

    def refused_alone(self, settled: Settled, reason: str) -> None:
        """It was refused by itself: set it aside. It counts against its topic once, however often it is tried."""
        bar = self._bars.get(settled.topic)
        was_probe = bar is not None and bar.probe is settled
        if not settled.refused_alone:
            settled.refused_alone = True
            self._streaks[settled.topic] += 1
            self._weigh(settled.topic, bar, was_probe)
        elif bar is not None and was_probe:
            bar.again_s = _now_s() + APART_S  # it says nothing of the topic, so whoever comes new may soon ask
        if settled is self._retried:
            self._alone_again_s = _now_s() + APART_S
        self.size_bytes += settled.size
        self._lay_aside(settled)
        self._watch.refused(settled.record, reason)

    def published(self, outcomes: Sequence[Settled]) -> None:
        """They are visible, so their topics take outcomes."""
        if not (self._alone or self._streaks or self._bars or self._retried):
            return
        for topic in {settled.topic for settled in outcomes}:
            self._streaks.pop(topic, None)
            self._lift(topic)
        cured = {settled.topic for settled in outcomes if settled.refused_alone}
        if cured:
            self._alone_again_s = now_s = _now_s()
            self._alone |= {other: min(due_s, now_s) for other, due_s in self._alone.items() if other.topic in cured}
            self._look_at(now_s)
        for settled in outcomes:
            self._end_trial(settled)

    def try_held(self, partitions: Iterable[Partition]) -> None:
        """Have what these partitions hold for barred topics tried once more, for they are given back."""
        given_back = set(partitions)
        for topic in {settled.topic for settled in self._held if settled.partition in given_back}:
            self._lift(topic)

    def drop_dead(self) -> None:
        """Drop outcomes of ended epochs."""
        self._suspects = [settled for settled in self._suspects if self._live(settled.partition)]
        self._held = [settled for settled in self._held if self._live(settled.partition)]
        self._alone = {settled: due_s for settled, due_s in self._alone.items() if self._live(settled.partition)}
        for trial in (self._retried, *(bar.probe for bar in self._bars.values())):
            if trial is not None and not self._live(trial.partition):
                self._end_trial(trial)
        self.size_bytes = sum(settled.size for settled in (*self._suspects, *self._held, *self._alone))

    def _weigh(self, topic: str, bar: _Bar | None, was_probe: bool) -> None:
        """Bar a topic, or open it, now that one more outcome was refused there for its own sake."""
        if self._streaks[topic] < REFUSING_AT:
            if was_probe:
                self._lift(topic)  # it answers record by record again
        elif bar is None:
            self._bars[topic] = _Bar(_now_s() + APART_S, APART_S)
        elif was_probe:
            bar.pause_s = min(2 * bar.pause_s, REFUSED_AGAIN_S)
            bar.again_s = _now_s() + bar.pause_s

    def _lift(self, topic: str) -> None:
        if self._bars.pop(topic, None) is None:
            return
        freed = [settled for settled in self._held if settled.topic == topic]
        self._held = [settled for settled in self._held if settled.topic != topic]
        for settled in freed:
            settled.partition.uncommitted += 1
            self.size_bytes -= settled.size
        self._wait_again(freed)
        self._look_at(_now_s())

    def _lay_aside(self, settled: Settled) -> None:
        settled.partition.uncommitted -= 1
        self._end_trial(settled)
        if settled.refused_alone:
            self._alone[settled] = _now_s() + REFUSED_AGAIN_S
            self._look_at(self._alone[settled])
        else:
            self._held.append(settled)

    def _end_trial(self, settled: Settled) -> None:
        """It isn't under way any more, as a probe or by itself: the next one may be."""
        if settled is self._retried:
            self._retried = None
            self._look_at(self._alone_again_s)
        for bar in self._bars.values():
            if bar.probe is settled:
                bar.probe = None
                self._look_at(bar.again_s)

    def _look_at(self, when_s: float) -> None:
        """Look for what may be tried again at this time, if not sooner."""
        if self._timer is not None and self._timer.when() <= when_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when_s, self._look)

    def _look(self) -> None:
        self._timer = None
        self.drop_dead()
        self._on_dropped()
        now_s = _now_s()
        for topic, bar in self._bars.items():
            due_s, probe = self._probe(topic, bar)
            if probe is not None and due_s <= now_s:
                bar.probe = probe
                self._try_again(probe)
            elif probe is not None:
                self._look_at(due_s)
        due = [(due_s, number, s) for number, (s, due_s) in enumerate(self._alone.items()) if s.topic not in self._bars]
        if due and self._retried is None:
            due_s, _, oldest = min(due)
            if max(due_s, self._alone_again_s) <= now_s:
                self._retried = oldest
                self._try_again(oldest)
            else:
                self._look_at(max(due_s, self._alone_again_s))

    def _probe(self, topic: str, bar: _Bar) -> tuple[float, Settled | None]:
        """What a barred topic is to be tried with next, and when: one that wasn't tried alone, if there is one."""
        if bar.probe is not None:
            return 0.0, None
        held = [settled for settled in self._held if settled.topic == topic]
        if held:
            return bar.again_s, min(held, key=lambda settled: settled.record.offset)
        for settled, due_s in self._alone.items():
            if settled.topic == topic:
                return max(due_s, bar.again_s), settled
        return 0.0, None

    def _try_again(self, settled: Settled) -> None:
        if self._alone.pop(settled, None) is None:
            self._held.remove(settled)
        settled.partition.uncommitted += 1
        self._suspects.insert(0, settled)
        self._wake()


def _first_of_each_key(outcomes: Iterable[Settled]) -> dict[tuple[Partition, bytes], int]:
    first: dict[tuple[Partition, bytes], int] = {}
    for settled in outcomes:
        if settled.record.key is not None:
            place = settled.partition, settled.record.key
            first[place] = min(settled.record.offset, first.get(place, settled.record.offset))
    return first


def _now_s() -> float:
    return asyncio.get_running_loop().time()
