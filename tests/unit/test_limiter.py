"""The limiter of a pool: how fast calls may go, by what the provider says and by what 429s teach."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.quotas import Meter, Quota
from stream.resilience.limiter import BURST_S, Limiter

M = Meter
CALL = {M.REQUESTS: 1.0, M.INPUT: 1_400.0, M.OUTPUT: 200.0}


def requests(remaining, limit=600):
    """A provider's word on a quota of requests per minute."""
    return {M.REQUESTS: Quota(limit, remaining, limit / 60)}


def let_go(limiter, from_s, to_s, need=CALL):
    """When calls go if as many as may are sent."""
    now_s, gone = from_s, []
    while now_s < to_s:
        wait_s = limiter.wait_s(need, now_s)
        if wait_s > 0:
            now_s += wait_s
        else:
            limiter.reserve(need, now_s)
            gone.append(now_s)
    return gone


def test_without_a_known_quota_nothing_is_limited():
    limiter = Limiter()
    assert limiter.wait_s(CALL, 0.0) == 0
    assert limiter.room(CALL, 0.0) == float("inf")
    assert not limiter.limits


def test_calls_go_at_the_rate_of_the_settings():
    assert len(let_go(Limiter({M.REQUESTS: 600}), 0.0, 60.0)) == pytest.approx(600, abs=1)


def test_the_meter_that_is_used_up_first_sets_the_pace():
    limiter = Limiter({M.REQUESTS: 600, M.INPUT: 84_000, M.OUTPUT: 1e6})
    assert len(let_go(limiter, 0.0, 60.0)) == pytest.approx(60, abs=1)


@pytest.mark.parametrize(("said", "rate"), [(600, 10), (6_000, 20)])
def test_of_settings_and_headers_the_lower_limit_counts(said, rate):
    limiter = Limiter({M.REQUESTS: 1_200})
    limiter.hear(requests(said, said), 0.0, 0.0)
    assert limiter.rate(M.REQUESTS, 0.0) == rate


def test_a_worker_takes_its_share_only():
    limiter = Limiter({M.REQUESTS: 600})
    limiter.set_share(0.25, 0.0)
    assert len(let_go(limiter, 0.0, 60.0)) == pytest.approx(150, abs=1)


def test_as_long_as_three_seconds_worth_are_left_the_whole_rate_is_used():
    limiter = Limiter()
    limiter.hear(requests(600), 0.0, 0.0)
    for left in (600, 300, 30):
        limiter.hear(requests(left), 1.0, 1.0)
        assert limiter.rate(M.REQUESTS, 1.0) == 10


def test_the_emptier_the_quota_the_slower_calls_go_but_they_never_stop():
    limiter = Limiter()
    limiter.hear(requests(600), 0.0, 0.0)
    rates = []
    for left in (30, 15, 7.5, 0):
        limiter.hear(requests(left), 1.0, 1.0)
        rates.append(limiter.rate(M.REQUESTS, 1.0))
    assert rates == [10, 5, 2.5, 0.5]


def test_a_quota_that_is_enforced_by_the_second_is_used_though_little_is_ever_left():
    limiter = Limiter()
    limiter.hear(requests(10), 0.0, 0.0)
    assert limiter.rate(M.REQUESTS, 0.0) == 10
    limiter.hear(requests(5), 1.0, 1.0)
    assert limiter.rate(M.REQUESTS, 1.0) == 10


def test_what_is_left_of_a_day_may_go_within_a_minute():
    limiter = Limiter()
    limiter.hear({M.REQUESTS: Quota(200, 120, 200 / 86_400)}, 0.0, 0.0)
    assert limiter.rate(M.REQUESTS, 0.0) == 2


def test_a_quota_that_was_used_up_and_of_which_nothing_is_heard_is_tried_when_some_may_be_back():
    limiter = Limiter()
    limiter.hear(requests(0, limit=5), 0.0, 0.0)
    gone = let_go(limiter, 0.0, 60.0, {M.REQUESTS: 1.0})
    assert 4 < gone[0] < 20
    assert len(gone) <= 5


def test_older_news_of_a_quota_changes_nothing():
    limiter = Limiter()
    limiter.hear(requests(600), 10.0, 10.0)
    limiter.hear(requests(0), 9.0, 11.0)
    assert limiter.rate(M.REQUESTS, 11.0) == 10


def test_a_call_larger_than_what_comes_in_a_second_goes_and_the_next_waits_for_what_it_took():
    limiter = Limiter({M.INPUT: 6_000})
    large = {M.INPUT: 1_000.0}
    gone = let_go(limiter, 10.0, 100.0, large)
    assert [round(at_s) for at_s in gone[:4]] == [10, 11, 21, 31]


def test_a_large_call_goes_at_once_if_so_much_is_left_and_waits_if_it_is_not():
    large = {M.TOKENS: 20_000.0}
    ample, used_up = Limiter(), Limiter()
    for limiter, left in ((ample, 30_000), (used_up, 100)):
        limiter.hear({M.TOKENS: Quota(30_000, left, 500)}, 0.0, 0.0)
        limiter.wait_s({M.TOKENS: 100.0}, 1.0)
    assert let_go(ample, 1.0, 200.0, large)[0] < 2
    assert let_go(ample, 200.0, 300.0, large)[0] > 200
    assert let_go(used_up, 1.0, 200.0, large)[0] > 30


def test_a_call_larger_than_the_whole_quota_holds_up_others_no_longer_than_the_quota_takes_to_fill():
    limiter = Limiter()
    limiter.hear({M.TOKENS: Quota(30_000, 30_000, 500)}, 0.0, 0.0)
    assert let_go(limiter, 1.0, 50.0, {M.TOKENS: 1e9}) == [1.0]
    limiter.hear({M.TOKENS: Quota(30_000, 30_000, 500)}, 50.0, 50.0)  # it was refused, and took nothing
    assert let_go(limiter, 50.0, 70.0, {M.TOKENS: 100.0})[0] < 62


def test_what_a_call_did_not_use_is_given_back_and_what_it_used_beyond_is_taken():
    limiter = Limiter({M.OUTPUT: 60_000})
    limiter.wait_s(CALL, 10.0)
    less, more = limiter.reserve(CALL, 10.0), limiter.reserve(CALL, 10.0)
    assert limiter.room(CALL, 10.0) == 3
    limiter.settle(less, {M.OUTPUT: 0}, 10.0)
    assert limiter.room(CALL, 10.0) == 4
    limiter.settle(more, {M.OUTPUT: 1_000}, 10.0)
    assert limiter.room(CALL, 10.0) == 0


def test_a_refused_call_used_no_tokens_but_was_a_request():
    limiter = Limiter({M.REQUESTS: 600, M.INPUT: 60_000 * 1.4})
    limiter.wait_s(CALL, 10.0)
    before = limiter.room({M.INPUT: 1}, 10.0), limiter.room({M.REQUESTS: 1}, 10.0)
    limiter.refund(limiter.reserve(CALL, 10.0), 10.0)
    assert (limiter.room({M.INPUT: 1}, 10.0), limiter.room({M.REQUESTS: 1}, 10.0)) == (before[0], before[1] - 1)


def test_a_reservation_ends_once():
    limiter = Limiter({M.OUTPUT: 60_000})
    limiter.wait_s(CALL, 10.0)
    reserved = limiter.reserve(CALL, 10.0)
    limiter.reserve(CALL, 10.0)
    for _ in range(3):
        limiter.refund(reserved, 10.0)
        limiter.settle(reserved, {M.OUTPUT: 0}, 10.0)
    assert limiter.room(CALL, 10.0) == 4


def test_a_reservation_from_before_a_quota_was_known_takes_nothing_of_it():
    limiter = Limiter()
    reserved = limiter.reserve(CALL, 0.0)
    limiter.hear(requests(600), 1.0, 1.0)
    before = limiter.room(CALL, 1.0)
    limiter.refund(reserved, 1.0)
    assert limiter.room(CALL, 1.0) == before


def test_after_a_429_nothing_was_saved_up_when_calls_may_go_again():
    limiter = Limiter({M.REQUESTS: 600})
    limiter.wait_s(CALL, 10.0)
    assert limiter.told_to_wait(10.0, 30.0, opens_s=40.0)
    gone = let_go(limiter, 10.0, 41.0)
    assert gone[0] > 40
    assert len(gone) <= 10


def test_a_429_slows_calls_down_where_headers_say_nothing():
    limiter = Limiter({M.REQUESTS: 600})
    limiter.told_to_wait(10.0, None, opens_s=10.0)
    assert limiter.rate(M.REQUESTS, 10.0) == pytest.approx(7)


def test_workers_that_share_a_cut_quota_come_to_rest_at_what_is_left_of_it():
    """Others take three quarters of it: what headers say is all there is to know that by."""
    rand = Random(1)
    limiters = [Limiter() for _ in range(8)]
    left, sent, refused = 600.0, 0, 0
    for limiter in limiters:
        limiter.hear(requests(600), 0.0, 0.0)
        limiter.set_share(1 / 8, 0.0)
    for tick in range(40_000):
        now_s = tick / 100
        left = min(600.0, left + 10 * 0.25 / 100)
        for limiter in rand.sample(limiters, 8):
            if limiter.wait_s({M.REQUESTS: 1}, now_s) == 0:
                limiter.reserve({M.REQUESTS: 1}, now_s)
                sent += now_s > 300
                refused += left < 1
                left -= left >= 1
                limiter.hear(requests(left), now_s, now_s)
    assert refused == 0
    assert sent / 100 == pytest.approx(2.5, rel=0.03)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.sampled_from(["send", "send", "send", "hear", "share", "wait", "settle", "refund"]),
        st.floats(0, 1),
    ),
    max_size=200,
)


class Trial:
    """A limiter to which things happen, and when it let calls go."""

    def __init__(self):
        self.limiter, self.now_s, self.gone, self.reserved = Limiter({M.REQUESTS: 600}), 0.0, [], []

    def send(self, _value):
        for _ in range(50):
            if self.limiter.wait_s(CALL, self.now_s) == 0:
                self.reserved.append(self.limiter.reserve(CALL, self.now_s))
                self.gone.append(self.now_s)

    def hear(self, value):
        self.limiter.hear(requests(600 * value), self.now_s, self.now_s)

    def share(self, value):
        self.limiter.set_share(value, self.now_s)

    def wait(self, value):
        self.limiter.told_to_wait(self.now_s, value * 10, self.now_s + value * 10)

    def settle(self, value):
        if self.reserved:
            self.limiter.settle(self.reserved.pop(), {M.OUTPUT: 1e4 * value}, self.now_s)

    def refund(self, _value):
        if self.reserved:
            self.limiter.refund(self.reserved.pop(), self.now_s)


@given(EVENTS)
def test_no_window_lets_more_calls_go_than_its_rate_and_a_burst(events):
    trial = Trial()
    for wait_s, kind, value in events:
        trial.now_s += wait_s
        getattr(trial, kind)(value)
    for first, from_s in enumerate(trial.gone):
        for more, to_s in enumerate(trial.gone[first:], 1):
            assert more <= 10 * (to_s - from_s) + 10 * BURST_S + 1 + 1e-6


def test_a_person_sees_limit_what_is_left_and_the_present_pace():
    limiter = Limiter({M.REQUESTS: 1_200, M.OUTPUT: 6_000})
    limiter.hear(requests(600), 0.0, 0.0)
    limiter.hear(requests(15), 1.0, 1.0)
    assert [
        (view.meter, view.limit_per_minute, view.remaining, view.permitted_per_minute) for view in limiter.look(1.0)
    ] == [
        (M.REQUESTS, 600, 15, 300),
        (M.OUTPUT, 6_000, None, 6_000),
    ]
