"""What a broker does with attempts while some outcomes, or whole topics, are refused."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from stream.kafka.attempts import Attempt, Ending, Result

COMMITTED = Ending(Result.COMMITTED)


@dataclass
class RefusingTopics:
    """`ending` of each attempt. poison: offsets whose outcomes are refused for their own sake, and with each all others
    of its attempt that go to the same topic. shut: topics that take nothing.

    refused_at_s, taken_at_s: when an outcome was refused alone, and when it became visible, by offset.
    """

    now_s: Callable[[], float]
    poison: Collection[int] = ()
    shut: Collection[str] = ()
    refused_at_s: dict[int, list[float]] = field(default_factory=dict)
    taken_at_s: dict[int, float] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    in_vain: int = 0
    """Attempts that were refused."""

    def ending(self, attempt: Attempt) -> Ending:
        going = [(parcel.records[0].topic, int(parcel.records[0].value or b"")) for parcel in attempt.parcels]
        bad = {topic for topic, offset in going if offset in self.poison or topic in self.shut}
        if not bad:
            self.taken_at_s |= {offset: self.now_s() for _, offset in going}
            self.order += [offset for _, offset in going]
            return COMMITTED
        self.in_vain += 1
        if len(going) == 1:
            self.refused_at_s.setdefault(going[0][1], []).append(self.now_s())
        refused = frozenset(number for number, (topic, _) in enumerate(going) if topic in bad)
        return Ending(Result.REFUSED, f"{bad}: refused", refused, frozenset(bad & set(self.shut)))
