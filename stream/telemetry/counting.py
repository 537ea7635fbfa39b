"""Counts what the worker tells. Costs a few microseconds a record: children are looked up once, never by event text."""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import Counter

from stream.core.errors import CODES, INTERNAL_ERROR
from stream.core.outcomes import Completed, Outcome
from stream.core.records import Record
from stream.telemetry.registry import OTHER, UNKNOWN_TASK, Metrics
from stream.telemetry.watch import Watch

_KNOWN_CODES = frozenset({INTERNAL_ERROR}).union(*CODES.values())


class _OfTask(NamedTuple):
    name: str
    completed: Counter
    dead_lettered: Counter
    cost: Counter
    unpriced: Counter


class MetricsWatch(Watch):
    """Fills the metrics from events. Every series but those of dead letters exists from the start, at 0."""

    def __init__(self, metrics: Metrics) -> None:
        self._received = metrics.counter("llm_stream_received_total")
        self._tasks = {name: _of_task(metrics, name) for name in sorted(metrics.names.tasks)}
        self._unknown_task = _of_task(metrics, UNKNOWN_TASK)
        self._dead_letters = metrics.counter("llm_stream_dead_letters_total")
        self._dead_letters_of: dict[tuple[str, str, str], Counter] = {}
        self._commit_seconds = metrics.histogram("llm_stream_commit_seconds")
        self._commits_failed = metrics.counter("llm_stream_commits_failed_total")
        self._refused = metrics.counter("llm_stream_refused_total")
        self._audit_dropped = metrics.counter("llm_stream_audit_dropped_total")
        rebalances = metrics.counter("llm_stream_rebalances_total")
        self._assigned, self._revoked, self._lost = (rebalances.labels(k) for k in ("assigned", "revoked", "lost"))
        self._cancelled_calls = metrics.counter("llm_stream_cancelled_calls_total")
        self._troubles = metrics.counter("llm_stream_troubles_total")
        gates = metrics.gauge("llm_stream_gates_shut")
        self._gates = {
            (provider, scope): gates.labels(provider, scope)
            for provider in sorted(metrics.names.models)
            for scope in (*metrics.names.scopes(provider), OTHER)
        }

    def received(self, records: int) -> None:
        """Count them."""
        self._received.inc(records)

    def finished(self, record: Record, outcome: Outcome) -> None:
        """Count the outcome, its cost, and a dead letter's reason."""
        if isinstance(outcome, Completed):
            task, cost = self._tasks.get(outcome.version.task, self._unknown_task), outcome.cost
            task.completed.inc()
        else:
            name = outcome.request.task if outcome.request else UNKNOWN_TASK
            task, cost = self._tasks.get(name, self._unknown_task), outcome.failure.cost
            task.dead_lettered.inc()
            self._dead_letter(task.name, outcome.failure.stage, outcome.failure.code).inc()
        if cost.micro_usd and cost.micro_usd > 0:
            task.cost.inc(cost.micro_usd)
        if cost.unpriced_calls > 0:
            task.unpriced.inc(cost.unpriced_calls)

    def committed(self, outcomes: int, seconds: float) -> None:
        """Time it."""
        self._commit_seconds.observe(seconds)

    def attempt_failed(self, reason: str) -> None:
        """Count it."""
        self._commits_failed.inc()

    def refused(self, record: Record, reason: str) -> None:
        """Count it."""
        self._refused.inc()

    def audit_dropped(self) -> None:
        """Count it."""
        self._audit_dropped.inc()

    def assigned(self, partitions: Iterable[str]) -> None:
        """Count the rebalance."""
        self._assigned.inc()

    def revoked(self, partitions: Iterable[str], *, lost: bool, cancelled: int, seconds: float) -> None:
        """Count the rebalance, and what was given up for it."""
        (self._lost if lost else self._revoked).inc()
        self._cancelled_calls.inc(cancelled)

    def gate_changed(
        self,
        provider: str,
        scope: str,
        *,
        is_open: bool,
        cause: str,
        detail: str,
        opens_in_s: float | None,
    ) -> None:
        """Show it."""
        gauge = self._gates.get((provider, scope)) or self._gates.get((provider, OTHER))
        if gauge is not None:
            gauge.set(0 if is_open else 1)

    def trouble(self, what: str) -> None:
        """Count it."""
        self._troubles.inc()

    def _dead_letter(self, task: str, stage: str, code: str) -> Counter:
        child = self._dead_letters_of.get((task, stage, code))
        if child is None:
            named = code if code in _KNOWN_CODES else OTHER
            child = self._dead_letters.labels(task, stage, named)
            if named == code:
                self._dead_letters_of[task, stage, code] = child
        return child


def _of_task(metrics: Metrics, name: str) -> _OfTask:
    outcomes = metrics.counter("llm_stream_outcomes_total")
    return _OfTask(
        name,
        outcomes.labels(name, "completed"),
        outcomes.labels(name, "dead_lettered"),
        metrics.counter("llm_stream_cost_micro_usd_total").labels(name),
        metrics.counter("llm_stream_unpriced_calls_total").labels(name),
    )
