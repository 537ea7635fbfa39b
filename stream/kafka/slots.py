"""How many calls may be in the air, over all providers: a request holds a slot only while its call is out."""

import asyncio
from collections import Counter
from collections.abc import Callable


class Slots:
    """A counted semaphore that those who wait again (after a gate, a backoff) get before newcomers.

    on_free: told when a slot is given back and nobody waits for it.
    """

    def __init__(self, limit: int, on_free: Callable[[], None]) -> None:
        self.limit = limit
        self.used = 0
        self.aside: Counter[str] = Counter()
        """By pool, how many requests stepped aside."""
        self.starting: Counter[str] = Counter()
        """By pool, how many have just been started, and haven't come to their gate yet."""
        self._waiters: dict[asyncio.Future[None], None] = {}
        """In the order they came; a dict, for thousands may give up at once."""
        self._on_free = on_free

    @property
    def free(self) -> int:
        """Slots that a newcomer may take."""
        return self.limit - self.used - len(self._waiters)

    def taken(self, pool: str = "") -> "HeldSlot":
        """A slot, taken at once for a request of a pool. Only to be called while `free` is above 0."""
        self.used += 1
        self.starting[pool] += 1
        return HeldSlot(self, pool)

    async def wait(self) -> None:
        """Take a slot as soon as there is one, first come first served."""
        if self.used < self.limit and not self._waiters:
            self.used += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.give()
            elif waiter in self._waiters:  # `give` may have passed it over already
                del self._waiters[waiter]
            raise

    def give(self) -> None:
        """Give a slot back."""
        while self._waiters:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)
                return
        self.used -= 1
        self._on_free()


class HeldSlot:
    """One request's hold on a slot (`core.records.Slot`)."""

    __slots__ = ("_aside", "_pool", "_slots", "_starting", "held")

    def __init__(self, slots: Slots, pool: str) -> None:
        self._slots = slots
        self._pool = pool
        self._aside = False
        self._starting = True
        self.held = True

    async def acquire(self) -> None:
        """Wait for a slot, unless one is held."""
        if not self.held:
            await self._slots.wait()
            self.held = True
        self._come()

    def release(self) -> None:
        """Give the slot back, if one is held, and count as started: who waits for a gate is near it."""
        self._come()
        if self.held:
            self.held = False
            self._slots.give()

    def step_aside(self) -> None:
        """Give it back, and don't count as started while it is nowhere near a call."""
        self._come()
        self._aside = True
        self._slots.aside[self._pool] += 1
        if self.held:
            self.held = False
            self._slots.give()

    def end(self) -> None:
        """Its request is over."""
        self.release()

    def _come(self) -> None:
        """It is at its gate, or past it."""
        if self._starting:
            self._starting = False
            self._slots.starting[self._pool] -= 1
        if self._aside:
            self._aside = False
            self._slots.aside[self._pool] -= 1
