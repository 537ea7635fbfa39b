"""A provider behind a gate: calls wait while it is shut, one goes first when it may open.

Promises: a request that waits holds no slot; those for one model go in the order they came, but one that was refused
goes behind all that were not, also those that come later, so that no single request keeps a gate shut for all; one that
is refused while others get through shuts nothing; there is no polling: a waiter is woken by the end of another call or
by one timer.
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from stream.core.errors import ErrorClass, ProviderError
from stream.core.expiry import refuse_expired
from stream.core.ports import Clock, Provider
from stream.core.records import Completion, ModelCall
from stream.resilience.backoff import Rand
from stream.resilience.gate import Gate, GateChange, GateView, Permit

_SHORTEST_TIMER_S = 0.001
_UNTIDY = 64
_MAY_BE_ITS_OWN = frozenset({ErrorClass.OVERLOADED, ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})
_REFUSALS = frozenset({ErrorClass.ACCOUNT, ErrorClass.UNKNOWN_MODEL})

Place = tuple[bool, int]
"""In a queue: whether the request was refused before, then the order in which they came."""


class _Queue:
    """Who waits for one model: a heap by place, whose cancelled entries are skipped, and swept when they pile up."""

    __slots__ = ("_heap", "called", "parked", "refused")

    def __init__(self) -> None:
        self._heap: list[tuple[Place, asyncio.Future[None]]] = []
        self.parked = 0
        self.refused = 0
        """How many of the parked and the called were refused before."""
        self.called = 0
        """Woken, on their way to a slot and the gate."""

    @property
    def busy(self) -> bool:
        return self.parked > 0 or self.called > 0

    def park(self, place: Place, waiter: asyncio.Future[None]) -> None:
        heappush(self._heap, (place, waiter))
        self.parked += 1
        self.refused += place[0]

    def first(self) -> Place | None:
        """The foremost place; None if nobody is left (`parked` counts the cancelled until they know it)."""
        while self._heap and self._heap[0][1].done():
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def call(self) -> bool:
        """Wake the first; false if there is none."""
        if self.first() is None:
            return False
        heappop(self._heap)[1].set_result(None)
        self.parked -= 1
        self.called += 1
        return True

    def came(self, place: Place) -> None:
        """One that was called has asked the gate, or gave up on its way there."""
        self.called -= 1
        self.refused -= place[0]

    def leave(self, place: Place) -> None:
        """One that was parked gave up."""
        self.parked -= 1
        self.refused -= place[0]
        if len(self._heap) > 2 * self.parked + _UNTIDY:
            self._heap = [entry for entry in self._heap if not entry[1].done()]
            heapify(self._heap)


class Gated:
    """See the module. Raises what the inner provider raises, with `counted` set: whether it counts as an attempt."""

    def __init__(
        self,
        inner: Provider,
        gate: Gate,
        clock: Clock,
        rand: Rand,
        on_change: Callable[[GateChange], None] | None = None,
    ) -> None:
        """on_change: told of each change of the gate, on the event loop; must not raise."""
        self._inner = inner
        self._gate = gate
        self._clock = clock
        self._rand = rand
        self._on_change = on_change
        self._queues: dict[str, _Queue] = {}
        self._tickets = 0
        self._timer: asyncio.TimerHandle | None = None

    def view(self, model: str) -> GateView:
        """How the gate stands for a model now; takes nothing."""
        return self._gate.peek(model, self._clock.monotonic_s())

    def waiting(self, model: str) -> int:
        """How many requests for a model wait for the gate, those just woken included."""
        queue = self._queues.get(model)
        return 0 if queue is None else queue.parked + queue.called

    def untried(self, model: str) -> int:
        """How many of those have not been refused before: the ones that may tell something new as a probe."""
        queue = self._queues.get(model)
        return 0 if queue is None else queue.parked + queue.called - queue.refused

    async def complete(self, call: ModelCall) -> Completion:
        """One completion, once the gate lets it go. Raises ProviderError; RouteError if it expired meanwhile."""
        permit = await self._permit(call)
        try:
            refuse_expired(call.expires_at_ms, self._clock.now_ms())
            completion = await self._inner.complete(call)
            refused = call.tally.refused_s is not None
            self._gate.settle(permit, None, self._clock.monotonic_s(), self._rand, refused_before=refused)
            call.tally.refused_s, call.tally.refused_alone = None, False
        except ProviderError as error:
            self._settle_failure(permit, call, error)
            raise
        finally:
            self._gate.cancel(permit)  # does nothing once settled
            self._publish()
        return completion

    async def aclose(self) -> None:
        """Close the inner provider. Whoever still waits must be cancelled by who started it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._inner.aclose()

    def _settle_failure(self, permit: Permit, call: ModelCall, error: ProviderError) -> None:
        now_s = self._clock.monotonic_s()
        if (error.error_class in _REFUSALS or error.may_be_own) and self._is_refused_alone(permit, call, error, now_s):
            self._gate.cancel(permit)
            return
        self._gate.settle(
            permit,
            error.error_class,
            now_s,
            self._rand,
            retry_after_s=error.retry_after_s,
            detail=error.detail,
        )
        error.counted = error.error_class is ErrorClass.BAD_REQUEST
        if error.error_class in _MAY_BE_ITS_OWN:
            tally = call.tally
            spoken = self._gate.judge(permit, tally.suspect_since_s, now_s)
            error.counted = spoken and error.error_class is not ErrorClass.OVERLOADED
            if error.counted or tally.suspect_since_s is None:
                tally.suspect_since_s = now_s

    def _is_refused_alone(self, permit: Permit, call: ModelCall, error: ProviderError, now_s: float) -> bool:
        """Whether a refusal is this request's own, and shuts nothing; it counts if a new witness says so."""
        tally = call.tally
        judged = self._gate.judge_refusal(permit, tally.refused_s, now_s)
        tally.refused_s = now_s
        error.counted = judged and error.may_be_own
        tally.refused_alone = error.may_be_own and (judged or tally.refused_alone)
        return tally.refused_alone and self._gate.is_untroubled(permit, now_s)

    async def _permit(self, call: ModelCall) -> Permit:
        queue = self._queues.get(call.model)
        if queue is None:
            queue = self._queues[call.model] = _Queue()
        if not queue.busy:
            await call.slot.acquire()
            permit = self._gate.admit(call.model, self._clock.monotonic_s())
            if permit is not None:
                return permit
        self._tickets += 1
        return await self._wait(call, queue, (call.tally.refused_s is not None, self._tickets))

    async def _wait(self, call: ModelCall, queue: _Queue, place: Place) -> Permit:
        """Wait without a slot; when called, get one and ask again. Refused, it keeps its place."""
        while True:
            call.slot.release()
            await self._turn(queue, place)
            try:
                await call.slot.acquire()
            except BaseException:
                queue.came(place)
                self._call_waiters()  # the place this one was called for is another's
                raise
            queue.came(place)
            permit = self._gate.admit(call.model, self._clock.monotonic_s())
            if permit is not None:
                self._call_waiters()
                return permit

    async def _turn(self, queue: _Queue, place: Place) -> None:
        waiter = asyncio.get_running_loop().create_future()
        queue.park(place, waiter)
        self._call_waiters()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                queue.leave(place)
            else:
                queue.came(place)
                self._call_waiters()
            raise

    def _publish(self) -> None:
        for change in self._gate.take_changes():
            if self._on_change is not None:
                self._on_change(change)
        self._call_waiters()

    def _call_waiters(self) -> None:
        """Wake as many as there is room for, the longest waiting model first; set the timer for the others."""
        firsts = ((queue.first(), model) for model, queue in self._queues.items() if queue.parked)
        parked = sorted((place, model) for place, model in firsts if place is not None)
        if not parked:
            return
        now_s = self._clock.monotonic_s()
        next_s: float | None = None
        for _, model in parked:
            queue = self._queues[model]
            view = self._gate.peek(model, now_s)
            while view.room - queue.called >= 1 and queue.call():
                pass
            if queue.parked and view.opens_in_s is not None:
                next_s = view.opens_in_s if next_s is None else min(next_s, view.opens_in_s)
        if next_s is not None:
            self._wake_in(next_s)

    def _wake_in(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        when_s = loop.time() + max(delay_s, _SHORTEST_TIMER_S)
        if self._timer is not None:
            if self._timer.when() <= when_s + _SHORTEST_TIMER_S:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._call_waiters()
