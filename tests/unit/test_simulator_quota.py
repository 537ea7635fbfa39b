"""The simulator's quotas by themselves: what they admit, charge and tell, by each provider's rules."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.simulator.bucket import BUCKETS, REFILLS, Refill
from stream.simulator.quota import RULES, Level, Limits, Quota

SECONDS = st.floats(0, 500, allow_nan=False)
FACTORS = st.floats(0.01, 1)


def quota(dialect: str = "anthropic", *, window_s: float = 60, refill: Refill = "continuous", **limits: int) -> Quota:
    """Limits by name, per minute: `requests=600`."""
    per_minute: Any = limits
    return Quota(Limits(per_minute, window_s, refill), RULES[dialect])


def admitted(one: Quota, now_s: float, times: int = 700) -> int:
    """How many calls of a token pass at once."""
    return sum(one.admit(now_s, 1, 1) is None for _ in range(times))


def test_a_full_bucket_holds_the_window_and_no_more() -> None:
    assert admitted(quota(requests=600), 0) == 600
    assert admitted(quota(requests=600, window_s=1), 0) == 10


def test_a_continuous_quota_comes_back_bit_by_bit() -> None:
    one = quota(requests=600, window_s=1)
    assert [admitted(one, now_s) for now_s in (0, 0.05, 0.1, 0.35, 10)] == [10, 0, 1, 2, 10]


def test_a_quota_at_once_comes_back_whole_at_each_multiple_of_its_window() -> None:
    one = quota(requests=600, window_s=10, refill="at_once")
    assert [admitted(one, now_s) for now_s in (3, 9.9, 10, 19.9, 40, 41)] == [100, 0, 100, 0, 100, 0]


def test_windows_are_the_same_for_all_quotas_that_start_together() -> None:
    limits = Limits({"requests": 60}, 10, "at_once")
    early, late = Quota(limits, RULES["openai"], 100), Quota(limits, RULES["openai"], 100)
    assert admitted(early, 100) == admitted(late, 107) == 10
    assert admitted(early, 110) == admitted(late, 110) == 10


def test_a_limit_of_less_than_one_a_window_still_lets_its_share_pass() -> None:
    for refill in REFILLS:
        one = quota(requests=30, window_s=1, refill=refill)
        passed = sum(admitted(one, now_s) for now_s in range(60))
        assert 30 <= passed <= 31, refill


@pytest.mark.parametrize("refill", REFILLS)
def test_after_the_wait_that_a_refusal_names_the_call_passes(refill: Refill) -> None:
    one = quota(requests=600, input_tokens=6000, window_s=7, refill=refill)
    now_s = 0.3
    for _ in range(200):
        refusal = one.admit(now_s, 150)
        if refusal is not None:
            assert one.admit(now_s + refusal.wait_s * 0.9, 150) is not None
            now_s += refusal.wait_s
            assert one.admit(now_s, 150) is None
    assert now_s > 100


def test_a_refusal_names_the_limit_that_lasts_longest() -> None:
    one = quota(requests=60, input_tokens=600, window_s=1)
    assert one.admit(0, 10) is None
    refusal = one.admit(0, 5)
    assert refusal is not None
    assert (refusal.meter, refusal.wait_s, refusal.per_minute) == ("requests", 1.0, 60)
    refusal = one.admit(1.5, 10)
    assert refusal is None
    refusal = one.admit(1.9, 10)
    assert refusal is not None
    assert refusal.wait_s == pytest.approx(0.6)


def test_a_call_larger_than_a_full_bucket_never_passes_and_is_told_so() -> None:
    one = quota(input_tokens=6000, window_s=1)
    refusal = one.admit(0, 101)
    assert refusal is not None
    assert (refusal.wait_s, refusal.never, refusal.asked, refusal.holds) == (math.inf, True, 101, 100)


def test_a_call_too_large_only_while_others_take_their_share_is_not_too_large_for_ever() -> None:
    one = quota(input_tokens=6000, window_s=1)
    one.scale(0, 0.5)
    refusal = one.admit(0, 80)
    assert refusal is not None
    assert (refusal.wait_s, refusal.never) == (math.inf, False)


def test_anthropic_charges_output_when_it_is_produced_and_admits_while_any_is_left() -> None:
    one = quota(output_tokens=600)
    assert one.admit(0, 10, 100_000) is None
    one.produced(0, 900)
    assert one.state(0)["output_tokens"].remaining == 0
    refusal = one.admit(0, 10, 1)
    assert refusal is not None
    assert (refusal.meter, refusal.wait_s) == ("output_tokens", pytest.approx(30.1)), "a debt of 300 at 10 a second"


def test_anthropic_does_not_count_cache_reads_as_input() -> None:
    one = quota(input_tokens=1000, tokens=1000)
    assert one.admit(0, 5000, cache_read_tokens=4900) is None
    assert [level.remaining for level in one.state(0).values()] == [900, 900]


def test_anthropic_charges_nothing_for_a_refused_call() -> None:
    one = quota(requests=60, input_tokens=100)
    assert one.admit(0, 101) is not None
    assert [level.remaining for level in one.state(0).values()] == [60, 100]


def test_openai_charges_what_a_reply_may_hold_and_gives_nothing_back() -> None:
    one = quota("openai", tokens=1000, output_tokens=1000)
    assert one.admit(0, 100, 500, cache_read_tokens=100) is None
    one.produced(0, 20)
    assert {meter: level.remaining for meter, level in one.state(0).items()} == {"tokens": 400, "output_tokens": 500}
    refusal = one.admit(0, 100, 500)
    assert refusal is not None
    assert refusal.meter == "tokens"


def test_openai_counts_a_refused_call_so_that_insisting_never_succeeds() -> None:
    insisting, waiting = quota("openai", requests=60, window_s=1), quota("openai", requests=60, window_s=1)
    assert admitted(insisting, 0, 1) == admitted(waiting, 0, 1) == 1
    assert sum(admitted(insisting, tick / 10, 1) for tick in range(1, 100)) == 0
    assert admitted(waiting, 1, 1) == 1


def test_a_refused_call_takes_a_request_also_where_tokens_refused_it() -> None:
    one = quota("openai", requests=60, tokens=100)
    assert one.admit(0, 101) is not None
    assert one.state(0)["requests"].remaining == 59


def test_a_providers_rules_can_be_changed_for_one_quota() -> None:
    rules = replace(RULES["anthropic"], rejects_count=True)
    one = Quota(Limits({"requests": 60, "input_tokens": 100}), rules)
    assert one.admit(0, 101) is not None
    assert one.state(0)["requests"].remaining == 59


def test_the_state_tells_limit_rest_and_time_until_full() -> None:
    one = quota(requests=600)
    for _ in range(100):
        one.admit(0, 1)
    assert one.state(5) == {"requests": Level(600, 550, pytest.approx(5.0))}
    assert one.state(60) == {"requests": Level(600, 600, 0.0)}
    at_once = quota(requests=600, window_s=10, refill="at_once")
    at_once.admit(4, 1)
    assert at_once.state(4) == {"requests": Level(600, 99, pytest.approx(6.0))}


def test_others_take_their_share_of_refill_and_capacity_and_give_it_back() -> None:
    one = quota(requests=600, window_s=10)
    one.scale(0, 0.25)
    assert admitted(one, 0) == 25
    assert one.state(0)["requests"].per_minute == 600, "what is told stays the configured limit"
    assert admitted(one, 4) == 10
    one.scale(4, 1)
    assert admitted(one, 4) == 0
    assert admitted(one, 5) == 10
    assert admitted(one, 100) == 100


def test_a_quota_at_once_that_is_given_back_is_full_at_the_next_window_only() -> None:
    one = quota(requests=600, window_s=10, refill="at_once")
    one.scale(0, 0.5)
    assert admitted(one, 5) == 50
    one.scale(6, 1)
    assert [admitted(one, now_s) for now_s in (6, 10)] == [0, 100]


@pytest.mark.parametrize("factor", [0, -1, 1.01, math.nan, math.inf])
def test_a_share_that_makes_no_sense_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="can't be scaled"):
        quota(requests=60).scale(0, factor)


@given(
    refill=st.sampled_from(REFILLS),
    per_minute=st.integers(1, 3000),
    window_s=st.floats(0.1, 120),
    dialect=st.sampled_from(sorted(RULES)),
    gaps=st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=25),
    burst=st.integers(1, 8),
)
def test_no_span_of_time_ever_admits_more_than_its_refill_and_what_a_bucket_holds(
    refill: Refill, per_minute: int, window_s: float, dialect: str, gaps: list[float], burst: int
) -> None:
    one = quota(dialect, requests=per_minute, window_s=window_s, refill=refill)
    holds = max(1.0, per_minute * window_s / 60)
    passed: list[float] = []
    now_s = 0.0
    for gap in gaps:
        now_s += gap
        passed += [now_s] * admitted(one, now_s, burst)
    ends = 1 if refill == "continuous" else 2
    for first, from_s in enumerate(passed):
        for last in range(first, len(passed)):
            span_s = passed[last] - from_s
            assert last - first + 1 <= span_s * per_minute / 60 + ends * holds + 1e-3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), SECONDS),
        st.tuples(st.just("take"), st.floats(0, 5000)),
        st.tuples(st.just("drain"), st.floats(0, 5000)),
        st.tuples(st.just("scale"), FACTORS),
    ),
    max_size=30,
)


@given(
    kind=st.sampled_from(sorted(BUCKETS)), per_minute=st.integers(1, 100_000), window_s=st.floats(0.1, 120), steps=STEPS
)
def test_a_level_never_exceeds_a_capacity_that_is_never_below_one(
    kind: Refill, per_minute: int, window_s: float, steps: list[tuple[str, float]]
) -> None:
    bucket = BUCKETS[kind](per_minute, window_s)
    for act, amount in steps:
        getattr(bucket, act)(bucket.now_s + amount if act == "advance" else amount)
        assert bucket.level <= bucket.capacity
        assert 1 <= bucket.capacity <= bucket.configured_capacity
        assert bucket.full_in_s() >= 0
    bucket.scale(1)
    assert bucket.capacity == bucket.configured_capacity


@given(kind=st.sampled_from(sorted(BUCKETS)), now_s=SECONDS, back_s=SECONDS, taken=st.floats(0, 5000))
def test_a_clock_that_stands_still_or_goes_back_changes_nothing(
    kind: Refill, now_s: float, back_s: float, taken: float
) -> None:
    bucket = BUCKETS[kind](600, 10)
    bucket.advance(now_s)
    bucket.take(taken)
    before = (bucket.level, bucket.now_s)
    for later_s in (now_s, now_s - back_s):
        bucket.advance(later_s)
        assert (bucket.level, bucket.now_s) == before


@given(kind=st.sampled_from(sorted(BUCKETS)), now_s=SECONDS, taken=st.floats(0, 5000), need=st.floats(0.5, 100))
def test_a_wait_is_just_long_enough(kind: Refill, now_s: float, taken: float, need: float) -> None:
    bucket = BUCKETS[kind](600, 10)
    bucket.advance(now_s)
    bucket.take(taken)
    wait_s = bucket.wait_s(need)
    bucket.advance(now_s + wait_s)
    assert bucket.wait_s(need) == 0
