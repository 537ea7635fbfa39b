"""A provider whose mood is a function of request and time, and the requests to try it with."""

import asyncio
from collections.abc import Callable

from stream.core.errors import ErrorClass, ProviderError
from stream.core.records import FREE_SLOT, Completion, ModelCall, Prompt, Slot, Stop, Usage
from stream.resilience.classify import classify, may_be_own

Mood = Callable[[str, float], ErrorClass | ProviderError | None]
"""request id, seconds since the start of the loop → how a call sent then ends; None: well."""


def refusal(status: int, word: str | None = None, message: str = "no") -> ProviderError:
    """The failure that an answer with these words is."""
    error_class = classify(status, None, word, message)
    own = may_be_own(error_class, status, None, word, message)
    return ProviderError(error_class, message, status=status, error_type=word, may_be_own=own)


class FaultyProvider:
    """Answers after `latency_s`; an ambiguous failure takes `deadline_s`. `sent`: (when, request id) of all calls."""

    def __init__(
        self,
        mood: Mood,
        *,
        latency_s: float = 0.2,
        deadline_s: float = 60.0,
        retry_after_s: float | None = None,
    ) -> None:
        self.mood = mood
        self.latency_s = latency_s
        self.deadline_s = deadline_s
        self.retry_after_s = retry_after_s
        self.sent: list[tuple[float, str]] = []
        self.in_the_air = 0
        self.most_in_the_air = 0

    async def complete(self, call: ModelCall) -> Completion:
        now_s = asyncio.get_running_loop().time()
        self.sent.append((now_s, call.request_id))
        call.tally.calls += 1
        fault = self.mood(call.request_id, now_s)
        self.in_the_air += 1
        self.most_in_the_air = max(self.most_in_the_air, self.in_the_air)
        try:
            await asyncio.sleep(self.deadline_s if fault is ErrorClass.AMBIGUOUS else self.latency_s)
        finally:
            self.in_the_air -= 1
        if isinstance(fault, ProviderError):
            raise fault
        if fault is not None:
            retry_after_s = self.retry_after_s if fault is ErrorClass.RATE_LIMITED else None
            raise ProviderError(fault, f"the provider said {fault}", retry_after_s=retry_after_s)
        return Completion("{}", Stop.COMPLETE, "end_turn", call.model, Usage(1, 1), round(self.latency_s * 1000))

    async def aclose(self) -> None: ...

    def calls_between(self, from_s: float, to_s: float) -> int:
        """How many calls were sent in [from_s, to_s)."""
        return sum(1 for at_s, _ in self.sent if from_s <= at_s < to_s)


class SemaphoreSlot:
    """A slot out of a limited number, as the worker has them: first come, first served."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._held = False

    async def acquire(self) -> None:
        if not self._held:
            await self._slots.acquire()
            self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._slots.release()

    def step_aside(self) -> None:
        self.release()


def model_call(request_id: str, *, model: str = "m", slot: Slot = FREE_SLOT) -> ModelCall:
    """A call with nothing special about it."""
    return ModelCall(
        model=model,
        prompt=Prompt("be brief", "hello"),
        max_output_tokens=10,
        structured="text",
        output_schema={},
        schema_name="out",
        request_id=request_id,
        slot=slot,
    )
