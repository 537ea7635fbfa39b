"""A script's quotas in force: which rules whom, and when others take their share."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.simulator.entries import Allowance, Cut
from stream.simulator.pools import Pool, Pools


def allowance(**changes: Any) -> Allowance:
    return Allowance.model_validate({"requests_per_minute": 600, "window_s": 1.0, **changes})


def cut(from_s: float, to_s: float, factor: float, models: str = "*") -> Cut:
    return Cut(from_s=from_s, to_s=to_s, factor=factor, models=models)


def pool(*cuts: Cut, **changes: Any) -> Pool:
    found = Pools([allowance(**changes)], cuts).of("anthropic", "key", "m")
    assert found is not None
    return found


def admitted(one: Pool, elapsed_s: float, times: int = 50) -> int:
    return sum(one.admit(elapsed_s, 1, 1) is None for _ in range(times))


def test_the_first_quota_whose_models_match_rules_a_model() -> None:
    pools = Pools([allowance(models="claude-haiku-*"), allowance(models="claude-*")], [])
    haiku, sonnet = pools.of("anthropic", "k", "claude-haiku-4"), pools.of("anthropic", "k", "claude-sonnet-4")
    assert haiku is not sonnet
    assert pools.of("anthropic", "k", "claude-opus-4") is sonnet, "one entry is one pool"
    assert pools.of("anthropic", "k", "gpt-5") is None


def test_keys_and_providers_have_buckets_of_their_own() -> None:
    pools = Pools([allowance()], [])
    found = [pools.of(dialect, key, "m") for dialect in ("anthropic", "openai") for key in ("one", "two", None)]
    assert len({id(each) for each in found}) == 6
    assert pools.of("openai", "two", "other") is found[4]


def test_a_quota_counts_by_its_providers_rules_unless_it_says_otherwise() -> None:
    pools = Pools([allowance(models="a"), allowance(models="b", rejects_count=False)], [])
    counts = [pools.of(*name).quota.rules.rejects_count for name in (("anthropic", "k", "a"), ("openai", "k", "a"))]
    assert counts == [False, True]
    assert not pools.of("openai", "k", "b").quota.rules.rejects_count


def test_beyond_their_bound_the_pool_made_first_is_forgotten() -> None:
    pools = Pools([allowance()], [], kept=2)
    first, second = pools.of("openai", "1", "m"), pools.of("openai", "2", "m")
    pools.of("openai", "3", "m")
    assert pools.of("openai", "2", "m") is second
    assert pools.of("openai", "1", "m") is not first


def test_a_cut_takes_effect_on_its_second_whoever_calls_when() -> None:
    one = pool(cut(10, 20, 0.5), window_s=10.0)
    assert admitted(one, 9, 100) == 100
    assert admitted(one, 15, 100) == 10 + 25, "one second at 10 a second, five at 5"
    assert admitted(one, 21, 100) == 25 + 10


def test_a_key_that_first_calls_during_a_cut_finds_less() -> None:
    one = pool(cut(10, 20, 0.2))
    assert [admitted(one, elapsed_s) for elapsed_s in (15, 25)] == [2, 10]


def test_where_cuts_overlap_the_lowest_factor_counts() -> None:
    one = pool(cut(10, 40, 0.5), cut(20, 30, 0.2))
    assert [admitted(one, elapsed_s) for elapsed_s in (5, 15, 25, 35, 45)] == [10, 5, 2, 5, 10]


def test_a_cut_is_for_the_quotas_whose_models_it_matches_as_written() -> None:
    pools = Pools([allowance(models="claude-*"), allowance(models="gpt-*")], [cut(0, 10, 0.5, "claude-*")])
    assert [admitted(pools.of("openai", "k", model), 5) for model in ("claude-x", "gpt-x")] == [5, 10]


@given(times=st.lists(st.floats(0, 100, allow_nan=False), max_size=20))
def test_how_often_one_looks_changes_nothing(times: list[float]) -> None:
    cuts = (cut(10, 30, 0.5), cut(20, 60, 0.1))
    watched, left_alone = pool(*cuts, window_s=20.0), pool(*cuts, window_s=20.0)
    for one in (watched, left_alone):
        for _ in range(200):
            one.admit(0, 1, 1)
    for elapsed_s in sorted(times):
        watched.state(elapsed_s)
    shown, unwatched = watched.state(100)["requests"], left_alone.state(100)["requests"]
    assert abs(shown.remaining - unwatched.remaining) <= 1
    assert abs(shown.full_in_s - unwatched.full_in_s) < 1e-3
