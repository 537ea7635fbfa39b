"""Shut until a moment, then one probe at a time until one of them gets through.

What shuts it is known at once (a 401, a 429), not by counting: this is the simple brother of the breaker. Each
admitted call holds a token: while open all share one, a probe has its own. Only a call of the present spell can shut
it, only the present probe can open it: hundreds of calls that fail together shut it once.
"""

from typing import Literal

Cause = Literal["account", "unknown_model", "rate_limited", "breaker"]
"""Why calls don't go."""


class Shutter:
    """See the module. No clock: callers pass the time. `take` must only be called where `admits` says so."""

    __slots__ = (
        "_lease_s",
        "_previous",
        "_probe",
        "_probe_until_s",
        "_serial",
        "_spell",
        "cause",
        "delay_s",
        "opens_at_s",
        "scope",
        "shut",
        "since_s",
        "strikes",
    )

    def __init__(self, cause: Cause, scope: str, lease_s: float) -> None:
        """cause, scope: why and for what it shuts. lease_s: how long a probe may take before another replaces it."""
        self.cause = cause
        self.scope = scope
        self._lease_s = lease_s
        self._serial = self._spell = 0
        self._previous = -1
        self._probe: int | None = None
        self._probe_until_s = 0.0
        self.delay_s = 0.0
        """From its last failed probe, or from when it shut, to the next probe."""
        self.shut = False
        self.since_s = 0.0
        self.opens_at_s = 0.0
        self.strikes = 0

    def opens_in_s(self, now_s: float) -> float:
        """Seconds until a call may go by time alone; 0 if one may go now."""
        if not self.shut:
            return 0.0
        until_s = self.opens_at_s if self._probe is None else self._probe_until_s
        return max(0.0, until_s - now_s)

    def admits(self, now_s: float) -> bool:
        """Whether a call may go now; takes nothing."""
        return not self.shut or now_s >= (self.opens_at_s if self._probe is None else self._probe_until_s)

    def take(self, now_s: float) -> int:
        """Send one call: its token."""
        if not self.shut:
            return self._spell
        self._serial += 1
        self._probe = self._serial
        self._probe_until_s = now_s + self._lease_s
        return self._serial

    def is_present(self, token: int) -> bool:
        """Whether a call of this token was sent since it last opened."""
        return not self.shut and token == self._spell

    def trip(self, token: int, delay_s: float, now_s: float) -> bool:
        """A call found it should be shut: true if it now is, for longer than before; false if the call was stale.

        delay_s: until the next probe; `strikes` says how often in a row it was shut before.
        """
        if token != (self._probe if self.shut else self._spell):
            return False
        if not self.shut:
            self.since_s = now_s
            self._previous = self._spell
        self.shut = True
        self.strikes += 1
        self._probe = None
        self.delay_s = delay_s
        self.opens_at_s = now_s + delay_s
        return True

    def extend(self, token: int, delay_s: float, now_s: float) -> None:
        """A call sent before it shut was told to wait longer than the one that shut it: believe the longer wait."""
        if self.shut and self._probe is None and self.strikes == 1 and token == self._previous:
            self.opens_at_s = max(self.opens_at_s, now_s + delay_s)

    def clear(self, token: int) -> bool:
        """A call got through: true if that opens it (it was the probe)."""
        if not self.shut or token != self._probe:
            return False
        self.shut = False
        self.strikes = 0
        self._probe = None
        self._serial += 1
        self._spell = self._serial
        return True

    def hold_off(self, token: int, now_s: float) -> None:
        """The probe ended without a verdict: the next goes after the same delay again, not at once."""
        if self.shut and token == self._probe:
            self._probe = None
            self.opens_at_s = now_s + self.delay_s

    def cancel(self, token: int) -> None:
        """The probe was given up by us: another may go at once."""
        if self.shut and token == self._probe:
            self._probe = None
