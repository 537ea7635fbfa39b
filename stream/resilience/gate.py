"""The gate of one provider: which calls may go now, judged by how earlier ones ended.

It is shut for all models by an account's trouble, for one model that the provider doesn't know, for a pool that was
told to slow down, and by a model's breaker. What shuts it opens it again by a probe, at most 15 minutes (and a jitter
of 5 s) on. While it is open, the quotas of a pool set the pace.

Invariants: a call is admitted only if nothing is shut for it, or as the one probe of what is; `peek` takes nothing; a
result of a call sent before the last change shuts and opens nothing; whatever happened, once calls succeed it opens.
No clock, no chance: callers pass both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from stream.core.errors import FAILURES, ErrorClass
from stream.core.quotas import NO_QUOTAS, Meter, Quotas
from stream.resilience.backoff import Rand
from stream.resilience.breaker import MIN_LEASE_S, WINDOW_S, Breaker, Mode
from stream.resilience.limiter import Need, QuotaView, Reservation
from stream.resilience.pool import ONE_CALL, Pool
from stream.resilience.shutter import Cause, Shutter

QUICK_PROBE_S = 1.0
"""The first probe's delay, doubling, where a call succeeded within the last 30 s: one request alone may be refused."""
FIRST_PROBE_S = 60.0
LONGEST_PROBE_S = 900.0
DEFAULT_POOL = "default"
STREAK = 5
"""So many successes in a row before a failure is held against a request: a provider that fails three calls of ten at
random then dead-letters one healthy request in 50,000, not one in 120 (ADR 0002)."""
REFUSAL_STREAK = 20
"""The same before a refusal (403, 404, ...) is: a provider that refuses any share of all calls at random, 5 % being the
worst, then dead-letters one healthy request in eight million (ADR 0015)."""

LATE_S = 5.0
"""How much longer than a call's deadline its probe holds: a time-out must be heard, not replaced by the next probe."""

_UNLIMITED = float("inf")
_KEY_ACCEPTED = frozenset({None, ErrorClass.UNKNOWN_MODEL, ErrorClass.RATE_LIMITED, ErrorClass.BAD_REQUEST})
_MODEL_KNOWN = frozenset({None, ErrorClass.RATE_LIMITED, ErrorClass.BAD_REQUEST})


@dataclass(frozen=True, slots=True)
class GateView:
    """How the gate stands for one model.

    open: calls flow, perhaps few (`room`). room: how many more it would admit now: 1 when a probe may go, infinite
    without a limit. cause, since_s: what shuts it and since when (monotonic); None while open. opens_in_s: seconds
    until time alone makes room, None if there is some; the end of another call may make it sooner.
    """

    open: bool
    room: float
    cause: Cause | None
    since_s: float | None
    opens_in_s: float | None


@dataclass(frozen=True, slots=True)
class GateChange:
    """The gate shut or opened, or stays shut after a failed probe (`again`).

    scope: what it is shut for: "account", "pool:NAME" or "model:NAME". detail: what the provider said, for a person.
    opens_in_s: until the next probe; None when it opened.
    """

    provider: str
    scope: str
    open: bool
    cause: Cause
    detail: str
    opens_in_s: float | None
    again: bool = False


class _Model:
    """One model's own part of the gate, and what speaks for the provider: see `Gate.judge`."""

    __slots__ = ("breaker", "in_flight", "name", "pool", "served_s", "streak", "unknown", "unmarred", "witness_s")

    def __init__(self, name: str, pool: Pool, lease_s: float) -> None:
        self.name = name
        self.pool = pool
        self.unknown = Shutter("unknown_model", f"model:{name}", lease_s)
        self.breaker = Breaker(lease_s)
        self.in_flight = 0
        self.witness_s = -_UNLIMITED
        """When the newest call was sent that succeeded."""
        self.served_s = -_UNLIMITED
        """When a call last succeeded."""
        self.streak = 0
        """How many calls succeeded since a request failed or was refused at its first call, or was served after a
        refusal: then refusals are nobody's own."""
        self.unmarred = 0
        """The same, begun anew also by a request that was served after a failure: then failures are nobody's own."""


class Permit:
    """The right to send one call. It must end in `settle` or `cancel`; the second of two endings does nothing."""

    __slots__ = ("account", "breaker", "live", "model", "pool", "reserved", "sent_s", "unknown")

    def __init__(
        self,
        model: _Model,
        sent_s: float,
        reserved: Reservation,
        account: int,
        unknown: int,
        pool: int,
        breaker: int,
    ) -> None:
        self.model = model
        self.sent_s = sent_s
        self.reserved = reserved
        self.account = account
        self.unknown = unknown
        self.pool = pool
        self.breaker = breaker
        self.live = True


class _Stop(NamedTuple):
    cause: Cause
    since_s: float
    room: float
    opens_in_s: float


class Gate:
    """See the module."""

    def __init__(
        self,
        provider: str,
        pools: Mapping[str, Sequence[str]] | None = None,
        *,
        deadline_s: float = 60.0,
        ceiling: int = 512,
        per_minute: Mapping[str, Mapping[Meter, float]] | None = None,
    ) -> None:
        """pools: name to model patterns (`*`, `?`, `[...]`), the first that matches; no match: the pool "default".

        deadline_s: the longest a call may take, hence a probe's lease. ceiling: calls there may ever be in the air.
        per_minute: by pool, ceilings of its quotas; headers that say less go before them.
        """
        self.provider = provider
        self._patterns = dict(pools or {})
        self._per_minute = per_minute or {}
        self._lease_s = max(MIN_LEASE_S, deadline_s + LATE_S)
        self.ceiling = ceiling
        self._account = Shutter("account", "account", self._lease_s)
        self._pools: dict[str, Pool] = {}
        self._models: dict[str, _Model] = {}
        self._changes: list[GateChange] = []
        self._served_s = -_UNLIMITED
        """When a call last succeeded, whatever its model."""
        self._spoken = False
        """Whether anything ever was an answer of this API."""

    def admit(self, model: str, now_s: float, need: Need = ONE_CALL) -> Permit | None:
        """A permit to send one call now; None if it may not go (`peek` says why and for how long).

        need: what it will probably use of the quotas.
        """
        state = self._models.get(model) or self._learn(model)
        pool = state.pool
        breaker = state.breaker
        pool.typical = need
        if not (self._is_open(state) and breaker.mode is Mode.CLOSED and pool.flows_freely):
            for stop in self._stops(state, now_s):
                if stop.room < 1:
                    return None
        state.in_flight += 1
        pool.sent(now_s)
        return Permit(
            state,
            now_s,
            pool.limiter.reserve(need, now_s),
            self._account.take(now_s),
            state.unknown.take(now_s),
            pool.shutter.take(now_s),
            breaker.take(now_s),
        )

    def peek(self, model: str, now_s: float) -> GateView:
        """How the gate stands for a model; takes nothing."""
        state = self._models.get(model) or self._learn(model)
        stops = list(self._stops(state, now_s))
        room = min((stop.room for stop in stops), default=_UNLIMITED)
        # What has room holds nobody back: its time must not hide when that which has none opens.
        full = [stop for stop in stops if stop.room < 1]
        worst = max(full or stops, key=lambda stop: stop.opens_in_s, default=None)
        is_open = self._is_open(state)
        return GateView(
            open=is_open,
            room=max(0.0, room),
            cause=None if is_open or worst is None else worst.cause,
            since_s=None if is_open or worst is None else worst.since_s,
            opens_in_s=None if room >= 1 or worst is None else worst.opens_in_s,
        )

    def settle(
        self,
        permit: Permit,
        result: ErrorClass | None,
        now_s: float,
        rand: Rand,
        *,
        retry_after_s: float | None = None,
        detail: str = "",
        refused_before: bool = False,
        failed_before: bool = False,
        quotas: Quotas = NO_QUOTAS,
        used: Need | None = None,
    ) -> None:
        """A call ended: result None is a success. retry_after_s, detail, quotas: as answer or error carry them.

        used: what it used of the quotas as far as that is known; None: none of their tokens.

        refused_before: whether its request had been refused, as `judge_refusal` means it. failed_before: whether it had
        been refused or had failed in a way that may be its own.
        """
        if not self._release(permit):
            return
        self._settle_quotas(permit, quotas, used, now_s)
        if result is None:
            model = permit.model
            model.streak = 0 if refused_before else model.streak + 1
            model.unmarred = 0 if refused_before or failed_before else model.unmarred + 1
            self._served_s = model.served_s = now_s
            if permit.sent_s > model.witness_s:
                model.witness_s = permit.sent_s
        self._spoken = self._spoken or result in _MODEL_KNOWN
        self._settle_shutters(permit, result, now_s, detail)
        if result is ErrorClass.RATE_LIMITED:
            self._cool_down(permit, retry_after_s, now_s, rand, detail)
        else:
            self._settle_pool(permit, result, now_s)
        # While others are served, failures of requests that failed before say little: a few that always fail would keep
        # it open. Once nobody is, they are all there is to tell an outage by, where newcomers are rare.
        is_own = result is not None and failed_before and permit.model.breaker.flows
        if (result is None or result in FAILURES) and not (is_own and self.serves(permit.model.name, now_s)):
            self._settle_breaker(permit, result is not None, now_s, rand, detail)
        else:
            permit.model.breaker.cancel(permit.breaker)

    def cancel(self, permit: Permit, now_s: float, *, sent: bool = True, unbilled: bool = False) -> None:
        """A call that says nothing about the provider: we gave it up, or it was refused for reasons of its own.

        sent, unbilled: one that wasn't sent used no quota, one that cost nothing used no tokens.
        """
        if not self._release(permit):
            return
        if unbilled or not sent:
            permit.model.pool.limiter.refund(permit.reserved, now_s, sent=sent)
        self._account.cancel(permit.account)
        permit.model.unknown.cancel(permit.unknown)
        permit.model.pool.shutter.cancel(permit.pool)
        permit.model.breaker.cancel(permit.breaker)

    def judge(self, permit: Permit, suspect_since_s: float | None, now_s: float, *, unanswered: bool = False) -> bool:
        """Whether a failure just settled is the request's own, because others get through (ADR 0002).

        So it is if the breaker is closed; a witness exists, a call for the same model sent after `suspect_since_s`
        (`Tally.suspect_since_s`; None: within the breaker's window) that succeeded; and the last five calls to end
        succeeded, failed retries left out (those of one bad request would else excuse the next), and none of these
        served a request that had failed before, which would show that failures pass.

        unanswered: it ran out of time. Two such failures end a request, not four, so a first one never counts, and a
        later one only after such a row of twenty.
        """
        state = permit.model
        since_s = now_s - WINDOW_S if suspect_since_s is None else suspect_since_s
        row = REFUSAL_STREAK if unanswered else STREAK
        verdict = state.unmarred >= row and state.witness_s >= since_s and state.breaker.is_closed(now_s)
        if suspect_since_s is None:
            state.streak = state.unmarred = 0
            return verdict and not unanswered
        return verdict

    def judge_refusal(self, permit: Permit, refused_s: float | None, now_s: float) -> bool:
        """Whether a refusal that would shut a gate, not settled yet, is the request's own (ADR 0015).

        So it is if nobody else was refused since its call was sent; the breaker is closed; a call for the same model,
        sent after the request's previous refusal at `refused_s` (None: this is its first), succeeded; and so did the
        last 20 calls to end, refusals of requests refused before left out; and none of these served a request refused
        before, which would show that refusals pass. Such a permit is to be cancelled.
        """
        state = permit.model
        if refused_s is None:
            state.streak = state.unmarred = 0
            return False
        return state.witness_s > refused_s and state.streak >= REFUSAL_STREAK and self.is_untroubled(permit, now_s)

    def is_untroubled(self, permit: Permit, now_s: float) -> bool:
        """Whether nobody else was refused since this call was sent, and the breaker is closed."""
        state = permit.model
        return (
            self._account.is_present(permit.account)
            and state.unknown.is_present(permit.unknown)
            and state.breaker.is_closed(now_s)
        )

    def serves(self, model: str, now_s: float, within_s: float = WINDOW_S) -> bool:
        """Whether a call for this model succeeded lately, as a rule within the breaker's window."""
        return self._models[model].served_s >= now_s - within_s

    def quotas(self, now_s: float) -> list[tuple[str, QuotaView]]:
        """How the quotas stand that are known, each with the name of its pool."""
        return [(pool.name, view) for pool in self._pools.values() for view in pool.limiter.look(now_s)]

    def take_changes(self) -> Sequence[GateChange]:
        """What shut and opened since this was last asked."""
        if not self._changes:
            return ()
        changes, self._changes = self._changes, []
        return changes

    def _learn(self, model: str) -> _Model:
        matching = (name for name, globs in self._patterns.items() if any(fnmatchcase(model, glob) for glob in globs))
        name = next(matching, DEFAULT_POOL)
        pool = self._pools.get(name) or self._pools.setdefault(
            name, Pool(name, self._lease_s, self.ceiling, self._per_minute.get(name))
        )
        return self._models.setdefault(model, _Model(model, pool, self._lease_s))

    def _is_open(self, state: _Model) -> bool:
        shut = self._account.shut or state.unknown.shut or state.pool.shutter.shut
        return not shut and state.breaker.flows

    def _stops(self, state: _Model, now_s: float) -> Iterator[_Stop]:
        """Everything that limits calls of this model now."""
        pool = state.pool
        for shutter in (self._account, state.unknown, pool.shutter):
            if shutter.shut:
                room = 1.0 if shutter.admits(now_s) else 0.0
                yield _Stop(shutter.cause, shutter.since_s, room, shutter.opens_in_s(now_s))
        if not pool.shutter.shut and not pool.flows_freely:
            opens_in_s = pool.opens_in_s(now_s, self._lease_s)
            yield _Stop("rate_limited", pool.shutter.since_s, pool.room(now_s), opens_in_s)
        breaker = state.breaker
        if breaker.mode is not Mode.CLOSED:
            room = breaker.room(state.in_flight, self.ceiling, now_s)
            opens_in_s = breaker.opens_in_s(state.in_flight, self.ceiling, now_s)
            yield _Stop("breaker", breaker.since_s, room, opens_in_s)

    def _release(self, permit: Permit) -> bool:
        if not permit.live:
            return False
        permit.live = False
        permit.model.in_flight -= 1
        permit.model.pool.in_flight -= 1
        return True

    def _settle_shutters(self, permit: Permit, result: ErrorClass | None, now_s: float, detail: str) -> None:
        account, unknown = self._account, permit.model.unknown
        if result is ErrorClass.ACCOUNT:
            self._trip(account, permit.account, _probe_delay_s(account, self._served_s, now_s), now_s, detail)
        elif account.shut:
            self._probed(account, permit.account, result in _KEY_ACCEPTED, now_s)
        if result is ErrorClass.UNKNOWN_MODEL:
            delay_s = _probe_delay_s(unknown, permit.model.witness_s, now_s)
            self._trip(unknown, permit.unknown, delay_s, now_s, detail)
        elif unknown.shut:
            self._probed(unknown, permit.unknown, result in _MODEL_KNOWN, now_s)

    def _settle_quotas(self, permit: Permit, quotas: Quotas, used: Need | None, now_s: float) -> None:
        permit.model.pool.answered()
        limiter = permit.model.pool.limiter
        if quotas:
            limiter.hear(quotas, now_s, now_s)
        if used is None:
            limiter.refund(permit.reserved, now_s)
        else:
            limiter.settle(permit.reserved, used, now_s)

    def _settle_pool(self, permit: Permit, result: ErrorClass | None, now_s: float) -> None:
        """Whatever isn't a 429 opens the pool."""
        pool = permit.model.pool
        was_probe = pool.shutter.shut and self._probed(pool.shutter, permit.pool, True, now_s)
        pool.widen(permit.pool, result, was_probe=was_probe)

    def _cool_down(self, permit: Permit, retry_after_s: float | None, now_s: float, rand: Rand, detail: str) -> None:
        pool = permit.model.pool
        delay_s, asked_s = pool.cool_down_s(retry_after_s, rand)
        tripped = self._trip(pool.shutter, permit.pool, delay_s, now_s, detail)
        pool.cooled_down(permit.pool, delay_s, asked_s, now_s, tripped=tripped)

    def _settle_breaker(self, permit: Permit, failed: bool, now_s: float, rand: Rand, detail: str) -> None:
        breaker = permit.model.breaker
        again = breaker.mode is Mode.HALF_OPEN
        mode = breaker.settle(permit.breaker, failed, now_s, rand)
        if mode is None:
            return
        scope = permit.model.unknown.scope
        if mode is Mode.OPEN:
            opens_in_s = breaker.opens_in_s(0, self.ceiling, now_s)
            if not self._spoken:
                detail = f"{detail}; no call was answered since the start: check base_url"
            self._changes.append(GateChange(self.provider, scope, False, "breaker", detail, opens_in_s, again))
        else:
            self._changes.append(GateChange(self.provider, scope, True, "breaker", "", None))

    def _trip(self, shutter: Shutter, token: int, delay_s: float, now_s: float, detail: str) -> bool:
        again = shutter.shut
        if not shutter.trip(token, delay_s, now_s):
            return False
        self._changes.append(GateChange(self.provider, shutter.scope, False, shutter.cause, detail, delay_s, again))
        return True

    def _probed(self, shutter: Shutter, token: int, got_through: bool, now_s: float) -> bool:
        """The outcome of what may have been the probe of a shut shutter: true if that opens it."""
        if not got_through:
            shutter.hold_off(token, now_s)
            return False
        if not shutter.clear(token):
            return False
        self._changes.append(GateChange(self.provider, shutter.scope, True, shutter.cause, "", None))
        return True


def _probe_delay_s(shutter: Shutter, served_s: float, now_s: float) -> float:
    """60 s, doubling to 15 minutes; within half a minute of the last success 1 s, doubling."""
    first_s = QUICK_PROBE_S if now_s - served_s <= WINDOW_S else FIRST_PROBE_S
    return min(LONGEST_PROBE_S, max(first_s, 2.0 * shutter.delay_s)) if shutter.shut else first_s
