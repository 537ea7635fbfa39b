"""One request that is always refused holds up nobody and comes to an end; what everybody is told ends no request."""

from collections.abc import Callable
from random import Random

import pytest

from stream.core.errors import ProviderError
from tests.support.faulty_provider import Mood, refusal
from tests.support.refusing_day import live_through

Refusal = Callable[[], ProviderError]


def blocked() -> ProviderError:
    return refusal(403, None, "blocked by a rule")


def forbidden() -> ProviderError:
    return refusal(403, "permission_error")


def not_found() -> ProviderError:
    return refusal(404, "not_found", "nothing here")


def unknown_key() -> ProviderError:
    return refusal(401, "invalid_api_key")


def no_credit() -> ProviderError:
    return refusal(403, "insufficient_quota")


def too_large() -> ProviderError:
    return refusal(
        429, "rate_limit_exceeded", "Request too large for m on tokens per min: Limit 10000, Requested 12000."
    )


def slow_down() -> ProviderError:
    return refusal(429, "rate_limit_exceeded", "Rate limit reached for m: Limit 10000, Used 9990, Requested 12.")


HOUR_S = 3_600.0


def only(bad: Callable[[int], bool], fault: Refusal) -> Mood:
    return lambda name, _: fault() if bad(int(name[1:])) else None


def at_random(share: float, fault: Refusal, *, until_s: float = float("inf"), seed: int = 7) -> Mood:
    chance = Random(seed)
    return lambda _, now_s: fault() if now_s < until_s and chance.random() < share else None


@pytest.mark.parametrize("fault", [blocked, forbidden, not_found, too_large])
def test_one_refused_request_in_full_traffic_costs_the_others_seconds_and_ends(fault: Refusal) -> None:
    day = live_through(only(lambda number: number == 100, fault), requests=5_000)
    assert list(day.dead) == ["r100"]
    assert day.dead["r100"].attempts == 4
    assert day.calls("r100") <= 8
    assert day.errors["r100"].detail.endswith(fault().detail)
    assert max(day.served_s.values()) <= 18  # 15.6 s without it
    assert len(day.shut) == 1
    assert not day.defects


@pytest.mark.parametrize("fault", [blocked, too_large])
def test_one_refused_request_in_little_traffic_delays_nobody_by_more_than_a_probe(fault: Refusal) -> None:
    day = live_through(only(lambda number: number == 10, fault), requests=100, per_s=0.1)
    assert list(day.dead) == ["r10"]
    waited_s = [at_s - 10 * int(name[1:]) for name, at_s in day.served_s.items()]
    assert max(waited_s) <= 31
    assert max(change.opens_in_s or 0 for change in day.shut) <= 32


def test_one_refused_request_where_one_goes_at_a_time_ends_too() -> None:
    day = live_through(only(lambda number: number == 100, blocked), requests=1_000, max_in_flight=1)
    assert list(day.dead) == ["r100"]
    assert max(day.served_s.values()) <= 1_000 * 0.2 + 20


@pytest.mark.parametrize("max_in_flight", [1, 64])
def test_requests_refused_from_the_start_leave_the_next_probes_to_others(max_in_flight: int) -> None:
    """Nobody was served before: three refusals could be the account's. The fourth probe is somebody else's."""
    day = live_through(only(lambda number: number < 3, blocked), requests=1_000, max_in_flight=max_in_flight, per_s=1)
    assert sorted(day.dead) == ["r0", "r1", "r2"]
    assert len(day.served_s) == 997


def test_refused_requests_one_in_a_hundred_hold_up_nobody() -> None:
    day = live_through(only(lambda number: number % 100 == 7, blocked), requests=3_000, until_s=300)
    assert len(day.served_s) == 2_970
    assert max(day.served_s.values()) <= 60
    assert len(day.dead) >= 15  # the last have no others left as witnesses
    assert all(int(name[1:]) % 100 == 7 for name in day.dead)


@pytest.mark.parametrize(
    ("one_in", "per_s", "max_in_flight", "within_s"), [(10, 10, 16, 60), (12, 20, 16, 350), (20, 30, 32, 60)]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_many_refused_requests_with_few_slots_hold_up_no_other_for_long(
    one_in: int, per_s: int, max_in_flight: int, within_s: float, seed: int
) -> None:
    """They all back off at once, more of them than requests may be started: nobody else would start, as a witness."""
    chance = Random(seed)
    bad = {number for number in range(3_000) if chance.random() < 1 / one_in}
    day = live_through(
        only(bad.__contains__, blocked),
        requests=3_000,
        per_s=per_s,
        max_in_flight=max_in_flight,
        seed=seed,
        until_s=3_000 / per_s + within_s,
    )
    assert len(day.served_s) == 3_000 - len(bad)
    assert {int(name[1:]) for name in day.dead} <= bad


@pytest.mark.parametrize("refused_in_a_row", [6, 20, 40])
def test_refused_requests_one_after_the_other_keep_others_from_probing_for_minutes_at_most(
    refused_in_a_row: int,
) -> None:
    day = live_through(
        only(lambda number: 500 <= number < 500 + refused_in_a_row, blocked), requests=2_000, per_s=10, until_s=2_000
    )
    waited_s = [at_s - int(name[1:]) / 10 for name, at_s in day.served_s.items()]
    assert len(day.served_s) == 2_000 - refused_in_a_row
    assert max(waited_s) <= 10 + 5 * refused_in_a_row


def test_one_refused_alone_on_a_topic_gone_quiet_is_tried_less_and_less() -> None:
    day = live_through(only(lambda number: number == 70, blocked), requests=100, max_in_flight=16, until_s=24 * HOUR_S)
    assert day.calls("r70") <= 150


@pytest.mark.parametrize("fault", [blocked, forbidden, not_found, unknown_key, no_credit])
@pytest.mark.parametrize(
    ("per_s", "requests", "max_in_flight"), [(2, 7_500, 64), (0.5, 2_000, 8), (1 / 20, 220, 4), (1 / 300, 40, 1)]
)
def test_an_hour_in_which_everybody_is_refused_kills_nobody(
    fault: Refusal, per_s: float, requests: int, max_in_flight: int
) -> None:
    day = live_through(
        lambda _, now_s: fault() if 20 <= now_s < 20 + HOUR_S else None,
        requests=requests,
        per_s=per_s,
        max_in_flight=max_in_flight,
    )
    assert not day.dead
    assert len(day.served_s) == requests
    assert len(day.provider.sent) <= requests + max_in_flight + 15


@pytest.mark.parametrize("fault", [blocked, not_found, too_large, unknown_key])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.3, 0.5])
def test_refusals_at_random_kill_nobody(fault: Refusal, share: float) -> None:
    day = live_through(at_random(share, fault), requests=1_000, per_s=50)
    assert not day.dead


@pytest.mark.parametrize(("bad_s", "good_s"), [(0.5, 0.5), (2, 2), (5, 30), (30, 5), (60, 60)])
def test_an_account_that_flaps_kills_nobody(bad_s: float, good_s: float) -> None:
    day = live_through(
        lambda _, now_s: blocked() if now_s % (bad_s + good_s) < bad_s else None,
        requests=3_000,
        per_s=2,
        until_s=10_000,
    )
    assert not day.dead


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_ten_minutes_of_429s_for_some_by_chance_kill_nobody_and_count_for_nobody(share: float) -> None:
    day = live_through(at_random(share, slow_down, until_s=600), requests=2_000, per_s=10)
    assert not day.dead
    assert len(day.served_s) == 2_000


def test_too_small_a_credit_for_large_requests_is_the_accounts() -> None:
    """Small ones get through: they are witnesses, but money is never one request's. It shuts nothing for them."""
    day = live_through(only(lambda number: number == 100, no_credit), requests=2_000, per_s=20, until_s=1_000)
    assert not day.dead
    assert len(day.served_s) == 1_999
    assert len(day.shut) <= 2
    assert 5 <= day.calls("r100") <= 15


def test_a_refused_request_among_random_429s_is_found_out_and_nobody_else() -> None:
    chance = Random(5)

    def mood(name: str, _: float) -> ProviderError | None:
        if name == "r100":
            return blocked()
        return slow_down() if chance.random() < 0.05 else None

    day = live_through(mood, requests=2_000, per_s=10)
    assert list(day.dead) == ["r100"]
