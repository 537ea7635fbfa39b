"""Who waits at a gate for one model, and who goes next: newcomers before those whose failures may be their own.

What failed and waits again may be what shut the gate: eight requests that always fail must not be the only ones that
ever probe it. So newcomers go first. While the gate is open, a request that failed lets as many of them pass as it was
called (`MOST_PASSES` at most), one that was refused `REFUSED_PASSES`, since each refusal may shut the gate for all; as
probes of a shut gate `PROBES` at least, the refused all.

Of those that failed few are in the air together, `AT_LEAST`. Each that is served lets some more go, so after an outage
they are soon through; each that fails again takes back a quarter (`BACK`). Where a share f of calls fails at random,
that settles at 4 (1 - f) / f times the step. While anybody is served, there is nothing to spare but slots: then they
may have a quarter of these (`SHARE`), or a few that hang until their deadline would keep all that failed once waiting.

A 429 is nobody's own: whoever was told to slow down is as good as a newcomer.
"""

import asyncio
import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

MOST_PASSES = 7
REFUSED_PASSES = 31
PROBES = 3
BACK = 0.75
AT_LEAST = 4
SHARE = 0.25
_UNTIDY = 64


class Place(NamedTuple):
    """A place in a line; the smallest goes first.

    refused: whether the request was refused before. ticket: the order in which they came. calls: how often it was
    called, 0 for a newcomer: nothing that may be its own failure has happened to it.
    """

    refused: bool
    ticket: int
    calls: int = 0

    @property
    def is_new(self) -> bool:
        """Whether it is a newcomer's."""
        return self.calls == 0

    def passes(self, *, shut: bool) -> float:
        """How many newcomers it lets pass; shut: as probes of a shut gate."""
        if self.refused:
            return math.inf if shut else REFUSED_PASSES
        return max(min(self.calls, MOST_PASSES), PROBES if shut else 0)


class _Lane:
    """A heap by place, whose cancelled entries are skipped, and swept when they pile up."""

    __slots__ = ("_heap", "parked")

    def __init__(self) -> None:
        self._heap: list[tuple[Place, asyncio.Future[None]]] = []
        self.parked = 0

    def park(self, place: Place, waiter: "asyncio.Future[None]") -> None:
        heappush(self._heap, (place, waiter))
        self.parked += 1

    def first(self) -> Place | None:
        """The foremost place; None if nobody is left (`parked` counts the cancelled until they know it)."""
        while self._heap and self._heap[0][1].done():
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def wake(self) -> None:
        """Wake the first, which must be there."""
        heappop(self._heap)[1].set_result(None)
        self.parked -= 1

    def leave(self) -> None:
        """One that was parked gave up."""
        self.parked -= 1
        if len(self._heap) > 2 * self.parked + _UNTIDY:
            self._heap = [entry for entry in self._heap if not entry[1].done()]
            heapify(self._heap)


class Line:
    """See the module. `called`: woken, on their way to a slot and the gate."""

    __slots__ = (
        "_allowance",
        "_ceiling",
        "_failed",
        "_failed_out",
        "_new",
        "_new_called",
        "_passed",
        "_serves",
        "_step",
        "called",
    )

    def __init__(self, ceiling: int, serves: Callable[[], bool]) -> None:
        """ceiling: how many calls there may ever be in the air. serves: whether the model served anybody lately."""
        self._ceiling = ceiling
        self._serves = serves
        self._step = max(2.0, ceiling / 64)
        self._new, self._failed = _Lane(), _Lane()
        self._passed = 0
        """How many newcomers went since the last one that failed before."""
        self._new_called = 0
        self.called = 0
        self._failed_out = 0
        """How many that failed before are in the air."""
        self._allowance = float(AT_LEAST)
        """How many of these may be."""

    @property
    def parked(self) -> int:
        """How many wait to be woken."""
        return self._new.parked + self._failed.parked

    @property
    def waiting(self) -> int:
        """How many wait, those woken included."""
        return self.parked + self.called

    @property
    def newcomers(self) -> int:
        """How many of these are newcomers."""
        return self._new.parked + self._new_called

    @property
    def has_room_for_failed(self) -> bool:
        """Whether one more that failed before may go."""
        out = self._failed_out + self.called - self._new_called
        return out < self._allowance or (out < SHARE * self._ceiling and self._serves())

    def sent_again(self) -> None:
        """One that failed before is in the air, or will be as soon as there is a slot."""
        self._failed_out += 1

    def came_back(self, *, served: bool | None) -> None:
        """It is no longer; None: it wasn't sent, or what became of it says nothing."""
        self._failed_out -= 1
        if served is not None:
            more, less = min(self._ceiling, self._allowance + self._step), self._allowance * BACK
            self._allowance = max(AT_LEAST, more if served else less)

    def park(self, place: Place, waiter: "asyncio.Future[None]") -> None:
        """Wait at this place."""
        self._lane(place).park(place, waiter)

    def first(self) -> Place | None:
        """The foremost place; None if nobody is left."""
        return min(filter(None, (self._new.first(), self._failed.first())), default=None)

    def call(self, *, shut: bool) -> bool:
        """Wake the next; false if there is none. shut: it is to be a probe."""
        new, failed = self._new.first(), self._failed.first() if self.has_room_for_failed else None
        if new is not None and (failed is None or self._passed < failed.passes(shut=shut)):
            self._new.wake()
            self._new_called += 1
            self._passed += 1
        elif failed is not None:
            self._failed.wake()
            self._passed = 0
        else:
            return False
        self.called += 1
        return True

    def came(self, place: Place) -> None:
        """One that was called has asked the gate, or gave up on its way there."""
        self.called -= 1
        self._new_called -= place.is_new

    def leave(self, place: Place) -> None:
        """One that was parked gave up."""
        self._lane(place).leave()

    def _lane(self, place: Place) -> _Lane:
        return self._new if place.is_new else self._failed
