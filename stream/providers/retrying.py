"""A provider that is asked again, as often as the failure's class allows, and never in step with others.

What the gate waits for (account, unknown model, rate limit) and an overload is tried for ever and consumes no attempt;
unless it `counted` as a refusal of this request alone, which is then given up at the limit of such refusals. A
transient or ambiguous failure consumes one if it `counted`; a success and a bad request are one each.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stream.core.counting import counted
from stream.core.errors import REFUSALS, AttemptsExhausted, ErrorClass, ProviderError
from stream.core.ports import Provider
from stream.core.records import Completion, ModelCall
from stream.resilience.backoff import Rand, alone_s, backoff_s

_GATE_WAITS = frozenset({ErrorClass.ACCOUNT, ErrorClass.UNKNOWN_MODEL, ErrorClass.RATE_LIMITED})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request may fail.

    max_attempts: attempts of one request in all. max_ambiguous: how many of them without an answer: each may be billed.
    patient: false where a person waits and no gate is there (`llm-stream try`): every failure counts, one that needs
    an operator is raised at once, and so is one that asks for a longer wait than `longest_wait_s`.
    """

    max_attempts: int = 4
    max_ambiguous: int = 2
    patient: bool = True
    longest_wait_s: float = 30.0


class Retrying:
    """See the module. Between tries the slot is given back; the gate within takes it again."""

    def __init__(
        self,
        inner: Provider,
        policy: RetryPolicy,
        rand: Rand,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._rand = rand
        self._sleep = sleep

    async def complete(self, call: ModelCall) -> Completion:
        """One completion. Raises AttemptsExhausted, or the ProviderError that no retry can cure."""
        tries = failed = ambiguous = refusals = refused_alone = 0
        while True:
            try:
                completion = await self._inner.complete(call)
            except ProviderError as error:
                failure = error
            else:
                call.tally.attempts += 1
                return completion
            if self._consumes_attempt(failure):
                call.tally.attempts += 1
                failed += 1
                ambiguous += failure.error_class is ErrorClass.AMBIGUOUS
                refusals += failure.error_class in _GATE_WAITS
                self._give_up_at_the_limit(failure, call.tally.attempts, failed, ambiguous, refusals)
            if self._policy.patient and failure.refuses and call.tally.refused_alone:
                call.slot.step_aside()
                await self._sleep(alone_s(refused_alone, self._rand, failure.retry_after_s))
                refused_alone += 1
                continue
            wait_s = self._wait_s(failure, tries)
            tries += 1
            if wait_s > 0:
                call.slot.step_aside()
                await self._sleep(wait_s)

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()

    def _consumes_attempt(self, failure: ProviderError) -> bool:
        if not self._policy.patient or failure.error_class is ErrorClass.BAD_REQUEST:
            return True
        if failure.error_class in _GATE_WAITS:
            return failure.counted and failure.may_be_own
        return failure.counted and failure.error_class in {ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS}

    def _give_up_at_the_limit(
        self, failure: ProviderError, attempts: int, failed: int, ambiguous: int, refusals: int
    ) -> None:
        if failure.error_class is ErrorClass.BAD_REQUEST:
            raise failure
        if not self._policy.patient and failure.error_class in REFUSALS:
            raise failure
        if self._policy.patient and failure.error_class in _GATE_WAITS:
            spent = refusals >= self._policy.max_attempts  # other attempts say nothing about the account
        else:
            spent = failure.final or attempts >= self._policy.max_attempts or ambiguous >= self._policy.max_ambiguous
        if spent:
            raise AttemptsExhausted(
                failure.error_class,
                f"failed {counted(failed, 'time')} ({ambiguous} without an answer); last: {failure.detail}",
                status=failure.status,
                error_type=failure.error_type,
                retry_after_s=failure.retry_after_s,
                unbilled=failure.unbilled,
            ) from failure

    def _wait_s(self, failure: ProviderError, tries: int) -> float:
        """How long to sleep before the next try; 0 where the gate does the waiting."""
        patient = self._policy.patient
        if patient and failure.error_class in _GATE_WAITS:
            return 0.0
        wait_s = backoff_s(tries, self._rand, failure.retry_after_s)
        if not patient and wait_s > self._policy.longest_wait_s:
            raise failure
        return wait_s
