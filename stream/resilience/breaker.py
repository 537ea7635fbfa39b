"""The breaker of one model at one provider: it stops sending when about every second call fails for whatever reason is
not ours, and finds out gently whether it may send again.

closed → open → half-open (one probe, then three) → slow start (half of the ceiling, then more) → closed

Invariants: a result of a call from before the last change of mode changes nothing, nor does a cancelled probe, nor an
overdue one whose place was taken; from any state, once time passes and calls succeed, it is closed again. No clock, no
chance: callers pass both.

Every admitted call holds a token. In the modes that let calls flow all calls of one spell share it, a probe has its
own: whose token is unknown, comes too late.
"""

from enum import StrEnum

from stream.resilience.backoff import Rand

WINDOW_S = 30
MIN_CALLS = 10
FIRST_OPEN_S = 2.0
LONGEST_OPEN_S = 30.0
MIN_LEASE_S = 10.0
SECOND_ROUND = 3
START_SHARE = 0.5
SHARE_PER_S = 0.05
_RAMP_S = (1 - START_SHARE) / SHARE_PER_S
_DOUBLINGS_TO_LONGEST = 4


class Mode(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    SLOW_START = "slow_start"


class Window:
    """Calls and failures of the last 30 s, in one bucket a second: constant memory and time at any rate."""

    __slots__ = ("_bucket_calls", "_bucket_failures", "_second", "calls", "failures")

    def __init__(self) -> None:
        self._second = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._bucket_calls = [0] * WINDOW_S
        self._bucket_failures = [0] * WINDOW_S
        self.calls = 0
        self.failures = 0

    def add(self, failed: bool, now_s: float) -> None:
        """Count one call that ended now."""
        second = int(now_s)
        if second > self._second:
            self._advance(second)
        index = self._second % WINDOW_S
        self._bucket_calls[index] += 1
        self.calls += 1
        if failed:
            self._bucket_failures[index] += 1
            self.failures += 1

    def _advance(self, second: int) -> None:
        for past in range(max(self._second + 1, second - WINDOW_S + 1), second + 1):
            index = past % WINDOW_S
            self.calls -= self._bucket_calls[index]
            self.failures -= self._bucket_failures[index]
            self._bucket_calls[index] = self._bucket_failures[index] = 0
        self._second = second


class Breaker:
    """See the module. `room` takes nothing; `take` must only be called where `room` is at least one."""

    __slots__ = (
        "_bad",
        "_good",
        "_lease_s",
        "_opened",
        "_probes",
        "_round",
        "_serial",
        "_until_s",
        "_window",
        "mode",
        "since_s",
        "spell",
    )

    def __init__(self, lease_s: float = MIN_LEASE_S) -> None:
        """lease_s: how long a probe may take before another goes in its place; at least 10, and no less than a call's
        deadline, or else slow answers would never be heard."""
        self._lease_s = max(MIN_LEASE_S, lease_s)
        self._window = Window()
        self._serial = 0
        self._opened = 0
        self._until_s = 0.0
        self._probes: dict[int, float] = {}
        self._round = self._good = self._bad = 0
        self.mode = Mode.CLOSED
        self.since_s = 0.0
        self.spell = 0

    def room(self, in_flight: int, ceiling: int, now_s: float) -> float:
        """How many more calls may be sent now; infinite while closed.

        in_flight: calls of this model in the air. ceiling: how many there may ever be; matters in slow start only.
        """
        if self.mode is Mode.CLOSED:
            return float("inf")
        if self.mode is Mode.SLOW_START:
            share = self.share(now_s)
            return float("inf") if share >= 1 else max(1.0, share * ceiling) - in_flight
        if self.mode is Mode.OPEN:
            return 1.0 if now_s >= self._until_s else 0.0
        out = sum(1 for until_s in self._probes.values() if now_s < until_s)
        return float(self._round - self._good - self._bad - out)

    def opens_in_s(self, in_flight: int, ceiling: int, now_s: float) -> float:
        """Seconds until time alone makes room: a probe falls due, a lease ends, the share grows by one call."""
        if self.mode is Mode.OPEN:
            return max(0.0, self._until_s - now_s)
        if self.mode is Mode.HALF_OPEN:
            return max(0.0, min(self._probes.values(), default=now_s) - now_s)
        if self.mode is Mode.SLOW_START:
            grown_s = min(_RAMP_S, ((in_flight + 1) / ceiling - START_SHARE) / SHARE_PER_S)
            return max(0.0, self.since_s + grown_s - now_s)
        return 0.0

    def share(self, now_s: float) -> float:
        """The share of the ceiling that may be in the air: 0 while nothing flows, 1 when closed."""
        if self.mode is Mode.SLOW_START:
            return min(1.0, START_SHARE + SHARE_PER_S * max(0.0, now_s - self.since_s))
        return 1.0 if self.mode is Mode.CLOSED else 0.0

    @property
    def flows(self) -> bool:
        """Whether calls go without being probes, though perhaps not many."""
        return self.mode in {Mode.CLOSED, Mode.SLOW_START}

    def is_closed(self, now_s: float) -> bool:
        """Whether calls flow without limit: only then is the provider fine for others."""
        return self.mode is Mode.CLOSED or self.share(now_s) >= 1

    def take(self, now_s: float) -> int:
        """Send one call: its token."""
        if self.mode is Mode.SLOW_START and now_s >= self.since_s + _RAMP_S:
            self.mode = Mode.CLOSED
            self._opened = 0
        if self.mode is Mode.OPEN:
            self._enter_round(1)
        if self.mode is not Mode.HALF_OPEN:
            return self.spell
        self._probes = {token: until_s for token, until_s in self._probes.items() if now_s < until_s}
        self._serial += 1
        self._probes[self._serial] = now_s + self._lease_s
        return self._serial

    def settle(self, token: int, failed: bool, now_s: float, rand: Rand) -> Mode | None:
        """A call ended in success, or in a failure that counts here; the mode it changes to, if that is news.

        News is OPEN (calls stop) and SLOW_START (calls flow again).
        """
        if self.mode is Mode.HALF_OPEN:
            if self._probes.pop(token, None) is None:
                return None
            return self._judge_probe(failed, now_s, rand)
        if self.mode is Mode.OPEN or token != self.spell:
            return None
        self._window.add(failed, now_s)
        if failed and self._window.calls >= MIN_CALLS and 2 * self._window.failures >= self._window.calls:
            if self.is_closed(now_s):
                self._opened = 0
            return self._open(now_s, rand)
        return None

    def cancel(self, token: int) -> None:
        """A call ended without a verdict (cancelled, 429, 4xx): if it was a probe, another may go."""
        self._probes.pop(token, None)

    def _judge_probe(self, failed: bool, now_s: float, rand: Rand) -> Mode | None:
        """A round is won or lost by the breaker's own rule: half of its probes failed, or not."""
        if failed:
            self._bad += 1
        else:
            self._good += 1
        if 2 * self._bad >= self._round:
            return self._open(now_s, rand)
        if 2 * self._good <= self._round:
            return None
        if self._round == 1:
            self._enter_round(SECOND_ROUND)
            return None
        self._begin_spell(Mode.SLOW_START, now_s)
        return Mode.SLOW_START

    def _open(self, now_s: float, rand: Rand) -> Mode:
        """Open for `2·2ᵏ` s, at most 30, with equal jitter; k: how often it opened since it was last closed."""
        longest_s = min(LONGEST_OPEN_S, FIRST_OPEN_S * 2.0 ** min(self._opened, _DOUBLINGS_TO_LONGEST))
        again = self.mode is Mode.HALF_OPEN
        since_s = self.since_s
        self._begin_spell(Mode.OPEN, now_s)
        if again:
            self.since_s = since_s
        self._until_s = now_s + longest_s / 2 + rand() * longest_s / 2
        self._opened += 1
        return Mode.OPEN

    def _enter_round(self, probes: int) -> None:
        self.mode = Mode.HALF_OPEN
        self._round = probes
        self._good = self._bad = 0
        self._probes.clear()

    def _begin_spell(self, mode: Mode, now_s: float) -> None:
        """Results of earlier calls no longer count."""
        self.mode = mode
        self.since_s = now_s
        self._serial += 1
        self.spell = self._serial
        self._window.clear()
        self._probes.clear()
