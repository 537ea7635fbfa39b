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


def test_one_request_is_not_said_in_the_plural() -> None:
    said = []
    for limit in (1, 2):
        budget = Budget(limit=limit)
        while budget.begin():
            pass
        said.append(budget.used_up_because)
    assert said == ["--limit: 1 request", "--limit: 2 requests"]


def test_what_dead_letters_cost_counts_too() -> None:
    budget = Budget(max_cost_usd=0.0001)
    budget.finished(completed(cost=Cost(calls=1, micro_usd=60)))
    assert budget.may_spend
    budget.finished(dead(Failure("call", "refused", "no", (), Cost(calls=1, micro_usd=40))))
    assert budget.spent_micro_usd == 100
    assert budget.used_up
    assert not budget.begin()


def test_calls_in_the_air_are_reckoned_at_the_dearest_price_so_far() -> None:
    budget = Budget(max_cost_usd=0.0001)
    assert budget.may_start(1)
    assert not budget.may_start(2)  # nobody knows yet what one costs
    budget.finished(completed(cost=Cost(calls=1, micro_usd=20)))
    budget.finished(completed(cost=Cost(calls=1, micro_usd=10)))
    assert budget.may_start(3)  # 30 + 3 * 20 are less than 100
    assert not budget.may_start(4)
    assert budget.may_spend


def test_without_a_money_limit_any_number_may_be_in_the_air() -> None:
    assert Budget(limit=5).may_start(500)


def test_a_cost_that_is_not_known_adds_nothing() -> None:
    budget = Budget(max_cost_usd=1)
    budget.finished(completed(cost=Cost(calls=1, micro_usd=None, unpriced_calls=1)))
    assert budget.spent_micro_usd == 0
