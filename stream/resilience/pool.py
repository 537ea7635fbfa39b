"""The models that share a quota: told to slow down together, paced together.

A 429 shuts the pool until it may be probed. Where its quotas are known, calls then go at the limiter's pace; where
nothing is known of them, one call may be in the air, and one more per success. Before the first answer of all four may
be, twice as many every 2 s: what a worker sends blindly when it starts would else be hundreds of 429s, or 401s.
"""

import math
from collections.abc import Mapping

from stream.core.errors import ErrorClass
from stream.core.quotas import Meter
from stream.resilience.backoff import Rand, backoff_s
from stream.resilience.limiter import Limiter, Need
from stream.resilience.retry_after import MAX_RETRY_AFTER_S
from stream.resilience.shutter import Shutter

ONE_CALL: Need = {Meter.REQUESTS: 1.0}
FIRST_CALLS = 4.0
DOUBLES_IN_S = 2.0
_DOUBLINGS = 30.0
_UNLIMITED = float("inf")


class Pool:
    """See the module. No clock: callers pass the time.

    allowance: how many calls may be in the air while no quota is known. typical: what a call lately was thought to use.
    """

    __slots__ = (
        "_ceiling",
        "_first_sent_s",
        "_is_untried",
        "allowance",
        "in_flight",
        "limiter",
        "name",
        "shutter",
        "typical",
    )

    def __init__(
        self, name: str, lease_s: float, ceiling: int, per_minute: Mapping[Meter, float] | None = None
    ) -> None:
        """per_minute: ceilings from the settings. Others as `Gate` takes them."""
        self.name = name
        self.shutter = Shutter("rate_limited", f"pool:{name}", lease_s)
        self.limiter = Limiter(per_minute)
        self.in_flight = 0
        self.allowance = FIRST_CALLS
        self.typical = ONE_CALL
        self._first_sent_s: float | None = None
        self._is_untried = True
        self._ceiling = ceiling

    @property
    def flows_freely(self) -> bool:
        """Whether nothing here limits calls; a quick look, exact where it says yes."""
        return self.allowance == _UNLIMITED and not self.limiter.limits and not self.shutter.shut

    def may_go(self, need: Need, now_s: float) -> bool:
        """Whether the limiter lets this call go."""
        return not self.limiter.limits or self.limiter.wait_s(need, now_s) <= 0

    def sent(self, now_s: float) -> None:
        """A call goes."""
        self.in_flight += 1
        if self._is_untried and self._first_sent_s is None:
            self._first_sent_s = now_s

    def room(self, now_s: float) -> float:
        """How many more typical calls may go now, the shutter left out; infinite without a limit."""
        allowed = self._allowed(now_s) - self.in_flight
        return min(allowed, self.limiter.room(self.typical, now_s)) if self.limiter.limits else allowed

    def opens_in_s(self, now_s: float, otherwise_s: float) -> float:
        """Seconds until time alone makes room; `otherwise_s` where only the end of another call does."""
        if self._allowed(now_s) - self.in_flight < 1:
            return DOUBLES_IN_S / FIRST_CALLS if self._is_untried else otherwise_s
        return self.limiter.wait_s(self.typical, now_s)

    def _allowed(self, now_s: float) -> float:
        if not self._is_untried or self._first_sent_s is None:
            return self.allowance
        doublings = min(_DOUBLINGS, (now_s - self._first_sent_s) / DOUBLES_IN_S)
        return min(self._ceiling, self.allowance * math.pow(2.0, doublings))

    def answered(self) -> None:
        """Any call ended: if it was the first, its headers have told what there is to know."""
        if self._is_untried:
            self._is_untried = False
            self.allowance = _UNLIMITED

    def widen(self, token: int, result: ErrorClass | None, *, was_probe: bool) -> None:
        """A call ended that was no 429: only successes widen what 429s narrowed."""
        if result is None and (was_probe or self.shutter.is_present(token)):
            self.allowance = self.allowance + 1 if self.allowance < self._ceiling else _UNLIMITED

    def cool_down_s(self, retry_after_s: float | None, rand: Rand) -> tuple[float, float | None]:
        """How long a 429 shuts the pool, and what the provider asked for, cut to what is believed."""
        asked_s = None if retry_after_s is None else min(max(0.0, retry_after_s), MAX_RETRY_AFTER_S)
        return backoff_s(self.shutter.strikes, rand, asked_s), asked_s

    def cooled_down(self, token: int, delay_s: float, asked_s: float | None, now_s: float, *, tripped: bool) -> None:
        """A 429 came. tripped: whether it was what shut the pool."""
        if tripped:
            self.allowance = _UNLIMITED if self.limiter.limits else 1.0
        elif asked_s is not None:
            self.shutter.extend(token, delay_s, now_s)
        opens_s = self.shutter.opens_at_s if self.shutter.shut else now_s
        self.limiter.told_to_wait(now_s, asked_s, opens_s)
