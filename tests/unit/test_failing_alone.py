"""Requests that always fail, in traffic that doesn't: they open the breaker, and hold up nobody for long."""

from random import Random

import pytest

from stream.core.errors import ErrorClass
from tests.support.faulty_provider import refusal
from tests.support.refusing_day import Day, live_through


def longest_wait_s(day: Day, per_s: float) -> float:
    return max(at_s - int(name[1:]) / per_s for name, at_s in day.served_s.items())


@pytest.mark.parametrize("failure", [ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS, ErrorClass.OVERLOADED])
@pytest.mark.parametrize(("in_a_row", "per_s"), [(2, 1), (8, 1), (40, 10)])
def test_a_few_that_always_fail_are_not_all_that_ever_probes(in_a_row: int, per_s: float, failure: ErrorClass) -> None:
    """Eight such requests open the breaker. Were they its only probes, it would never close again."""
    bad = range(500, 500 + in_a_row)
    day = live_through(
        lambda name, _: failure if int(name[1:]) in bad else None,
        requests=1_500,
        per_s=per_s,
        until_s=1_500 / per_s + 600,
    )
    assert len(day.served_s) == 1_500 - in_a_row
    assert longest_wait_s(day, per_s) <= 60
    assert {int(name[1:]) for name in day.dead} <= set(bad)
    if failure is ErrorClass.TRANSIENT:
        assert len(day.dead) == in_a_row


def test_where_a_fifth_always_fails_the_others_are_served_though_late() -> None:
    chance = Random(1)
    bad = {number for number in range(1_000) if chance.random() < 1 / 5}
    day = live_through(
        lambda name, _: ErrorClass.TRANSIENT if int(name[1:]) in bad else None,
        requests=1_000,
        per_s=1,
        max_in_flight=16,
        until_s=3_000,
    )
    assert len(day.served_s) == 1_000 - len(bad)
    assert {int(name[1:]) for name in day.dead} <= bad


def test_who_is_told_to_slow_down_again_and_again_has_its_turn_before_newcomers() -> None:
    """A 429 is nobody's own failure: requests that meet many of them don't fall behind those that come later."""
    chance = Random(3)
    day = live_through(
        lambda *_: refusal(429, "rate_limit_exceeded", "Rate limit reached") if chance.random() < 0.7 else None,
        requests=600,
        per_s=50,
        max_in_flight=32,
    )
    served = [int(name[1:]) for name in sorted(day.served_s, key=lambda name: day.served_s[name])]
    behind = max(served.index(number) - number for number in range(600))
    assert behind <= 250
