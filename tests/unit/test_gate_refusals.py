"""A refusal among successes is probed soon, and is told from one that everybody gets."""

from stream.core.errors import ErrorClass
from stream.resilience.gate import REFUSAL_STREAK, Gate, Permit

E = ErrorClass


def draw() -> float:
    return 0.5


def admitted(gate: Gate, now_s: float) -> Permit:
    permit = gate.admit("m", now_s)
    assert permit is not None
    return permit


def call(gate: Gate, result: E | None, now_s: float, *, refused_before: bool = False) -> None:
    gate.settle(admitted(gate, now_s), result, now_s, draw, detail="because", refused_before=refused_before)


def served(count: int = REFUSAL_STREAK, at_s: float = 1.0) -> Gate:
    gate = Gate("p")
    for _ in range(count):
        call(gate, None, at_s)
    return gate


def judged(gate: Gate, refused_s: float | None, now_s: float) -> bool:
    permit = admitted(gate, now_s)
    verdict = gate.judge_refusal(permit, refused_s, now_s)
    gate.cancel(permit, now_s)
    return verdict


def waits(gate: Gate, result: E, now_s: float, count: int) -> list[float | None]:
    found: list[float | None] = []
    for _ in range(count):
        call(gate, result, now_s)
        wait_s = gate.peek("m", now_s).opens_in_s
        found.append(wait_s)
        now_s += wait_s or 0.0
    return found


def test_a_second_refusal_after_others_got_through_is_the_requests_own() -> None:
    assert judged(served(), 0.0, 2.0)


def test_a_first_refusal_never_is() -> None:
    assert not judged(served(), None, 2.0)


def test_nor_is_one_without_a_witness_sent_after_the_last() -> None:
    assert not judged(served(at_s=1.0), 1.0, 2.0)


def test_nor_is_one_after_too_few_successes() -> None:
    assert not judged(served(REFUSAL_STREAK - 1), 0.0, 2.0)


def test_nor_is_one_after_another_requests_first_refusal() -> None:
    gate = served()
    judged(gate, None, 1.5)
    assert not judged(gate, 0.0, 2.0)


def test_nor_is_one_after_a_refused_request_was_served() -> None:
    """Then refusals pass by themselves: whoever is refused now may be served next time."""
    gate = served()
    call(gate, None, 1.5, refused_before=True)
    assert not judged(gate, 0.0, 2.0)


def test_nor_is_one_of_a_call_sent_before_somebody_else_was_refused() -> None:
    gate = served()
    permit = admitted(gate, 2.0)
    call(gate, E.ACCOUNT, 2.1)
    assert not gate.judge_refusal(permit, 0.0, 2.2)
    call(gate, None, 3.1)
    assert not gate.judge_refusal(permit, 0.0, 3.2)


def test_nor_is_a_probes() -> None:
    gate = served()
    call(gate, E.ACCOUNT, 2.0)
    assert not judged(gate, 0.0, 3.0)


def test_nor_is_one_while_the_breaker_is_open() -> None:
    gate = served()
    permits = [admitted(gate, 2.0) for _ in range(50)]
    for permit in permits[:-1]:
        gate.settle(permit, E.TRANSIENT, 2.1, draw)
    assert not gate.judge_refusal(permits[-1], 0.0, 2.2)


def test_refusals_soon_after_a_success_are_probed_soon_at_first() -> None:
    assert waits(served(at_s=1.0), E.ACCOUNT, 2.0, 9) == [1, 2, 4, 8, 16, 60, 120, 240, 480]
    assert waits(served(at_s=1.0), E.UNKNOWN_MODEL, 2.0, 7) == [1, 2, 4, 8, 16, 60, 120]


def test_a_success_lets_the_next_shutting_begin_anew() -> None:
    gate = served()
    waits(gate, E.ACCOUNT, 2.0, 3)
    call(gate, None, 9.0)
    assert waits(gate, E.ACCOUNT, 9.5, 1) == [1]


def test_a_breaker_that_opens_before_any_answer_hints_at_the_address() -> None:
    gate = Gate("p")
    for _ in range(10):
        call(gate, E.TRANSIENT, 0.0)
    (change,) = gate.take_changes()
    assert change.detail == "because; no call was answered since the start: check base_url"


def test_a_breaker_that_opens_after_an_answer_does_not() -> None:
    gate = served(1)
    for _ in range(9):
        call(gate, E.TRANSIENT, 1.0)
    (change,) = gate.take_changes()
    assert change.detail == "because"
