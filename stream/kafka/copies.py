"""Audit copies that the broker refuses. Promise: an outcome never waits for its copy; what is left out is counted."""

from collections.abc import Callable, Iterable

from stream.kafka.attempts import Settled
from stream.telemetry.watch import Watch

COPIES_AGAIN_S = 60.0
"""So long no copies are sent once one was refused: each refusal costs the whole attempt it was part of."""


class Copies:
    """See the module. now_s: monotonic."""

    def __init__(self, watch: Watch, now_s: Callable[[], float]) -> None:
        self._watch = watch
        self._now_s = now_s
        self._again_s = float("-inf")

    def refused(self, outcomes: Iterable[Settled], reason: str) -> None:
        """The copies of these were refused."""
        self._watch.trouble(f"audit copies are refused, and left out for a minute: {reason}")
        self._again_s = self._now_s() + COPIES_AGAIN_S
        self._leave_out(outcomes)

    def spare(self, outcomes: Iterable[Settled]) -> None:
        """Leave the copies of these out, while copies are refused. To be called before they are sent."""
        if self._now_s() < self._again_s:
            self._leave_out(outcomes)

    def _leave_out(self, outcomes: Iterable[Settled]) -> None:
        for settled in outcomes:
            if settled.drop_copy():
                self._watch.audit_dropped()
