"""The breaker stops when half of the calls fail, asks gently, and always comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.resilience.breaker import Breaker, Mode, Window

CEILING = 100


def draw() -> float:
    return 0.5


def call(breaker: Breaker, failed: bool, now_s: float) -> Mode | None:
    return breaker.settle(breaker.take(now_s), failed, now_s, draw)


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(10):
        call(breaker, True, at_s)
    assert breaker.mode is Mode.OPEN
    return breaker


def half_opened() -> Breaker:
    breaker = opened()
    assert call(breaker, False, 3.0) is None
    assert breaker.mode is Mode.HALF_OPEN
    return breaker


def slowly_started() -> Breaker:
    breaker = half_opened()
    call(breaker, False, 3.0)
    assert call(breaker, False, 3.0) is Mode.SLOW_START
    return breaker


def test_nine_failures_are_too_few_to_open() -> None:
    breaker = Breaker()
    for _ in range(9):
        assert call(breaker, True, 0.0) is None
    assert call(breaker, True, 0.0) is Mode.OPEN


def test_less_than_half_failing_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(100):
        call(breaker, False, 0.0)
    for _ in range(99):
        call(breaker, True, 0.0)
    assert breaker.mode is Mode.CLOSED
    assert call(breaker, True, 0.0) is Mode.OPEN


def test_failures_older_than_thirty_seconds_are_forgotten() -> None:
    breaker = Breaker()
    for _ in range(9):
        call(breaker, True, 0.0)
    assert call(breaker, True, 30.0) is None
    assert breaker.mode is Mode.CLOSED


def test_open_it_has_no_room_until_its_time_has_come() -> None:
    breaker = opened()
    assert breaker.opens_in_s(0, CEILING, 0.0) == pytest.approx(1.5)  # 2 s with equal jitter: 1 to 2
    assert breaker.room(0, CEILING, 1.49) == 0
    assert breaker.room(0, CEILING, 1.5) == 1


def test_one_probe_goes_at_a_time() -> None:
    breaker = opened()
    breaker.take(2.0)
    assert breaker.room(1, CEILING, 2.0) == 0


def test_each_reopening_doubles_the_wait_up_to_thirty_seconds() -> None:
    breaker, now_s, longest = opened(), 0.0, []
    for _ in range(7):
        wait_s = breaker.opens_in_s(0, CEILING, now_s)
        longest.append(wait_s / 0.75)
        now_s += wait_s
        assert call(breaker, True, now_s) is Mode.OPEN
    assert longest == pytest.approx([2, 4, 8, 16, 30, 30, 30])


def test_after_one_good_probe_three_go() -> None:
    breaker = half_opened()
    assert breaker.room(0, CEILING, 3.0) == 3


def test_one_bad_probe_of_three_does_not_reopen_it() -> None:
    breaker = half_opened()
    assert call(breaker, True, 3.0) is None
    assert call(breaker, False, 3.0) is None
    assert call(breaker, False, 3.0) is Mode.SLOW_START


def test_two_bad_probes_of_three_reopen_it() -> None:
    breaker = half_opened()
    call(breaker, True, 3.0)
    assert call(breaker, True, 3.0) is Mode.OPEN


def test_slow_start_begins_at_half_and_gains_five_percent_a_second() -> None:
    breaker = slowly_started()
    assert breaker.room(0, CEILING, 3.0) == 50
    assert breaker.room(0, CEILING, 7.0) == pytest.approx(70)
    assert breaker.room(70, CEILING, 7.0) == pytest.approx(0)
    assert breaker.opens_in_s(70, CEILING, 7.0) == pytest.approx(0.2)
    assert breaker.is_closed(13.0)
    assert not breaker.is_closed(12.9)


def test_slow_start_lets_one_call_go_whatever_the_ceiling() -> None:
    assert slowly_started().room(0, 1, 3.0) == 1


def test_failing_in_slow_start_reopens_it_for_longer() -> None:
    breaker = slowly_started()
    for _ in range(10):
        call(breaker, True, 4.0)
    assert breaker.opens_in_s(0, CEILING, 4.0) == pytest.approx(3.0)  # 4 s with equal jitter


def test_once_closed_it_forgets_how_often_it_opened() -> None:
    breaker = slowly_started()
    for _ in range(10):
        call(breaker, True, 20.0)
    assert breaker.opens_in_s(0, CEILING, 20.0) == pytest.approx(1.5)


def test_calls_sent_before_it_opened_change_nothing() -> None:
    breaker = Breaker()
    stale = [breaker.take(0.0) for _ in range(50)]
    for token in stale[:10]:
        breaker.settle(token, True, 0.0, draw)
    before = breaker.opens_in_s(0, CEILING, 0.0)
    for token in stale[10:]:
        assert breaker.settle(token, True, 1.0, draw) is None
    assert breaker.opens_in_s(0, CEILING, 1.0) == before - 1.0
    assert breaker.settle(stale[0], False, 5.0, draw) is None
    assert breaker.mode is Mode.OPEN


def test_failures_of_calls_sent_before_it_opened_do_not_reopen_it() -> None:
    breaker = Breaker()
    stale = [breaker.take(0.0) for _ in range(50)]
    for token in stale[:10]:
        breaker.settle(token, True, 0.0, draw)
    for _ in range(3):
        call(breaker, False, 3.0)
    assert breaker.mode is Mode.SLOW_START
    for token in stale[10:]:
        breaker.settle(token, True, 4.0, draw)
    assert breaker.mode is Mode.SLOW_START


def test_a_cancelled_probe_makes_room_for_another() -> None:
    breaker = opened()
    breaker.cancel(breaker.take(2.0))
    assert breaker.room(0, CEILING, 2.0) == 1


def test_an_overdue_probe_is_replaced_and_its_result_changes_nothing() -> None:
    breaker = opened()
    overdue = breaker.take(2.0)
    assert breaker.opens_in_s(1, CEILING, 2.0) == 10.0
    assert breaker.room(1, CEILING, 12.0) == 1
    breaker.take(12.0)
    assert breaker.settle(overdue, True, 12.0, draw) is None
    assert breaker.mode is Mode.HALF_OPEN


def test_a_probe_may_take_as_long_as_a_call_may() -> None:
    breaker = Breaker(lease_s=60)
    for _ in range(10):
        call(breaker, True, 0.0)
    breaker.take(2.0)
    assert breaker.room(1, CEILING, 61.0) == 0


events = st.lists(
    st.tuples(st.sampled_from(["take", "succeed", "fail", "cancel"]), st.integers(0, 5), st.floats(0, 40)), max_size=80
)


def play(breaker: Breaker, history: list[tuple[str, int, float]]) -> tuple[float, list[int]]:
    """Run any history that callers could make; when it ended, and the tokens still out."""
    now_s, out = 0.0, []
    for kind, which, pause_s in history:
        now_s += pause_s
        if kind == "take":
            out += [breaker.take(now_s) for _ in range(which) if breaker.room(len(out), 8, now_s) >= 1]
        elif out:
            token = out.pop(which % len(out))
            if kind == "cancel":
                breaker.cancel(token)
            else:
                breaker.settle(token, kind == "fail", now_s, draw)
    return now_s, out


@given(events)
def test_from_any_state_it_closes_again_once_time_passes_and_calls_succeed(
    history: list[tuple[str, int, float]],
) -> None:
    breaker = Breaker()
    now_s, out = play(breaker, history)
    for _ in range(60):
        now_s += 1.0
        if breaker.room(len(out), 8, now_s) >= 1:
            call(breaker, False, now_s)
        elif out:  # calls end sooner or later, well or not
            breaker.cancel(out.pop())
    assert breaker.mode is Mode.CLOSED
    assert breaker.room(0, 8, now_s) == float("inf")


@given(events)
def test_it_never_waits_longer_than_a_lease_or_half_a_minute(history: list[tuple[str, int, float]]) -> None:
    breaker = Breaker()
    now_s, out = play(breaker, history)
    assert 0 <= breaker.opens_in_s(len(out), 8, now_s) <= 30


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=200))
def test_the_window_counts_what_a_list_of_all_calls_would(pauses: list[tuple[float, bool]]) -> None:
    window, now_s, seen = Window(), 0.0, []
    for pause_s, failed in pauses:
        now_s += pause_s
        window.add(failed, now_s)
        seen.append((int(now_s), failed))
        recent = [bad for second, bad in seen if second > int(now_s) - 30]
        assert (window.calls, window.failures) == (len(recent), sum(recent))
