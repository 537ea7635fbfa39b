"""Waits are spread, bounded, and never shorter than the provider asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.resilience.backoff import alone_s, backoff_s

chance = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(("tries", "longest_s"), [(0, 0.5), (1, 1), (2, 2), (5, 16), (6, 30), (10_000, 30)])
def test_the_longest_wait_doubles_up_to_thirty_seconds(tries: int, longest_s: float) -> None:
    assert backoff_s(tries, lambda: 1.0) == longest_s


def test_jitter_is_full() -> None:
    assert backoff_s(4, lambda: 0.0) == 0.0


@pytest.mark.parametrize(("asked_s", "longest_s"), [(0, 1), (4, 6), (16, 21), (900, 905)])
def test_jitter_comes_on_top_of_what_was_asked_for(asked_s: float, longest_s: float) -> None:
    assert backoff_s(0, lambda: 0.0, asked_s) == asked_s
    assert backoff_s(0, lambda: 1.0, asked_s) == longest_s


@given(st.integers(min_value=0, max_value=10_000), chance, st.none() | st.floats(min_value=0, max_value=900))
def test_every_wait_is_bounded(tries: int, drawn: float, asked_s: float | None) -> None:
    wait_s = backoff_s(tries, lambda: drawn, asked_s)
    assert (asked_s or 0) <= wait_s <= (30 if asked_s is None else asked_s + 5)


@pytest.mark.parametrize(("tries", "shortest_s", "longest_s"), [(0, 0.5, 1), (3, 4, 8), (10, 450, 900), (99, 450, 900)])
def test_one_refused_alone_waits_twice_as_long_each_time_up_to_15_minutes(
    tries: int, shortest_s: float, longest_s: float
) -> None:
    assert alone_s(tries, lambda: 0.0) == shortest_s
    assert alone_s(tries, lambda: 1.0) == longest_s


def test_one_refused_alone_waits_no_shorter_than_it_was_asked_to() -> None:
    assert alone_s(0, lambda: 0.0, 60.0) == 60.0
    assert alone_s(10, lambda: 0.0, 60.0) == 450.0
