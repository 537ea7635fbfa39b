"""What a call will use of the quotas, before it is known."""

import pytest

from stream.core.quotas import Meter
from stream.core.records import Usage
from stream.resilience.estimates import AS_PRODUCED, UP_FRONT, Estimates

M = Meter
PROMPT_CHARS = 5_600


def after(calls, rules=AS_PRODUCED, task="t"):
    estimates = Estimates(rules)
    for usage in calls:
        estimates.used(task, PROMPT_CHARS, usage)
    return estimates.need(task, PROMPT_CHARS, 2_000)


def test_before_the_first_answer_four_characters_are_a_token_and_the_output_is_as_long_as_it_may_be():
    assert after([]) == pytest.approx({M.REQUESTS: 1, M.INPUT: 1_540, M.OUTPUT: 2_000, M.TOKENS: 3_540})


def test_what_calls_use_is_learned():
    need = after([Usage(2_800, 200)] * 200)
    assert need[M.INPUT] == pytest.approx(1.1 * 2_800, rel=0.01)
    assert need[M.OUTPUT] == pytest.approx(200)


def test_each_task_learns_for_itself():
    estimates = Estimates(AS_PRODUCED)
    estimates.used("short", PROMPT_CHARS, Usage(1_400, 20))
    estimates.used("long", PROMPT_CHARS, Usage(1_400, 900))
    assert estimates.need("short", PROMPT_CHARS, 2_000)[M.OUTPUT] == 20
    assert estimates.need("long", PROMPT_CHARS, 2_000)[M.OUTPUT] == 900


def test_no_more_output_is_reserved_than_the_call_may_produce():
    estimates = Estimates(AS_PRODUCED)
    estimates.used("t", PROMPT_CHARS, Usage(1_400, 900))
    assert estimates.need("t", PROMPT_CHARS, 100)[M.OUTPUT] == 100


def test_output_that_is_charged_up_front_is_reserved_whole_and_not_given_back():
    assert after([Usage(1_400, 200)] * 50, UP_FRONT)[M.OUTPUT] == 2_000
    assert Estimates(UP_FRONT).used("t", PROMPT_CHARS, Usage(1_400, 200)) == {M.INPUT: 1_400}


@pytest.mark.parametrize(("rules", "counted"), [(AS_PRODUCED, 400), (UP_FRONT, 1_400)])
def test_input_from_the_cache_counts_where_the_provider_counts_it(rules, counted):
    assert Estimates(rules).used("t", PROMPT_CHARS, Usage(1_400, 200, cache_read_tokens=1_000))[M.INPUT] == counted


@pytest.mark.parametrize("usage", [None, Usage(0, 0), Usage(5, 0, cache_read_tokens=9)])
def test_an_answer_that_says_nothing_sensible_teaches_nothing_wrong(usage):
    need = after([usage] * 100)
    assert need[M.INPUT] == pytest.approx(1_540)
    assert 0 <= need[M.OUTPUT] <= 2_000
