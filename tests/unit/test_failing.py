"""A request that fails again and again is named, while it is tried on, and forgotten once it has ended."""

from stream.core.errors import ErrorClass, ProviderError
from stream.telemetry.failing import TOLD_FROM_CALLS, Failing, Noticed
from stream.telemetry.watch import Watch
from tests.support.faulty_provider import FaultyProvider, model_call, refusal
from tests.support.telemetry_parts import completed, dead_lettered, record
from tests.support.virtual_time import run_virtual


class Told(Watch):
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, int, str]] = []

    def tried_on(self, request_id: str, provider: str, model: str, calls: int, detail: str) -> None:
        self.calls.append((request_id, provider, model, calls, detail))


def told_of(failure: ErrorClass | ProviderError | None, tries: int, *, refused_alone: bool = False) -> Told:
    told = Told()

    async def main() -> None:
        noticed = Noticed(FaultyProvider(lambda *_: failure), "main", told)
        call = model_call("r-1")
        call.tally.refused_alone = refused_alone
        for _ in range(tries):
            try:
                await noticed.complete(call)
            except ProviderError:
                continue

    run_virtual(main())
    return told


def test_a_request_is_told_of_from_its_fourth_failed_call_on() -> None:
    told = told_of(ErrorClass.TRANSIENT, TOLD_FROM_CALLS + 1)
    said = "the provider said transient"
    assert told.calls == [("r-1", "main", "m", TOLD_FROM_CALLS + n, said) for n in (0, 1)]


def test_what_everybody_is_told_names_no_request() -> None:
    assert not told_of(ErrorClass.RATE_LIMITED, 9).calls
    assert not told_of(ErrorClass.ACCOUNT, 9).calls
    assert not told_of(None, 9).calls


def test_a_refusal_that_may_be_its_own_names_it() -> None:
    assert told_of(refusal(403, None, "blocked by a rule"), TOLD_FROM_CALLS).calls


def test_a_refusal_that_never_is_its_own_names_one_that_alone_is_told_it() -> None:
    no_credit = refusal(403, None, "Your credit balance is too low.")
    assert not told_of(no_credit, 9).calls
    assert told_of(no_credit, 9, refused_alone=True).calls


def failing(now_s: list[float], *names: str) -> Failing:
    remembered = Failing(lambda: now_s[0])
    for calls, name in enumerate(names, start=4):
        remembered.tried_on(name, "main", "m", calls, "500 for key sk-ant-api03-" + "abcdefgh" * 5 + "")
    return remembered


def test_those_called_most_often_come_first_until_they_end() -> None:
    remembered = failing([10.0], "a", "b", "c")
    assert [(each["request_id"], each["calls"]) for each in remembered.now()] == [("c", 6), ("b", 5), ("a", 4)]
    remembered.finished(record(), completed("b"))
    remembered.finished(record(), dead_lettered("c"))
    assert [each["request_id"] for each in remembered.now()] == ["a"]


def test_a_detail_holds_no_key() -> None:
    assert "abcdefgh" not in failing([10.0], "a").now()[0]["detail"]


def test_one_not_heard_of_for_twenty_minutes_is_anothers_by_now() -> None:
    now_s = [10.0]
    remembered = failing(now_s, "a")
    now_s[0] += 1_199
    assert remembered.now()[0]["failed_s_ago"] == 1_199
    now_s[0] += 2
    assert remembered.now() == []


def test_of_very_many_the_latest_are_remembered_and_ten_are_shown() -> None:
    remembered = failing([10.0], *(f"r{n}" for n in range(5_000)))
    shown = [each["request_id"] for each in remembered.now()]
    assert shown == [f"r{n}" for n in range(4_999, 4_989, -1)]
    assert len(remembered._requests) <= 256
