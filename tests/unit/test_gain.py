"""What 429s teach of a quota of which nobody speaks."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.resilience.gain import LEAST_GAIN, REMEMBERED_S, Gain, Lesson


def test_without_a_429_the_whole_limit_is_used():
    assert Gain().at(0.0) == 1.0


def test_a_429_takes_a_third_and_is_forgotten_within_seconds_if_it_was_the_only_one():
    gain = Gain()
    assert gain.cut(100.0)
    assert round(gain.at(100.0), 3) == 0.7
    assert gain.at(106.0) == 1.0


def test_429s_of_the_same_moment_are_one():
    gain = Gain()
    gain.cut(100.0)
    assert not gain.cut(100.5)
    assert round(gain.at(100.5), 2) >= 0.7


def test_a_longer_wait_asked_for_makes_later_ones_the_same_news_for_five_seconds_at_most():
    gain = Gain()
    gain.cut(100.0, retry_after_s=60.0)
    assert not gain.cut(104.9)
    assert gain.cut(105.1)


def smaller_quota(gain, part, seconds):
    """429s whenever more than a part of the limit is used, looked at ten times a second: the gains meanwhile."""
    seen = []
    for tenth in range(seconds * 10):
        now_s = tenth / 10
        seen.append(gain.at(now_s))
        if seen[-1] > part:
            gain.cut(now_s)
    return seen


def test_most_of_a_smaller_quota_is_used_at_the_price_of_few_429s():
    gain = Gain()
    settled = smaller_quota(gain, 0.25, 300)[600:]
    assert sum(min(used, 0.25) for used in settled) / len(settled) > 0.9 * 0.25
    cuts = sum(later < earlier - 0.01 for earlier, later in pairwise(settled))
    assert cuts <= len(settled) / 10 / 6


def test_a_larger_quota_is_found_within_half_a_minute():
    gain = Gain()
    smaller_quota(gain, 0.25, 300)
    assert gain.at(330.0) == 1.0


def test_what_one_worker_learned_others_need_not_pay_for():
    one, other = Gain(), Gain()
    one.cut(100.0)
    other.learn(one.lesson(101.0), 1_001.0)  # clocks of two machines: only the age travels
    assert other.at(1_001.0) == one.at(101.0)
    assert not other.cut(1_000.9)


def test_an_older_lesson_teaches_nothing():
    gain = Gain()
    gain.cut(100.0)
    before = gain.at(103.0)
    gain.learn(Lesson(0.05, 50.0), 103.0)
    assert gain.at(103.0) == before


def test_after_a_minute_there_is_nothing_to_tell():
    gain = Gain()
    gain.cut(100.0)
    assert gain.lesson(100.0 + REMEMBERED_S + 1) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["cut", "learn"]), st.floats(-10, 10))))
def test_whatever_comes_the_gain_stays_a_part_of_the_limit(events):
    gain, now_s = Gain(), 0.0
    for wait_s, kind, value in events:
        now_s += wait_s
        if kind == "cut":
            gain.cut(now_s, value)
        else:
            gain.learn(Lesson(value, abs(value)), now_s)
        assert LEAST_GAIN <= gain.at(now_s) <= 1
