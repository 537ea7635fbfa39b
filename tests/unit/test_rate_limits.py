"""Rate-limit headers, in every spelling, and nonsense in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.quotas import Meter, Quota
from stream.resilience.rate_limits import LARGEST, SPELLINGS, parse_rate_limits

M = Meter
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "600",
    "anthropic-ratelimit-requests-remaining": "599",
    "anthropic-ratelimit-requests-reset": "2026-11-29T08:50:01Z",
    "anthropic-ratelimit-input-tokens-limit": "1000000",
    "anthropic-ratelimit-input-tokens-remaining": "998000",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-29T08:50:01Z",
    "anthropic-ratelimit-output-tokens-limit": "160000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-29T08:51:01Z",
    "anthropic-ratelimit-tokens-limit": "160000",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "2026-11-29T08:51:01Z",
}
OPENAI = {
    "x-ratelimit-limit-requests": "600",
    "x-ratelimit-remaining-requests": "300",
    "x-ratelimit-reset-requests": "30s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6ms",
}


def parsed(headers, **changes):
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return dict(parse_rate_limits({**headers, **named}.items()))


def requests_of(limit, remaining, reset="1s"):
    """What is made of OpenAI's headers for requests."""
    headers = zip(("limit", "remaining", "reset"), (limit, remaining, reset), strict=True)
    return parse_rate_limits((f"x-ratelimit-{part}-requests", value) for part, value in headers).get(M.REQUESTS)


def test_anthropic_counts_requests_input_and_output_per_minute():
    assert parsed(ANTHROPIC) == {
        M.REQUESTS: Quota(600, 599, 10),
        M.INPUT: Quota(1_000_000, 998_000, 1_000_000 / 60),
        M.OUTPUT: Quota(160_000, 0, 160_000 / 60),
    }


def test_anthropics_tokens_in_all_count_where_nothing_else_does():
    assert parsed({name: value for name, value in ANTHROPIC.items() if "-tokens-" in name and "put" not in name}) == {
        M.TOKENS: Quota(160_000, 0, 160_000 / 60)
    }


def test_openai_counts_requests_and_tokens():
    assert parsed(OPENAI) == {M.REQUESTS: Quota(600, 300, 10), M.TOKENS: Quota(150_000, 149_984, 2_500)}


def test_names_are_read_in_any_case():
    assert parsed({name.title(): value for name, value in OPENAI.items()}) == parsed(OPENAI)


def test_of_several_quotas_for_one_meter_the_tightest_counts():
    project = {"x-ratelimit-limit-project-tokens": "1000000", "x-ratelimit-remaining-project-tokens": "10"}
    assert parsed({**OPENAI, **project})[M.TOKENS] == Quota(1_000_000, 10, 1_000_000 / 60)


@pytest.mark.parametrize("reset", ["8.64s", "0h0m8.64s"])
def test_a_quota_of_requests_that_comes_back_within_a_day_is_per_day(reset):
    assert requests_of("10000", "9999", reset) == Quota(10_000, 9_999, 10_000 / 86_400)


@pytest.mark.parametrize(
    "reset",
    ["", "6ms", "1s", "60s", "-5s", "nan", "1e9s", "2026-11-29T08:50:01Z", "99999999999s", "1h" * 50, "s", "٣s", "25h"],
)
def test_any_other_reset_leaves_it_per_minute(reset):
    assert requests_of("600", "300", reset) == Quota(600, 300, 10)


@pytest.mark.parametrize(
    "limit", ["", "0", "-1", "nan", "inf", "1e3", "1_000", "٣", "abc", "9" * 40, f"{LARGEST * 10:.0f}"]
)
def test_a_limit_that_makes_no_sense_is_none(limit):
    assert requests_of(limit, "1") is None


@pytest.mark.parametrize("remaining", ["", "-1", "nan", "lots", "1,000", "9" * 40])
def test_without_a_remaining_that_makes_sense_a_limit_says_nothing(remaining):
    assert requests_of("600", remaining) is None


def test_more_left_than_there_ever_was_is_a_full_quota():
    assert requests_of("600", "700") == Quota(600, 600, 10)


def test_no_rate_limit_headers_say_nothing():
    assert parsed({"content-type": "application/json", "retry-after": "5", "x-ratelimit-limit-requests": "5"}) == {}


ANY_VALUE = st.text(max_size=40) | st.integers().map(str) | st.floats().map(str)
ANY_HEADERS = st.dictionaries(
    st.sampled_from([name for _, *names in SPELLINGS for name in names if name] + list(ANTHROPIC)), ANY_VALUE
)


@given(ANY_HEADERS)
def test_whatever_headers_say_quotas_make_sense(headers):
    for quota in parse_rate_limits(headers.items()).values():
        assert 0 < quota.limit <= LARGEST
        assert 0 <= quota.remaining <= quota.limit
        assert quota.limit / 86_400 <= quota.per_s <= quota.limit / 60
