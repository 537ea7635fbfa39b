"""One call and the quota that rules its model: charged, refused, told in headers."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stream.simulator.ask import Ask, Dialect, Refused
from stream.simulator.entries import Allowance
from stream.simulator.ledger import Call
from stream.simulator.pools import Pool
from stream.simulator.prompt_cache import PromptCache
from stream.simulator.quota import Refusal
from stream.simulator.script import Performance

Clock = Callable[[], float]
FAULT = "quota"
"""What the ledger names a call's fault that a quota refused."""
ABSURD_S = 365 * 24 * 3600
_WORDS = {"requests": "rate_limit"}
_OF_TOKENS = "token_limit"


@dataclass(frozen=True, slots=True)
class Metering:
    """call: its key and model tell which quota rules it; while they are unknown, that of no key and no model does.

    clock: the one by whose seconds the performance goes.
    """

    performance: Performance
    dialect: Dialect
    call: Call
    clock: Clock

    def headers(self, call_id: str) -> dict[str, str]:
        """What every answer carries: the call's id, and the quota's state as far as the provider tells it."""
        pool = self._pool()
        if pool is None:
            return self.dialect.headers(call_id)
        return self.dialect.headers(call_id, pool.state(self._elapsed_s()) if pool.allowance.headers else {})

    def admit(self, ask: Ask, cache: PromptCache) -> None:
        """Charge the call. Raises Refused if the quota has no room for it."""
        pool = self._pool()
        if pool is None:
            return
        cache_read_tokens = cache.read_tokens(ask, self.call.key)
        input_tokens = max(ask.input_tokens, cache_read_tokens)
        refusal = pool.admit(self._elapsed_s(), input_tokens, ask.max_tokens or 0, cache_read_tokens=cache_read_tokens)
        if refusal is not None:
            self.call.fault = FAULT
            word = _WORDS.get(refusal.meter, _OF_TOKENS)
            raise Refused(word, _sentence(refusal), headers=_retry_after(refusal, pool.allowance, self.dialect))

    def produced(self, output_tokens: int) -> None:
        """Charge the reply."""
        pool = self._pool()
        if pool is not None:
            pool.produced(self._elapsed_s(), output_tokens)

    def _pool(self) -> Pool | None:
        return self.performance.pools.of(self.dialect.name, self.call.key, self.call.model or "")

    def _elapsed_s(self) -> float:
        return self.performance.elapsed_s(self.clock())


def _sentence(refusal: Refusal) -> str:
    what = refusal.meter.replace("_", " ")
    if refusal.never:
        return (
            f"Request too large for the limit of {refusal.per_minute} {what} per minute:"
            f" Limit {refusal.holds}, Requested {refusal.asked}."
        )
    return f"This request would exceed the limit of {refusal.per_minute} {what} per minute."


def _retry_after(refusal: Refusal, allowance: Allowance, dialect: Dialect) -> dict[str, str]:
    """Whole seconds, as both providers send it; OpenAI says it in milliseconds as well. Empty: nothing is said."""
    if allowance.retry_after == "absurd":
        return {"retry-after": str(ABSURD_S)}
    if allowance.retry_after == "none" or math.isinf(refusal.wait_s):
        return {}
    milliseconds = math.ceil(round(refusal.wait_s * 1000, 3))
    exact = {"retry-after-ms": str(milliseconds)} if dialect.name == "openai" else {}
    return {"retry-after": str(math.ceil(milliseconds / 1000)), **exact}
