"""The gate shuts once for what many calls found out together, and opens by a probe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.errors import ErrorClass
from stream.core.quotas import Meter
from stream.resilience.gate import Gate, Permit

E = ErrorClass


def draw() -> float:
    return 0.5


def sent(gate: Gate, count: int, now_s: float, model: str = "m") -> list[Permit]:
    permits = [gate.admit(model, now_s) for _ in range(count)]
    admitted = [permit for permit in permits if permit is not None]
    assert len(admitted) == count
    return admitted


def call(gate: Gate, result: E | None, now_s: float, model: str = "m", retry_after_s: float | None = None) -> Permit:
    (permit,) = sent(gate, 1, now_s, model)
    gate.settle(permit, result, now_s, draw, retry_after_s=retry_after_s, detail="because")
    return permit


def answered() -> Gate:
    """A gate that has had its first answer, long ago."""
    gate = Gate("p")
    call(gate, None, -100.0)
    return gate


def test_an_untroubled_gate_is_open_without_limit() -> None:
    view = answered().peek("m", 0.0)
    assert (view.open, view.room, view.cause, view.since_s, view.opens_in_s) == (True, float("inf"), None, None, None)


def test_before_the_first_answer_few_calls_go_and_twice_as_many_every_two_seconds() -> None:
    gate = Gate("p")
    first, *_ = sent(gate, 4, 0.0)
    assert gate.admit("m", 0.0) is None
    view = gate.peek("m", 0.0)
    assert (view.open, view.room, view.opens_in_s) == (True, 0, 0.5)
    sent(gate, 12, 4.0)
    assert gate.peek("m", 4.0).room == 0
    gate.settle(first, E.OVERLOADED, 4.5, draw)
    assert gate.peek("m", 4.5).room == float("inf")


def test_peeking_takes_nothing() -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    assert [gate.peek("m", 60.0).room for _ in range(3)] == [1, 1, 1]


def test_a_refused_key_shuts_the_provider_for_all_models_and_names_the_cause() -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 5.0)
    view = gate.peek("other", 15.0)
    assert (view.open, view.room, view.cause, view.since_s, view.opens_in_s) == (False, 0, "account", 5.0, 50.0)
    assert gate.admit("other", 64.9) is None


def test_five_hundred_refusals_in_flight_shut_it_once() -> None:
    gate = answered()
    for permit in sent(gate, 500, 0.0):
        gate.settle(permit, E.ACCOUNT, 1.0, draw)
    assert gate.peek("m", 1.0).opens_in_s == 60.0
    assert len(gate.take_changes()) == 1


def test_a_refused_key_is_probed_after_60_s_doubling_to_15_minutes() -> None:
    gate, now_s, waits = Gate("p"), 0.0, []
    call(gate, E.ACCOUNT, now_s)
    for _ in range(6):
        wait_s = gate.peek("m", now_s).opens_in_s
        assert wait_s is not None
        waits.append(wait_s)
        now_s += wait_s
        call(gate, E.ACCOUNT, now_s)
    assert waits == [60, 120, 240, 480, 900, 900]


def test_exactly_one_call_probes_a_shut_account_whatever_its_model() -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    sent(gate, 1, 60.0, "a")
    assert gate.admit("a", 60.0) is None
    assert gate.admit("b", 60.0) is None


@pytest.mark.parametrize("answer", [None, E.RATE_LIMITED, E.BAD_REQUEST, E.UNKNOWN_MODEL])
def test_an_answer_that_shows_the_key_accepted_opens_the_account(answer: E | None) -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    call(gate, answer, 60.0, "a")
    assert gate.peek("b", 61.0).cause != "account"


@pytest.mark.parametrize("answer", [E.TRANSIENT, E.OVERLOADED, E.AMBIGUOUS])
def test_a_probe_that_says_nothing_of_the_key_is_followed_by_one_after_the_same_wait(answer: E) -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    call(gate, answer, 60.0)
    assert gate.peek("m", 60.0).opens_in_s == 60.0


def test_a_cancelled_probe_makes_room_for_another_at_once() -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    (probe,) = sent(gate, 1, 60.0)
    gate.cancel(probe, 60.0)
    assert gate.peek("m", 60.0).room == 1


def test_a_cancelled_call_gives_back_what_it_is_known_not_to_have_used() -> None:
    need = {Meter.TOKENS: 600.0}
    for known in ({"sent": False}, {"unbilled": True}, {}):
        gate = Gate("p", {"all": ["*"]}, per_minute={"all": {Meter.TOKENS: 600}})
        permit = gate.admit("m", 100.0, need)
        assert permit is not None
        gate.cancel(permit, 100.0, **known)
        assert (gate.admit("m", 100.0, need) is not None) == bool(known)


def test_a_result_after_a_cancel_changes_nothing() -> None:
    gate = Gate("p")
    (permit,) = sent(gate, 1, 0.0)
    gate.cancel(permit, 0.0)
    gate.settle(permit, E.ACCOUNT, 1.0, draw)
    assert gate.peek("m", 1.0).open


def test_a_late_refusal_of_a_call_sent_before_the_key_was_mended_shuts_nothing() -> None:
    gate = Gate("p")
    late, first = sent(gate, 2, 0.0)
    gate.settle(first, E.ACCOUNT, 0.0, draw)
    call(gate, None, 60.0)
    gate.settle(late, E.ACCOUNT, 61.0, draw)
    assert gate.peek("m", 61.0).open


def test_a_late_success_of_a_call_sent_before_it_shut_opens_nothing() -> None:
    gate = Gate("p")
    late, first = sent(gate, 2, 0.0)
    gate.settle(first, E.ACCOUNT, 0.0, draw)
    gate.settle(late, None, 1.0, draw)
    assert not gate.peek("m", 1.0).open


def test_an_unknown_model_shuts_that_model_only() -> None:
    gate = Gate("p")
    call(gate, E.UNKNOWN_MODEL, 0.0, "typo")
    assert gate.peek("typo", 0.0).cause == "unknown_model"
    assert gate.peek("typo", 0.0).opens_in_s == 60.0
    assert gate.peek("m", 0.0).open


def test_a_429_shuts_its_pool_until_retry_after_and_a_jitter() -> None:
    gate = Gate("p", {"big": ["opus-*"], "rest": ["*"]})
    call(gate, E.RATE_LIMITED, 0.0, "opus-1", retry_after_s=8)
    assert gate.peek("opus-2", 0.0).cause == "rate_limited"
    assert gate.peek("opus-2", 0.0).opens_in_s == 9.5
    assert gate.peek("haiku", 0.0).open


def test_models_in_no_pool_share_the_default_one() -> None:
    gate = Gate("p", {"big": ["opus-*"]})
    call(gate, E.RATE_LIMITED, 0.0, "a", retry_after_s=8)
    assert not gate.peek("b", 0.0).open
    assert gate.peek("opus-1", 0.0).open


def test_without_retry_after_the_wait_grows_with_each_429_in_a_row() -> None:
    gate, now_s, waits = Gate("p"), 0.0, []
    for _ in range(9):
        call(gate, E.RATE_LIMITED, now_s)
        wait_s = gate.peek("m", now_s).opens_in_s
        assert wait_s is not None
        waits.append(wait_s)
        now_s += wait_s
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


def test_a_hundred_429s_of_one_burst_count_as_one() -> None:
    gate = answered()
    for permit in sent(gate, 100, 0.0):
        gate.settle(permit, E.RATE_LIMITED, 0.0, draw)
    assert gate.peek("m", 0.0).opens_in_s == 0.25
    assert len(gate.take_changes()) == 1


def test_the_longest_retry_after_of_a_burst_is_believed() -> None:
    gate = Gate("p")
    first, second = sent(gate, 2, 0.0)
    gate.settle(first, E.RATE_LIMITED, 0.0, draw, retry_after_s=1)
    gate.settle(second, E.RATE_LIMITED, 0.0, draw, retry_after_s=20)
    assert gate.peek("m", 0.0).opens_in_s == 22.5


def test_after_a_429_one_call_goes_first_and_each_success_admits_one_more() -> None:
    gate = Gate("p", ceiling=4)
    call(gate, E.RATE_LIMITED, 0.0, retry_after_s=1)
    rooms = []
    for second in range(2, 7):
        rooms.append(gate.peek("m", second).room)
        call(gate, None, second)
    assert rooms == [1, 2, 3, 4, float("inf")]


def test_successes_of_calls_sent_before_the_429_do_not_widen_the_pool() -> None:
    gate = answered()
    late = sent(gate, 50, 0.0)
    call(gate, E.RATE_LIMITED, 0.0, retry_after_s=1)
    call(gate, None, 2.0)
    for permit in late:
        gate.settle(permit, None, 3.0, draw)
    assert gate.peek("m", 3.0).room == 2


def test_429s_and_bad_requests_do_not_open_the_breaker() -> None:
    gate = answered()
    for permit in sent(gate, 50, 0.0):
        gate.settle(permit, E.BAD_REQUEST, 0.0, draw)
    assert gate.peek("m", 0.0).open


@pytest.mark.parametrize("failure", [E.OVERLOADED, E.TRANSIENT, E.AMBIGUOUS])
def test_a_failing_model_opens_its_breaker_and_no_other(failure: E) -> None:
    gate = answered()
    for permit in sent(gate, 10, 0.0):
        gate.settle(permit, failure, 0.0, draw)
    assert gate.peek("m", 0.0).cause == "breaker"
    assert gate.peek("other", 0.0).open


def test_after_a_429_and_an_outage_the_probe_is_due_when_the_breaker_says_so() -> None:
    gate = Gate("p", deadline_s=60.0)
    call(gate, E.RATE_LIMITED, 0.0, retry_after_s=1.0)
    for number in range(10):
        call(gate, E.OVERLOADED, 2.0 + number / 100)
    view = gate.peek("m", 2.1)
    assert (view.room, view.cause) == (0, "breaker")
    assert view.opens_in_s is not None
    assert view.opens_in_s < 2.0


def test_changes_are_told_once_with_scope_cause_and_what_the_provider_said() -> None:
    gate = Gate("p")
    call(gate, E.ACCOUNT, 0.0)
    (shut,) = gate.take_changes()
    assert (shut.provider, shut.scope, shut.open, shut.cause) == ("p", "account", False, "account")
    assert (shut.detail, shut.opens_in_s, shut.again) == ("because", 60.0, False)
    call(gate, E.ACCOUNT, 60.0)
    assert [(change.open, change.again, change.opens_in_s) for change in gate.take_changes()] == [(False, True, 120.0)]
    call(gate, None, 180.0)
    assert [(change.open, change.opens_in_s) for change in gate.take_changes()] == [(True, None)]
    assert gate.take_changes() == ()


def judged(gate: Gate, suspect_since_s: float | None, now_s: float) -> bool:
    return gate.judge(call(gate, E.TRANSIENT, now_s), suspect_since_s, now_s)


def with_successes(count: int, at_s: float) -> Gate:
    gate = Gate("p")
    for _ in range(count):
        call(gate, None, at_s)
    return gate


def test_a_failure_while_others_get_through_speaks_against_the_request() -> None:
    assert judged(with_successes(5, 0.0), None, 1.0)


def test_a_failure_without_any_success_does_not() -> None:
    assert not judged(Gate("p"), None, 1.0)


def test_a_witness_older_than_the_window_does_not_count() -> None:
    assert not judged(with_successes(5, 0.0), None, 30.5)


def test_each_attempt_needs_a_witness_sent_after_the_last_that_counted() -> None:
    gate = with_successes(5, 0.0)
    assert not judged(gate, 1.0, 2.0)
    call(gate, None, 3.0)
    assert judged(gate, 1.0, 4.0)


def test_a_call_sent_before_an_outage_that_succeeds_into_it_is_no_witness() -> None:
    gate = with_successes(5, 0.0)
    stragglers = sent(gate, 20, 0.5)
    for permit in stragglers:
        gate.settle(permit, None, 2.0, draw)
    assert not judged(gate, 1.0, 2.5)


def test_first_calls_failing_in_between_excuse_a_failure() -> None:
    gate = with_successes(20, 0.0)
    judged(gate, None, 1.0)
    assert not judged(gate, None, 1.1)


def test_a_failed_retry_of_another_request_excuses_nothing() -> None:
    gate = with_successes(20, 0.0)
    judged(gate, 0.0, 1.0)
    assert judged(gate, None, 1.1)


def test_nothing_speaks_against_a_request_while_the_breaker_is_not_closed() -> None:
    gate = with_successes(9, 0.0)
    permits = sent(gate, 10, 1.0)
    for permit in permits:
        gate.settle(permit, E.TRANSIENT, 1.0, draw)
    assert not gate.judge(permits[-1], 0.0, 1.0)


answers = st.sampled_from([None, *E])
events = st.lists(
    st.tuples(
        st.sampled_from(["admit", "settle", "cancel"]),
        st.sampled_from(["a", "b", "c"]),
        answers,
        st.integers(0, 5),
        st.floats(0, 200),
        st.none() | st.floats(0, 900),
    ),
    max_size=60,
)
History = list[tuple[str, str, E | None, int, float, float | None]]


def play(gate: Gate, history: History) -> tuple[float, list[Permit]]:
    now_s, out = 0.0, []
    for kind, model, answer, which, pause_s, retry_after_s in history:
        now_s += pause_s
        if kind == "admit":
            out += [permit for _ in range(which) if (permit := gate.admit(model, now_s)) is not None]
        elif out and kind == "settle":
            gate.settle(out.pop(which % len(out)), answer, now_s, draw, retry_after_s=retry_after_s)
        elif out:
            gate.cancel(out.pop(which % len(out)), now_s)
    return now_s, out


def pooled() -> Gate:
    return Gate("p", {"ab": ["a", "b"]}, deadline_s=60, ceiling=8)


@given(events)
def test_whatever_happened_once_calls_succeed_it_opens_within_16_minutes(history: History) -> None:
    gate = pooled()
    now_s, out = play(gate, history)
    for permit in out:
        gate.settle(permit, None, now_s, draw)
    for _ in range(960):
        now_s += 1.0
        for model in "abc":
            if gate.peek(model, now_s).room >= 1:
                call(gate, None, now_s, model)
    assert all(gate.peek(model, now_s).open and gate.peek(model, now_s).room > 8 for model in "abc")


@given(events)
def test_admitting_agrees_with_peeking(history: History) -> None:
    gate = pooled()
    now_s, _ = play(gate, history)
    for model in "abc":
        view = gate.peek(model, now_s)
        assert (gate.admit(model, now_s) is not None) == (view.room >= 1)


@given(events)
def test_every_wait_is_bounded_and_told_exactly_when_there_is_no_room(history: History) -> None:
    gate = pooled()
    now_s, _ = play(gate, history)
    for model in "abc":
        view = gate.peek(model, now_s)
        assert (view.opens_in_s is None) == (view.room >= 1)
        assert view.opens_in_s is None or 0 <= view.opens_in_s <= 905
        assert (view.cause is None) == view.open == (view.since_s is None)


@given(events, st.sampled_from([E.ACCOUNT, E.RATE_LIMITED]))
def test_a_burst_that_fails_together_shuts_at_most_once(history: History, answer: E) -> None:
    gate = pooled()
    now_s, out = play(gate, history)
    gate.take_changes()
    permits = [permit for _ in range(50) if (permit := gate.admit("a", now_s)) is not None]
    for permit in [*out, *permits]:
        gate.settle(permit, answer, now_s, draw)
    assert sum(1 for change in gate.take_changes() if change.cause == answer.value) <= 2  # two pools
