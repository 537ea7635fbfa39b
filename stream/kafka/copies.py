"""Audit copies that the broker refuses, or that attempts fail with. Promise: an outcome never waits twice for its copy;
what is left out is counted.

Within a transaction an outcome can't be published before its copy: while the copy's partition has no leader, neither
that transaction nor its abort comes to an end. So the audit topic must be as available as the results are (the same
replication), or there must be no audit sample. At least once, an outcome's offset waits some seconds for its copy.
"""

from collections.abc import Callable, Iterable, Sequence

from stream.kafka.attempts import Settled
from stream.telemetry.watch import Watch

COPIES_AGAIN_S = 60.0
"""So long no copies are sent once one was refused: each refusal costs the whole attempt it was part of."""

SLOW_S = 3.0
"""What an attempt takes at least that failed because it waited for a copy."""


class Copies:
    """See the module. now_s: monotonic."""

    def __init__(self, watch: Watch, now_s: Callable[[], float]) -> None:
        self._watch = watch
        self._now_s = now_s
        self._again_s = float("-inf")

    def refused(self, outcomes: Iterable[Settled], reason: str) -> None:
        """The copies of these were refused, or are not known to be taken."""
        self._watch.trouble(f"audit copies are refused, and left out for a minute: {reason}")
        self._again_s = self._now_s() + COPIES_AGAIN_S
        for settled in outcomes:
            settled.drop_copy()
            self._watch.audit_dropped()

    def doubt(self, outcomes: Sequence[Settled], seconds: float) -> None:
        """An attempt with these failed after so long, or its fate is unknown: a copy may be the reason, and isn't tried
        again. One that fails soon, as in a rebalance, didn't wait for a leader."""
        if seconds >= SLOW_S and any(settled.has_copy for settled in outcomes):
            self._again_s = self._now_s() + COPIES_AGAIN_S

    def spare(self, outcomes: Iterable[Settled]) -> None:
        """Leave the copies of these out, while copies are refused. To be called before they are sent."""
        if self._now_s() < self._again_s:
            for settled in outcomes:
                if settled.has_copy:
                    settled.drop_copy()
                    self._watch.audit_dropped()
