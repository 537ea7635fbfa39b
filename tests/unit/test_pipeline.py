"""A record's way to its outcome: a step that fails makes a dead letter that says where and what; nothing escapes."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from stream.core.errors import (
    AttemptsExhausted,
    DecodeError,
    ErrorClass,
    OutputError,
    ProviderError,
    RenderError,
    RouteError,
    Violation,
)
from stream.core.outcomes import Completed, DeadLettered, Outcome
from stream.core.pipeline import MAX_DETAIL_CHARS, Pipeline, Prepared
from stream.core.records import Completion, ModelCall, Record, Request, Stop, Usage
from tests.support.outcome_builders import COMPLETION, PROMPT, Version, record, request

NOW_MS = 1_000_000


class Clock:
    """Shows what it is set to."""

    shown_ms = NOW_MS

    def now_ms(self) -> int:
        return self.shown_ms

    def monotonic_s(self) -> float:
        return self.shown_ms / 1000


class Steps:
    """The steps around a pipeline, each of which a test may replace."""

    def __init__(self) -> None:
        self.request: Request | Exception = request()
        self.version: Version | Exception = Version()
        self.replies: list[Completion | Exception] = [COMPLETION]
        self.judge: Callable[[str], Mapping[str, Any]] = lambda reply: {"answer": reply}
        self.calls: list[ModelCall] = []
        self.clock = Clock()
        self.pipeline = Pipeline(self._decode, self, {"main": self}, self._validate, self.clock)

    def _decode(self, _: Record) -> Request:
        if isinstance(self.request, Exception):
            raise self.request
        return self.request

    def version_for(self, _: Request) -> Any:
        if isinstance(self.version, Exception):
            raise self.version
        return self.version

    async def complete(self, call: ModelCall) -> Completion:
        self.calls.append(call)
        call.tally.calls += 1
        call.tally.bill(Usage(10, 5), 7)
        reply = self.replies[min(len(self.calls), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        call.tally.attempts += 1
        return reply

    async def aclose(self) -> None: ...

    def _validate(self, version: Any, reply: str, request: Request) -> Mapping[str, Any]:
        return self.judge(reply)

    def prepare(self) -> Prepared | DeadLettered:
        return self.pipeline.prepare(record())

    async def process(self) -> Outcome:
        prepared = self.prepare()
        assert isinstance(prepared, Prepared)
        return await self.pipeline.process(prepared)

    async def failure(self) -> tuple[str, str]:
        outcome = await self.process()
        assert isinstance(outcome, DeadLettered)
        return outcome.failure.stage, outcome.failure.code


@pytest.fixture
def steps() -> Steps:
    return Steps()


def reply(stop: Stop, reason: str | None = "why") -> Completion:
    return Completion("text", stop, reason, "model-1", Usage(10, 5), 3)


async def test_a_reply_that_passes_everything_is_completed_with_what_it_cost(steps: Steps) -> None:
    outcome = await steps.process()
    assert isinstance(outcome, Completed)
    assert outcome.output == {"answer": COMPLETION.text}
    assert (outcome.cost.calls, outcome.cost.attempts, outcome.cost.micro_usd) == (1, 1, 7)
    assert (outcome.request, outcome.prompt, outcome.completion) == (request(), PROMPT, COMPLETION)


async def test_a_call_carries_what_the_prompt_version_says(steps: Steps) -> None:
    await steps.process()
    (call,) = steps.calls
    assert (call.model, call.prompt, call.max_output_tokens, call.structured) == ("model-1", PROMPT, 50, "json_schema")
    assert (call.schema_name, call.request_id) == ("answer", "r1")


def test_what_cannot_be_decoded_is_dead_before_anything_is_paid(steps: Steps) -> None:
    steps.request = DecodeError("not_json", "that is no JSON")
    outcome = steps.prepare()
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code, outcome.failure.detail) == (
        "decode",
        "not_json",
        "that is no JSON",
    )
    assert outcome.request is None


def test_an_unknown_task_is_dead_and_names_its_request(steps: Steps) -> None:
    steps.version = RouteError("unknown_task", "no such task")
    outcome = steps.prepare()
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code, outcome.request) == ("route", "unknown_task", request())


@pytest.mark.parametrize(("expires_at_ms", "dead"), [(NOW_MS, True), (NOW_MS + 1, False), (None, False)])
def test_an_expired_request_is_not_paid_for(steps: Steps, expires_at_ms: int | None, dead: bool) -> None:
    steps.request = request(expires_at_ms=expires_at_ms)
    outcome = steps.prepare()
    assert isinstance(outcome, DeadLettered) is dead
    if isinstance(outcome, DeadLettered):
        assert (outcome.failure.stage, outcome.failure.code) == ("route", "expired")


async def test_a_request_that_expires_while_it_waits_is_not_paid_for_either(steps: Steps) -> None:
    steps.request = request(expires_at_ms=NOW_MS + 5)
    prepared = steps.prepare()
    assert isinstance(prepared, Prepared)
    steps.clock.shown_ms += 5
    outcome = await steps.pipeline.process(prepared)
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code) == ("route", "expired")
    assert steps.calls == []


async def test_what_cannot_be_rendered_is_dead_without_a_call(steps: Steps) -> None:
    steps.version = Version(rendering=RenderError("invalid_input", "no text"))
    assert await steps.failure() == ("render", "invalid_input")
    assert steps.calls == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderError(ErrorClass.BAD_REQUEST, "too long"), "bad_request"),
        (AttemptsExhausted(ErrorClass.TRANSIENT, "failed 4 times"), "attempts_exhausted"),
        (AttemptsExhausted(ErrorClass.BAD_REQUEST, "failed 4 times"), "attempts_exhausted"),
    ],
)
async def test_a_failure_of_the_request_itself_is_dead_and_says_what_it_cost(
    steps: Steps, error: ProviderError, code: str
) -> None:
    steps.replies = [error]
    outcome = await steps.process()
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code, outcome.failure.detail) == ("call", code, error.detail)
    assert (outcome.failure.cost.calls, outcome.prompt) == (1, PROMPT)


@pytest.mark.parametrize("error_class", [each for each in ErrorClass if each is not ErrorClass.BAD_REQUEST])
async def test_a_providers_own_trouble_never_becomes_a_dead_letter(steps: Steps, error_class: ErrorClass) -> None:
    steps.replies = [ProviderError(error_class, "not now")]
    with pytest.raises(ProviderError):
        await steps.process()


@pytest.mark.parametrize(
    ("stop", "stage", "code"),
    [
        (Stop.TRUNCATED, "call", "truncated"),
        (Stop.REFUSED, "call", "refused"),
        (Stop.UNKNOWN, "validate", "unknown_stop_reason"),
    ],
)
async def test_a_reply_that_did_not_end_well_is_dead_even_if_it_would_pass(
    steps: Steps, stop: Stop, stage: str, code: str
) -> None:
    steps.replies = [reply(stop)]
    outcome = await steps.process()
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code) == (stage, code)
    assert outcome.completion == reply(stop)
    assert "'why'" in outcome.failure.detail


async def test_a_truncated_reply_is_asked_for_once_more_with_more_room_where_the_task_allows(steps: Steps) -> None:
    steps.version = Version(truncation_retry_tokens=400)
    steps.replies = [reply(Stop.TRUNCATED), COMPLETION]
    outcome = await steps.process()
    assert isinstance(outcome, Completed)
    assert [call.max_output_tokens for call in steps.calls] == [50, 400]
    assert outcome.cost.calls == 2


async def test_a_truncated_reply_is_kept_when_the_larger_call_fails(steps: Steps) -> None:
    """It was paid for, and may be all that there ever is."""
    steps.version = Version(truncation_retry_tokens=400)
    steps.replies = [reply(Stop.TRUNCATED), AttemptsExhausted(ErrorClass.TRANSIENT, "failed 4 times")]
    outcome = await steps.process()
    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.code == "attempts_exhausted"
    assert outcome.completion == reply(Stop.TRUNCATED)


async def test_a_second_truncation_is_the_end(steps: Steps) -> None:
    steps.version = Version(truncation_retry_tokens=400)
    steps.replies = [reply(Stop.TRUNCATED)]
    assert await steps.failure() == ("call", "truncated")
    assert len(steps.calls) == 2


async def test_a_reply_that_fails_a_check_is_dead_with_its_violations_and_what_was_paid_for(steps: Steps) -> None:
    violation = Violation("$.answer", "placeholder", "N/A", "means nothing")

    def refuse(_: str) -> Mapping[str, Any]:
        raise OutputError("placeholder", "a placeholder", (violation,))

    steps.judge = refuse
    outcome = await steps.process()
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code) == ("validate", "placeholder")
    assert outcome.failure.violations == (violation,)
    assert (outcome.completion, outcome.failure.cost.micro_usd) == (COMPLETION, 7)


@pytest.mark.parametrize("step", ["decode", "route", "render", "call", "validate"])
async def test_an_exception_nobody_foresaw_is_dead_at_its_step_and_tells_no_event_data(steps: Steps, step: str) -> None:
    surprise = ZeroDivisionError("customer data")

    def fail(_: str) -> Mapping[str, Any]:
        raise surprise

    match step:
        case "decode":
            steps.request = surprise
        case "route":
            steps.version = surprise
        case "render":
            steps.version = Version(rendering=surprise)
        case "call":
            steps.replies = [surprise]
        case _:
            steps.judge = fail
    prepared = steps.prepare()
    outcome = prepared if isinstance(prepared, DeadLettered) else await steps.pipeline.process(prepared)
    assert isinstance(outcome, DeadLettered)
    assert (outcome.failure.stage, outcome.failure.code) == (step, "internal_error")
    assert "ZeroDivisionError" in outcome.failure.detail
    assert "customer data" not in outcome.failure.detail


async def test_details_are_bounded(steps: Steps) -> None:
    steps.replies = [ProviderError(ErrorClass.BAD_REQUEST, "x" * 10_000)]
    outcome = await steps.process()
    assert isinstance(outcome, DeadLettered)
    assert len(outcome.failure.detail) == MAX_DETAIL_CHARS
