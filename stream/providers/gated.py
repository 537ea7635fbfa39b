"""A provider behind a gate: calls wait while it is shut, one goes first when it may open.

Promises: a request that waits holds no slot; those for one model go in the order of their `Line`, so that no requests
of their own keep a gate shut for all; one that is refused while others get through shuts nothing; there is no polling:
a waiter is woken by the end of another call or by one timer.
"""

import asyncio
from collections.abc import Callable

from stream.core.errors import FAILURES, ErrorClass, ProviderError
from stream.core.expiry import refuse_expired
from stream.core.ports import Clock, Provider
from stream.core.records import Completion, ModelCall, Slot, Tally
from stream.providers.line import Line, Place
from stream.resilience.backoff import Rand
from stream.resilience.estimates import AS_PRODUCED, Estimates, QuotaRules
from stream.resilience.gate import Gate, GateChange, GateView, Permit
from stream.resilience.limiter import Need, QuotaView

_SHORTEST_TIMER_S = 0.001
_LATELY_S = 2.0


class Gated:
    """See the module. Raises what the inner provider raises, with `counted` set: whether it counts as an attempt."""

    def __init__(
        self,
        inner: Provider,
        gate: Gate,
        clock: Clock,
        rand: Rand,
        on_change: Callable[[GateChange], None] | None = None,
        rules: QuotaRules = AS_PRODUCED,
    ) -> None:
        """on_change: told of each change of the gate, on the event loop; must not raise.

        rules: how the provider charges its quotas.
        """
        self._inner = inner
        self._gate = gate
        self._clock = clock
        self._rand = rand
        self._on_change = on_change
        self._estimates = Estimates(rules)
        self._lines: dict[str, Line] = {}
        self._tickets = 0
        self._timer: asyncio.TimerHandle | None = None

    def view(self, model: str) -> GateView:
        """How the gate stands for a model now; takes nothing."""
        return self._gate.peek(model, self._clock.monotonic_s())

    def waiting(self, model: str) -> int:
        """How many requests for a model wait for the gate, those just woken included."""
        line = self._lines.get(model)
        return 0 if line is None else line.waiting

    def newcomers(self, model: str) -> int:
        """How many of those never failed in a way that may be their own: as a probe they tell something new."""
        line = self._lines.get(model)
        return 0 if line is None else line.newcomers

    def quotas(self) -> list[tuple[str, QuotaView]]:
        """How the quotas stand that are known, each with the name of its pool."""
        return self._gate.quotas(self._clock.monotonic_s())

    async def complete(self, call: ModelCall) -> Completion:
        """One completion, once the gate lets it go. Raises ProviderError; RouteError if it expired meanwhile."""
        line = self._lines.get(call.model)
        if line is None:
            line = self._lines[call.model] = Line(self._gate.ceiling, lambda: self._serves(call.model))
        failed_before = _has_failed(call.tally)
        permit = await self._permit(call, line, failed_before=failed_before)
        served: bool | None = None
        sent = False
        try:
            refuse_expired(call.expires_at_ms, self._clock.now_ms())
            sent = True
            completion = await self._inner.complete(call)
            self._gate.settle(
                permit,
                None,
                self._clock.monotonic_s(),
                self._rand,
                refused_before=call.tally.refused_s is not None,
                failed_before=failed_before,
                quotas=completion.quotas,
                used=self._estimates.used(_kind(call), _length(call), completion.usage),
            )
            served = True
            call.tally.suspect_since_s, call.tally.refused_s, call.tally.refused_alone = None, None, False
        except ProviderError as error:
            served = None if error.error_class is ErrorClass.RATE_LIMITED else False
            self._settle_failure(permit, call, error, failed_before=failed_before)
            raise
        finally:
            self._gate.cancel(permit, self._clock.monotonic_s(), sent=sent)  # does nothing once settled
            if failed_before:
                line.came_back(served=served)
            self._publish()
        return completion

    async def aclose(self) -> None:
        """Close the inner provider. Whoever still waits must be cancelled by who started it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._inner.aclose()

    def _settle_failure(self, permit: Permit, call: ModelCall, error: ProviderError, *, failed_before: bool) -> None:
        now_s = self._clock.monotonic_s()
        if error.refuses and self._is_refused_alone(permit, call, error, now_s):
            self._gate.cancel(permit, now_s, unbilled=error.unbilled)
            return
        self._gate.settle(
            permit,
            error.error_class,
            now_s,
            self._rand,
            retry_after_s=error.retry_after_s,
            detail=error.detail,
            failed_before=failed_before,
            quotas=error.quotas,
            used=None if error.unbilled else {},
        )
        error.counted = error.error_class is ErrorClass.BAD_REQUEST
        if error.error_class in FAILURES:
            tally = call.tally
            unanswered = error.error_class is ErrorClass.AMBIGUOUS
            spoken = self._gate.judge(permit, tally.suspect_since_s, now_s, unanswered=unanswered)
            error.counted = spoken and error.error_class is not ErrorClass.OVERLOADED
            if error.counted or tally.suspect_since_s is None:
                tally.suspect_since_s = now_s

    def _is_refused_alone(self, permit: Permit, call: ModelCall, error: ProviderError, now_s: float) -> bool:
        """Whether a refusal is this request's own, and shuts nothing; it counts if a new witness says so."""
        tally = call.tally
        judged = self._gate.judge_refusal(permit, tally.refused_s, now_s)
        tally.refused_s = now_s
        error.counted = judged and error.may_be_own
        tally.refused_alone = judged or tally.refused_alone
        return tally.refused_alone and self._gate.is_untroubled(permit, now_s)

    async def _permit(self, call: ModelCall, line: Line, *, failed_before: bool) -> Permit:
        if not line.waiting and (not failed_before or line.has_room_for_failed):
            permit = await self._admitted(call, line, failed_before=failed_before)
            if permit is not None:
                return permit
        return await self._wait(call, line, self._last_place(call.tally))

    async def _admitted(self, call: ModelCall, line: Line, *, failed_before: bool) -> Permit | None:
        """A permit, once there is a slot; none if the gate is shut. The line's room is taken before either."""
        permit = None
        if failed_before:
            line.sent_again()
        try:
            await call.slot.acquire()
            permit = self._gate.admit(call.model, self._clock.monotonic_s(), self._need(call))
        finally:
            if failed_before and permit is None:
                line.came_back(served=None)
        return permit

    def _need(self, call: ModelCall) -> Need:
        return self._estimates.need(_kind(call), _length(call), call.max_output_tokens)

    def _serves(self, model: str) -> bool:
        return self._gate.serves(model, self._clock.monotonic_s(), _LATELY_S)

    def _last_place(self, tally: Tally) -> Place:
        self._tickets += 1
        return Place(tally.refused_s is not None, self._tickets, max(1, tally.calls) if _has_failed(tally) else 0)

    async def _wait(self, call: ModelCall, line: Line, place: Place) -> Permit:
        """Wait without a slot; when called, get one and ask again. Refused, it keeps its place."""
        while True:
            await self._turn(line, place, call.slot)
            try:
                await call.slot.acquire()
            except BaseException:
                line.came(place)
                self._call_waiters()  # the place this one was called for is another's
                raise
            line.came(place)
            permit = self._gate.admit(call.model, self._clock.monotonic_s(), self._need(call))
            if permit is not None:
                if not place.is_new:
                    line.sent_again()
                self._call_waiters()
                return permit

    async def _turn(self, line: Line, place: Place, slot: Slot) -> None:
        waiter = asyncio.get_running_loop().create_future()
        line.park(place, waiter)
        slot.release()  # whoever may start by that sees this one in the line already
        self._call_waiters()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                line.leave(place)
            else:
                line.came(place)
                self._call_waiters()
            raise

    def _publish(self) -> None:
        for change in self._gate.take_changes():
            if self._on_change is not None:
                self._on_change(change)
        self._call_waiters()

    def _call_waiters(self) -> None:
        """Wake as many as there is room for, the longest waiting model first; set the timer for the others."""
        firsts = ((line.first(), model) for model, line in self._lines.items() if line.parked)
        parked = sorted((place, model) for place, model in firsts if place is not None)
        if not parked:
            return
        now_s = self._clock.monotonic_s()
        next_s: float | None = None
        for _, model in parked:
            line = self._lines[model]
            view = self._gate.peek(model, now_s)
            # no more than there are slots, or those that failed would queue up for them before all that come meanwhile
            room = min(view.room, self._gate.ceiling) - line.called
            while room >= 1 and line.call(shut=not view.open):
                room -= 1
            if line.parked and view.opens_in_s is not None:
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


def _has_failed(tally: Tally) -> bool:
    return tally.refused_s is not None or tally.suspect_since_s is not None


def _kind(call: ModelCall) -> tuple[str, str]:
    """What calls of one task have in common."""
    return call.model, call.schema_name


def _length(call: ModelCall) -> int:
    return len(call.prompt.system) + len(call.prompt.user)
