"""Each class of failure is tried again as often as it should be."""

import asyncio

import pytest

from stream.core.errors import AttemptsExhausted, ErrorClass, ProviderError
from stream.core.records import Completion, ModelCall, Stop
from stream.providers.retrying import Retrying, RetryPolicy
from tests.support.faulty_provider import SemaphoreSlot, model_call

E = ErrorClass
Failure = ProviderError | ErrorClass


class Script:
    """Fails as told, then completes."""

    def __init__(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self.closed = 0

    async def complete(self, call: ModelCall) -> Completion:
        call.tally.calls += 1
        if self.failures:
            failure = self.failures.pop(0)
            raise failure if isinstance(failure, ProviderError) else ProviderError(failure, f"said {failure}")
        return Completion("{}", Stop.REFUSED, "refusal", call.model, None, 1)

    async def aclose(self) -> None:
        self.closed += 1


class Sleeps(list[float]):
    """Takes no time, and remembers how long it should have taken."""

    async def __call__(self, delay_s: float) -> None:
        self.append(delay_s)


class Run:
    """One request through `Retrying`: its call, its sleeps, and how it ended."""

    def __init__(self, *failures: Failure, policy: RetryPolicy | None = None) -> None:
        self.call = model_call("r")
        self.sleeps = Sleeps()
        self.retrying = Retrying(Script(*failures), policy or RetryPolicy(), lambda: 0.5, self.sleeps)

    async def end(self) -> Completion | ProviderError:
        try:
            return await self.retrying.complete(self.call)
        except ProviderError as error:
            return error

    @property
    def account(self) -> tuple[int, int]:
        return self.call.tally.attempts, self.call.tally.calls


def uncounted(error_class: E) -> ProviderError:
    return ProviderError(error_class, "not its fault", counted=False)


async def test_a_request_that_succeeds_at_once_has_one_attempt() -> None:
    run = Run()
    assert isinstance(await run.end(), Completion)
    assert run.account == (1, 1)
    assert run.sleeps == []


async def test_a_refusal_is_a_completion_and_passes_through() -> None:
    end = await Run().end()
    assert isinstance(end, Completion)
    assert end.stop is Stop.REFUSED


@pytest.mark.parametrize("patiently", [E.ACCOUNT, E.UNKNOWN_MODEL, E.RATE_LIMITED])
async def test_what_the_gate_waits_for_consumes_no_attempt_and_no_sleep(patiently: E) -> None:
    run = Run(*[patiently] * 50)
    await run.end()
    assert run.account == (1, 51)
    assert run.sleeps == []


def refused_alone(error_class: E, *, counted: bool = True, final: bool = False) -> ProviderError:
    return ProviderError(error_class, "blocked by a rule", counted=counted, may_be_own=True, final=final)


@pytest.mark.parametrize("error_class", [E.ACCOUNT, E.UNKNOWN_MODEL, E.RATE_LIMITED])
async def test_refusals_that_count_end_a_request_at_the_fourth_with_the_providers_words(error_class: E) -> None:
    run = Run(*[refused_alone(error_class)] * 4)
    end = await run.end()
    assert isinstance(end, AttemptsExhausted)
    assert end.detail.endswith("last: blocked by a rule")
    assert run.account == (4, 4)


async def test_refusals_that_do_not_count_go_on_for_ever() -> None:
    run = Run(*[refused_alone(E.ACCOUNT, counted=False)] * 50)
    assert isinstance(await run.end(), Completion)
    assert run.account == (1, 51)


async def test_a_refusal_is_no_last_straw_to_other_attempts_nor_final() -> None:
    """An account's refusal needs its own four witnesses, whatever else failed, and whatever the provider advises."""
    run = Run(*[E.TRANSIENT] * 3, *[refused_alone(E.ACCOUNT, final=True)] * 3)
    assert isinstance(await run.end(), Completion)
    assert run.account == (7, 7)


async def test_a_request_that_is_refused_alone_backs_off_as_no_gate_makes_it_wait() -> None:
    run = Run(*[refused_alone(E.ACCOUNT)] * 3)
    run.call.tally.refused_alone = True
    await run.end()
    assert run.sleeps == [0.75, 1.5, 3]


async def test_a_request_refused_alone_waits_as_long_as_the_provider_asked() -> None:
    asked = refused_alone(E.RATE_LIMITED)
    asked.retry_after_s = 60.0
    run = Run(asked)
    run.call.tally.refused_alone = True
    await run.end()
    assert run.sleeps[0] >= 60


async def test_an_overload_consumes_no_attempt_and_backs_off() -> None:
    run = Run(*[E.OVERLOADED] * 8)
    await run.end()
    assert run.account == (1, 9)
    assert run.sleeps == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


async def test_three_transient_failures_are_forgiven() -> None:
    run = Run(*[E.TRANSIENT] * 3)
    assert isinstance(await run.end(), Completion)
    assert run.account == (4, 4)


async def test_the_fourth_transient_failure_is_the_last() -> None:
    run = Run(*[E.TRANSIENT] * 4)
    end = await run.end()
    assert isinstance(end, AttemptsExhausted)
    assert run.account == (4, 4)
    assert end.detail == "failed 4 times (0 without an answer); last: said transient"
    assert isinstance(end.__cause__, ProviderError)


async def test_a_failure_the_provider_calls_final_is_the_last_once_it_counts() -> None:
    run = Run(ProviderError(E.TRANSIENT, "no", final=True))
    assert isinstance(await run.end(), AttemptsExhausted)
    assert run.account == (1, 1)


async def test_a_final_failure_that_does_not_count_pauses_like_any_other() -> None:
    """While it fails for everybody, a provider's "don't retry" says nothing about this request."""
    run = Run(*[ProviderError(E.TRANSIENT, "no", final=True, counted=False)] * 5)
    assert isinstance(await run.end(), Completion)
    assert run.account == (1, 6)


async def test_the_second_ambiguous_failure_is_the_last() -> None:
    run = Run(E.AMBIGUOUS, E.TRANSIENT, E.AMBIGUOUS)
    assert isinstance(await run.end(), AttemptsExhausted)
    assert run.account == (3, 3)


@pytest.mark.parametrize("failure", [E.TRANSIENT, E.AMBIGUOUS])
async def test_failures_that_do_not_count_are_retried_for_ever(failure: E) -> None:
    run = Run(*[uncounted(failure) for _ in range(40)])
    assert isinstance(await run.end(), Completion)
    assert run.account == (1, 41)
    assert max(run.sleeps) == 15


async def test_a_bad_request_is_one_attempt_and_no_retry() -> None:
    run = Run(E.BAD_REQUEST)
    end = await run.end()
    assert isinstance(end, ProviderError)
    assert end.error_class is E.BAD_REQUEST
    assert not isinstance(end, AttemptsExhausted)
    assert run.account == (1, 1)


async def test_a_transient_failure_that_asks_for_a_wait_gets_it() -> None:
    run = Run(ProviderError(E.TRANSIENT, "busy", retry_after_s=10))
    await run.end()
    assert run.sleeps == [11.75]


async def test_attempts_of_an_earlier_call_for_the_same_request_count() -> None:
    run = Run(*[E.TRANSIENT] * 9)
    run.call.tally.attempts = 1
    assert isinstance(await run.end(), AttemptsExhausted)
    assert run.account == (4, 3)


async def test_the_slot_is_free_during_a_backoff() -> None:
    slots = asyncio.Semaphore(1)
    slot = SemaphoreSlot(slots)
    await slot.acquire()
    free: list[bool] = []

    async def sleep(_: float) -> None:
        free.append(not slots.locked())

    await Retrying(Script(E.TRANSIENT), RetryPolicy(), lambda: 0.5, sleep).complete(model_call("r", slot=slot))
    assert free == [True]


async def test_closing_closes_the_inner_provider() -> None:
    script = Script()
    await Retrying(script, RetryPolicy(), lambda: 0.5, Sleeps()).aclose()
    assert script.closed == 1


IMPATIENT = RetryPolicy(patient=False)


@pytest.mark.parametrize("failure", [E.ACCOUNT, E.UNKNOWN_MODEL])
async def test_impatient_what_needs_an_operator_is_raised_at_once(failure: E) -> None:
    run = Run(failure, policy=IMPATIENT)
    end = await run.end()
    assert isinstance(end, ProviderError)
    assert end.error_class is failure
    assert run.account == (1, 1)


@pytest.mark.parametrize("failure", [E.RATE_LIMITED, E.OVERLOADED, E.TRANSIENT])
async def test_impatient_every_failure_counts_and_backs_off(failure: E) -> None:
    run = Run(*[uncounted(failure) for _ in range(9)], policy=IMPATIENT)
    assert isinstance(await run.end(), AttemptsExhausted)
    assert run.account == (4, 4)
    assert run.sleeps == [0.25, 0.5, 1]


async def test_impatient_a_long_wait_is_not_waited_for() -> None:
    run = Run(ProviderError(E.RATE_LIMITED, "later", retry_after_s=60), policy=IMPATIENT)
    end = await run.end()
    assert isinstance(end, ProviderError)
    assert end.error_class is E.RATE_LIMITED
    assert run.sleeps == []
