"""How much a careful first run may do."""

from stream.core.outcomes import Failure
from stream.core.records import Cost
from stream.kafka.budget import Budget
from tests.support.outcome_builders import completed, dead


def test_without_limits_everything_may_begin() -> None:
    budget = Budget()
    assert all(budget.begin() for _ in range(1_000))
    assert not budget.used_up


def test_no_more_requests_begin_than_the_limit() -> None:
    budget = Budget(limit=2)
    assert [budget.begin() for _ in range(4)] == [True, True, False, False]
    assert budget.used_up
    assert budget.may_spend


def test_what_dead_letters_cost_counts_too() -> None:
    budget = Budget(max_cost_usd=0.0001)
    budget.finished(completed(cost=Cost(calls=1, micro_usd=60)))
    assert budget.may_spend
    budget.finished(dead(Failure("call", "refused", "no", (), Cost(calls=1, micro_usd=40))))
    assert budget.spent_micro_usd == 100
    assert budget.used_up
    assert not budget.begin()


def test_a_cost_that_is_not_known_adds_nothing() -> None:
    budget = Budget(max_cost_usd=1)
    budget.finished(completed(cost=Cost(calls=1, micro_usd=None, unpriced_calls=1)))
    assert budget.spent_micro_usd == 0
