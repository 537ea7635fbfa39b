"""Starts requests: as many as there are slots, pool by pool, only where the gate has room.

Promises: a request that waits holds no task, no thread and no slot; within a pool the longest waiting starts first, but
at a shut gate every second one is the newest; no pool starves another; requests that the provider refuses keep no
others from starting; nothing starts while too many outcomes wait for their commit.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from stream.core.ordering import Lanes
from stream.kafka.partition import Item, Partition
from stream.kafka.slots import HeldSlot, Slots

MAX_PARKED = 2
MIN_PARKED = 64
"""So many times `max_in_flight` requests of one pool may be started, in the air or waiting inside, at most, or 64: with
few slots, a few that fail and back off must leave room for others, who are their witnesses. Those that failed already
don't count while they wait at the gate, nor those that stand aside: what is read bounds them."""


PROBERS = 2
"""How many newcomers wait at a shut gate to probe it: with two, one request that always fails can't be every probe, and
those that failed already, however many, keep nobody out who may get through. They are taken from both
ends of the queue in turn: what somebody sent in one go, and always fails, must not be every probe for hours."""


class Admission(Protocol):
    """What a provider's gate tells the scheduler."""

    def view(self, model: str) -> Any:
        """Has `open`, `room` (how many calls would be admitted now) and `opens_in_s`."""

    def waiting(self, model: str) -> int:
        """How many started requests wait for the gate."""

    def newcomers(self, model: str) -> int:
        """How many of those never failed in a way that may be their own."""


class Scheduler:
    """Ready requests in, running tasks out.

    run: the coroutine that serves a request; it holds the slot given. admissions: gates by provider name; a provider
    without one always has room. may_start: whether outcomes and limits leave room at all. on_defect: told of an
    exception that came out of `run`: its request is in nobody's hands any more.
    """

    def __init__(
        self,
        max_in_flight: int,
        admissions: Mapping[str, Admission],
        run: Callable[[Item, HeldSlot], Coroutine[Any, Any, None]],
        may_start: Callable[[], bool],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self.slots = Slots(max_in_flight, self.pump)
        self._admissions = admissions
        self._run = run
        self._may_start = may_start
        self._on_defect = on_defect
        self._lanes: Lanes[Item] = Lanes()
        self._routes: dict[str, tuple[str, str]] = {}
        self._started = 0
        self._started_of: Counter[str] = Counter()
        self._pumping = False
        self._newest_next: set[str] = set()
        """Pools at a shut gate whose next probe is the newest request, not the oldest."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def started(self) -> int:
        """Requests that have a task: in the air, or waiting inside for a gate or a backoff."""
        return self._started

    @property
    def waiting(self) -> int:
        """Requests that are ready and have not been started."""
        return len(self._lanes)

    def ready(self, item: Item) -> None:
        """A request may start as soon as there is room. Call `pump` afterwards."""
        assert item.prepared is not None  # noqa: S101  (only understood requests become ready)
        version = item.prepared.version
        pool = f"{version.provider}:{version.model}"
        self._routes.setdefault(pool, (version.provider, version.model))
        self._lanes.add(pool, item)

    def forget(self, partition: Partition) -> None:
        """Drop what is ready of a partition."""
        self._lanes.drop(lambda item: item.partition is partition)

    def pump(self) -> None:
        """Start what can start. Cheap when nothing can; safe to call from anywhere on the loop."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._pump()
        finally:
            self._pumping = False

    def _pump(self) -> None:
        if not len(self._lanes):
            return
        opens_in_s = math.inf
        rooms: dict[str, float] = {}
        progress = True
        while progress and self._may_start_one():
            progress = False
            for pool in self._lanes.pools():
                if pool not in rooms:
                    rooms[pool], wait_s = self._room(pool)
                    opens_in_s = min(opens_in_s, wait_s)
                if rooms[pool] >= 1 and self._may_start_one() and (item := self._take(pool)):
                    rooms[pool] -= 1
                    progress = True
                    self._start(item, pool)
        if opens_in_s < math.inf:
            self._pump_in(opens_in_s)

    def _take(self, pool: str) -> Item | None:
        provider, model = self._routes[pool]
        admission = self._admissions.get(provider)
        if admission is None or admission.view(model).open:
            return self._lanes.take(pool)
        newest = pool in self._newest_next
        self._newest_next ^= {pool}
        return self._lanes.take(pool, newest=newest)

    def _may_start_one(self) -> bool:
        return self.slots.free > 0 and self._may_start()

    def _room(self, pool: str) -> tuple[float, float]:
        """How many of a pool may start, and in how many seconds time alone makes room (inf: it has, or none does)."""
        provider, model = self._routes[pool]
        admission = self._admissions.get(provider)
        started = self._started_of[pool] - self.slots.aside[pool]
        unstarted = max(MIN_PARKED, MAX_PARKED * self.slots.limit) - started
        if admission is None:
            return unstarted, math.inf
        view = admission.view(model)
        waiting, newcomers = admission.waiting(model), admission.newcomers(model)
        unstarted += waiting - newcomers
        if not view.open:
            room = max(view.room, PROBERS) - newcomers
        elif newcomers == waiting:
            room = view.room - waiting
        else:  # the gate's line decides how many of them pass those that failed
            room = max(1.0, view.room) - newcomers
        room = min(room - self.slots.starting[pool], unstarted)
        if room >= 1 or view.opens_in_s is None:
            return room, math.inf
        return room, view.opens_in_s

    def _start(self, item: Item, pool: str) -> None:
        partition = item.partition
        partition.leaves(item)
        self._started += 1
        self._started_of[pool] += 1
        slot = self.slots.taken(pool)
        task = asyncio.create_task(self._run(item, slot))
        partition.running[item.record.offset] = (task, slot)
        task.add_done_callback(lambda task: self._ended(item, slot, pool, task))

    def _ended(self, item: Item, slot: HeldSlot, pool: str, task: "asyncio.Task[None]") -> None:
        """Not in the task itself: one that is cancelled before its first step never runs a line."""
        if not task.cancelled() and (error := task.exception()):
            self._on_defect(error)
        elif task.cancelled() and item.record.offset not in item.partition.cancelled:
            self._on_defect(
                RuntimeError(f"the task of {item.partition.id}@{item.record.offset} was cancelled by others")
            )
        self._started -= 1
        self._started_of[pool] -= 1
        item.partition.running.pop(item.record.offset, None)
        slot.end()
        self.pump()  # one that waited inside held no slot to give back, but at its gate there is room for another now

    def _pump_in(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        when_s = loop.time() + max(delay_s, 0.001)
        if self._timer is not None and not self._timer.cancelled() and self._timer.when() <= when_s + 0.001:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()
