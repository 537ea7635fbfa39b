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


@pytest.mark.parametrize(("at_once", "per_s"), [(60, 1), (128, 10), (200, 10)])
def test_many_that_always_fail_sent_in_one_go_hold_up_nobody_for_long(at_once: int, per_s: float) -> None:
    bad = range(300, 300 + at_once)
    day = live_through(
        lambda name, _: ErrorClass.TRANSIENT if int(name[1:]) in bad else None,
        requests=2_000,
        per_s=per_s,
        at_once=bad,
        until_s=2_000 / per_s + 600,
    )
    assert len(day.served_s) == 2_000 - at_once
    assert longest_wait_s(day, per_s) <= 60
    assert {int(name[1:]) for name in day.dead} == set(bad)


@pytest.mark.parametrize(("at_once", "per_s", "max_in_flight"), [(60, 1, 32), (128, 1, 64), (200, 10, 64)])
def test_many_that_are_refused_sent_in_one_go_hold_up_nobody_for_ever(
    at_once: int, per_s: float, max_in_flight: int
) -> None:
    """Each refusal may be everybody's: the delays between probes double, until one gets through."""
    bad = range(300, 300 + at_once)
    day = live_through(
        lambda name, _: refusal(403, None, "blocked by a rule") if int(name[1:]) in bad else None,
        requests=2_000,
        per_s=per_s,
        at_once=bad,
        max_in_flight=max_in_flight,
        until_s=2_000 / per_s + 2_000,
    )
    assert len(day.served_s) == 2_000 - at_once
    assert {int(name[1:]) for name in day.dead} <= set(bad)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_slow_provider_that_fails_now_and_then_delays_those_that_failed_by_a_few_calls(share: float) -> None:
    """As many tries of those that failed are in the air as that share needs."""
    chance = Random(1)
    day = live_through(
        lambda *_: ErrorClass.TRANSIENT if chance.random() < share else None,
        requests=6_000,
        per_s=30,
        max_in_flight=512,
        latency_s=10,
    )
    assert not day.dead
    waited_s = sorted(at_s - int(name[1:]) / 30 for name, at_s in day.served_s.items())
    assert waited_s[5_940] <= 60


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


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4])
def test_failures_at_random_kill_nobody(share: float) -> None:
    chance = Random(3)
    day = live_through(lambda *_: ErrorClass.TRANSIENT if chance.random() < share else None, requests=5_000, per_s=50)
    assert not day.dead


@pytest.mark.parametrize("failure", [ErrorClass.TRANSIENT, ErrorClass.OVERLOADED, ErrorClass.AMBIGUOUS])
@pytest.mark.parametrize("per_s", [0.05, 0.2, 0.3, 1])
def test_an_outage_in_little_traffic_is_found_out_by_requests_that_failed_before(
    per_s: float, failure: ErrorClass
) -> None:
    """Newcomers alone are too few to open the breaker, and those that failed must not call for as long as it lasts."""
    requests = int(2_400 * per_s)
    day = live_through(
        lambda _, now_s: failure if 300 <= now_s < 2_100 else None, requests=requests, per_s=per_s, until_s=4_000
    )
    assert len(day.served_s) == requests
    assert day.provider.calls_between(300, 2_100) <= 220
    assert day.shut or (failure is ErrorClass.AMBIGUOUS and per_s == 0.05)  # so seldom that no ten time out in 30 s


@pytest.mark.parametrize("share", [0.002, 0.005])
def test_a_few_that_hang_hold_up_nobody_who_failed_once(share: float) -> None:
    chance = Random(3)
    hanging = {f"r{number}" for number in range(30_000) if chance.random() < share}
    told = {f"r{number}" for number in range(0, 30_000, 1_500)} - hanging

    def mood(name: str, _: float) -> ErrorClass | None:
        if name in told:
            told.remove(name)
            return ErrorClass.TRANSIENT
        return ErrorClass.AMBIGUOUS if name in hanging else None

    day = live_through(mood, requests=30_000, per_s=50, max_in_flight=512, latency_s=0.5, until_s=900)
    assert len(day.served_s) == 30_000 - len(hanging)
    assert longest_wait_s(day, 50) <= 10
    assert len(day.dead) > len(hanging) / 2  # those of the last minutes have no witnesses any more
