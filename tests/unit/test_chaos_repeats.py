"""The accounts of calls made twice explain what a crash explains, and go red for everything else."""

from tests.chaos.repeats import Incident, Repeats, repeats
from tests.support.fleet import Call

KILLED = Incident("first", 10.0, 10.0, kill=True)
KILLED_LATER = Incident("first", 16.0, 16.0, kill=True)
STOPPED = Incident("first", 10.0, 20.0, kill=False)


def call(who: str, at_s: float, request: str = "r", status: int | None = 200, fault: str | None = None) -> Call:
    return Call(at_s, who, request, status, fault)


def judged(*calls: Call, incidents: tuple[Incident, ...] = (), visible_s: float = 15.0) -> Repeats:
    return repeats(calls, incidents, {"r": visible_s}, max_in_flight=2)


def test_one_incarnation_may_call_as_often_as_it_likes() -> None:
    assert judged(call("first", 1), call("first", 2)) == Repeats()


def test_a_call_in_the_air_at_a_kill_is_explained() -> None:
    report = judged(call("first", 9.9, status=None), call("second", 14), incidents=(KILLED,))
    assert report == Repeats(after_kills=1, in_flight=1)


def test_an_outcome_that_was_not_visible_at_a_kill_is_explained() -> None:
    report = judged(call("first", 9.5), call("second", 14), incidents=(KILLED,))
    assert report == Repeats(after_kills=1, uncommitted=1)


def test_a_request_run_again_although_nothing_happened_is_a_fault() -> None:
    report = judged(call("first", 9.5), call("second", 14))
    assert report.faults == ["first threw away what it had called for, and nothing had happened to it: r"]


def test_a_request_run_again_although_its_outcome_was_visible_is_a_fault() -> None:
    report = judged(call("first", 9), call("second", 14), incidents=(KILLED,), visible_s=9.5)
    assert report.faults == ["second threw away what it had called for, and nothing had happened to it: r"]


def test_a_zombie_that_calls_after_it_woke_is_explained() -> None:
    report = judged(call("second", 14), call("first", 19), incidents=(STOPPED,), visible_s=15.0)
    assert report == Repeats(otherwise=1)


def test_a_zombie_that_still_calls_long_after_it_woke_is_a_fault() -> None:
    assert judged(call("second", 14), call("first", 21), incidents=(STOPPED,), visible_s=15.0).faults


def test_a_call_whose_answer_was_a_failure_was_nobodys_outcome() -> None:
    for wrong in (call("first", 9, status=529), call("first", 9, fault="cut"), call("first", 9, fault="truncate")):
        assert judged(wrong, call("second", 14)) == Repeats()


def test_more_calls_in_the_air_than_allowed_is_a_fault() -> None:
    flying = [call("first", 9.9, request, status=None) for request in ("r", "s", "t")]
    assert judged(*flying, incidents=(KILLED,)).faults == ["first had 3 calls in the air, more than 2"]


def test_an_outcome_that_waits_for_its_commit_for_seconds_is_a_fault() -> None:
    report = judged(call("first", 5), call("second", 17), incidents=(KILLED_LATER,), visible_s=18)
    assert report.faults == ["first had called for r 11.0 s before it was killed; no outcome was visible"]


def test_an_outcome_may_wait_for_as_long_as_the_broker_is_away() -> None:
    away = Incident("first", 6.0, 9.0, kill=False)
    assert not judged(call("first", 5), call("second", 17), incidents=(KILLED_LATER, away), visible_s=18).faults
