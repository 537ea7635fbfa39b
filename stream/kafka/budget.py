"""How much a worker may do before it stops by itself: careful first runs (`--limit`, `--max-cost-usd`)."""

from stream.core.counting import counted
from stream.core.outcomes import Completed, Outcome

_BLIND = 2
"""So many calls may be in the air before any price is known: two, so that one that keeps failing has a witness."""


class Budget:
    """Counts requests and money. limit: requests; max_cost_usd: known cost; None: without end.

    Calls in the air are reckoned at the price of the dearest request so far, and until one has ended only two are sent;
    so a little more is spent only where a request is dearer than all before it.
    """

    def __init__(self, limit: int | None = None, max_cost_usd: float | None = None) -> None:
        self._limit = limit
        self._max_micro_usd = None if max_cost_usd is None else max_cost_usd * 1_000_000
        self._begun = 0
        self.spent_micro_usd = 0
        self._dearest_micro_usd: int | None = None

    @property
    def may_spend(self) -> bool:
        """Whether a call may still be paid for."""
        return self._max_micro_usd is None or self.spent_micro_usd < self._max_micro_usd

    def may_start(self, started: int) -> bool:
        """Whether one more call may be paid for beside those that were started and have not ended."""
        if self._max_micro_usd is None or not started:
            return self.may_spend
        if self._dearest_micro_usd is None:
            return started < _BLIND
        return self.spent_micro_usd + started * self._dearest_micro_usd < self._max_micro_usd

    @property
    def used_up(self) -> bool:
        """Whether nothing more will be begun or paid for."""
        return not self.may_spend or (self._limit is not None and self._begun >= self._limit)

    @property
    def used_up_because(self) -> str:
        """Why it is used up, for a person; empty if it isn't."""
        if not self.may_spend:
            return f"--max-cost-usd: ${self.spent_micro_usd / 1_000_000:.6f} spent"
        return f"--limit: {counted(self._begun, 'request')}" if self.used_up else ""

    @property
    def to_come(self) -> int:
        """How many requests the limit still waits for; 0 without a limit."""
        return 0 if self._limit is None else max(0, self._limit - self._begun)

    def begin(self) -> bool:
        """Whether one more request may begin; it is counted if so."""
        if self.used_up:
            return False
        self._begun += 1
        return True

    def finished(self, outcome: Outcome) -> None:
        """Count what an outcome cost."""
        cost = outcome.cost if isinstance(outcome, Completed) else outcome.failure.cost
        self.spent_micro_usd += cost.micro_usd or 0
        if cost.calls:
            self._dearest_micro_usd = max(self._dearest_micro_usd or 0, cost.micro_usd or 0)
