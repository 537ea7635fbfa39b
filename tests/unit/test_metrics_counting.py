"""What the worker tells ends in the right series, and a request can't make a series of its own."""

from dataclasses import replace

import pytest

from stream.core.errors import CODES, INTERNAL_ERROR
from stream.core.outcomes import DeadLettered, Failure
from stream.core.records import Cost
from stream.telemetry.counting import MetricsWatch
from tests.support.telemetry_parts import completed, dead_lettered, record, scraped, some_metrics


class Counted:
    """A watch, and the series that changed since it began."""

    def __init__(self) -> None:
        self.metrics = some_metrics()
        self.watch = MetricsWatch(self.metrics)
        self._before = scraped(self.metrics)

    @property
    def changes(self) -> dict[str, float]:
        now = scraped(self.metrics)
        return {
            name.removeprefix("llm_stream_"): value - self._before.get(name, 0)
            for name, value in now.items()
            if value != self._before.get(name, 0) and "_bucket" not in name
        }


def test_a_completed_request_counts_with_its_cost():
    counted = Counted()
    counted.watch.finished(record(), completed())
    assert counted.changes == {
        'outcomes_total{outcome="completed",task="greet"}': 1,
        'cost_micro_usd_total{task="greet"}': 1_234,
        'unpriced_calls_total{task="greet"}': 1,
    }


def test_a_dead_letter_counts_by_stage_and_code():
    counted = Counted()
    counted.watch.finished(record(), dead_lettered())
    assert counted.changes == {
        'outcomes_total{outcome="dead_lettered",task="greet"}': 1,
        'dead_letters_total{code="placeholder",stage="validate",task="greet"}': 1,
        'cost_micro_usd_total{task="greet"}': 1_234,
        'unpriced_calls_total{task="greet"}': 1,
    }


def test_an_unknown_cost_counts_as_unpriced_and_never_as_nothing_paid():
    counted = Counted()
    counted.watch.finished(record(), completed(cost=Cost(1, 2, micro_usd=None, unpriced_calls=2)))
    assert counted.changes['unpriced_calls_total{task="greet"}'] == 2
    assert not any(name.startswith("cost") for name in counted.changes)


def test_a_request_that_could_not_be_read_counts_under_the_unknown_task():
    counted = Counted()
    counted.watch.finished(record(), DeadLettered(Failure("decode", "not_json", "no")))
    assert 'dead_letters_total{code="not_json",stage="decode",task="unknown"}' in counted.changes


def test_no_text_of_an_event_becomes_a_label():
    counted = Counted()
    for number in range(50):
        outcome = dead_lettered(f"id-{number}\n", f"task-{number}", "route", "unknown_task", f"no such task {number}")
        counted.watch.finished(record(), replace(outcome, version=None))
    assert counted.changes == {
        'outcomes_total{outcome="dead_lettered",task="unknown"}': 50,
        'dead_letters_total{code="unknown_task",stage="route",task="unknown"}': 50,
        'cost_micro_usd_total{task="unknown"}': 50 * 1_234,
        'unpriced_calls_total{task="unknown"}': 50,
    }


def test_a_code_outside_the_table_counts_as_other():
    counted = Counted()
    for number in range(50):
        counted.watch.finished(record(), dead_lettered(code=f"surprise-{number}"))
    assert counted.changes['dead_letters_total{code="other",stage="validate",task="greet"}'] == 50
    assert sum(name.startswith("dead_letters") for name in counted.changes) == 1


@pytest.mark.parametrize(
    ("stage", "code"), [(stage, code) for stage, codes in CODES.items() for code in (*sorted(codes), INTERNAL_ERROR)]
)
def test_every_code_of_the_table_has_a_series_of_its_own(stage, code):
    counted = Counted()
    counted.watch.finished(record(), dead_lettered(stage=stage, code=code))
    assert counted.changes[f'dead_letters_total{{code="{code}",stage="{stage}",task="greet"}}'] == 1


def test_reading_and_committing_are_counted_and_timed():
    counted = Counted()
    counted.watch.received(500)
    counted.watch.committed(40, 0.25)
    assert counted.changes == {"received_total": 500, "commit_seconds_count": 1, "commit_seconds_sum": 0.25}


def test_what_goes_wrong_is_counted():
    counted = Counted()
    counted.watch.attempt_failed("timed out")
    counted.watch.refused(record(), "too large")
    counted.watch.audit_dropped()
    counted.watch.trouble("something")
    assert counted.changes == {
        "commits_failed_total": 1,
        "refused_total": 1,
        "audit_dropped_total": 1,
        "troubles_total": 1,
    }


def test_rebalances_are_counted_by_kind_with_the_calls_given_up():
    counted = Counted()
    counted.watch.assigned(["t:0", "t:1"])
    counted.watch.revoked(["t:0"], lost=False, cancelled=3, seconds=1.0)
    counted.watch.revoked(["t:1"], lost=True, cancelled=2, seconds=0.0)
    assert counted.changes == {
        'rebalances_total{kind="assigned"}': 1,
        'rebalances_total{kind="revoked"}': 1,
        'rebalances_total{kind="lost"}': 1,
        "cancelled_calls_total": 5,
    }


def change_gate(counted: Counted, scope: str, *, is_open: bool) -> None:
    counted.watch.gate_changed("main", scope, is_open=is_open, cause="rate_limited", detail="", opens_in_s=1.0)


@pytest.mark.parametrize("scope", ["account", "pool:batch", "pool:default", "model:small-1"])
def test_a_shut_gate_shows_until_it_opens(scope):
    counted = Counted()
    change_gate(counted, scope, is_open=False)
    assert counted.changes == {f'gates_shut{{provider="main",scope="{scope}"}}': 1}
    change_gate(counted, scope, is_open=True)
    assert counted.changes == {}


def test_a_gate_of_something_unforeseen_shows_as_other():
    counted = Counted()
    change_gate(counted, "model:made-up", is_open=False)
    assert counted.changes == {'gates_shut{provider="main",scope="other"}': 1}
