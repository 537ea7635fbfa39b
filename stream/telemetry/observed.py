"""A provider whose calls are counted and timed. It belongs around the bare provider, below the gate: one call each."""

import asyncio
from typing import Literal, NamedTuple

from prometheus_client import Counter, Histogram

from stream.core.errors import ErrorClass, ProviderError
from stream.core.ports import Provider
from stream.core.records import Completion, ModelCall, Usage
from stream.telemetry.registry import OTHER, Metrics

Ending = ErrorClass | Literal["ok", "cancelled", "defect"]
ENDINGS: tuple[Ending, ...] = ("ok", *ErrorClass, "cancelled", "defect")


class _OfModel(NamedTuple):
    ended: dict[Ending, Counter]
    seconds: Histogram
    tokens: tuple[Counter, ...]
    """In the order of `_TOKENS`."""


_TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning")


class Observed:
    """`core.ports.Provider`: does what the inner one does, and counts it."""

    def __init__(self, inner: Provider, provider: str, metrics: Metrics) -> None:
        """provider: the configured name; its models in `metrics.names` get series of their own."""
        self._inner = inner
        models = sorted(metrics.names.models.get(provider, ()))
        self._models = {model: _of_model(metrics, provider, model) for model in models}
        self._other_model = _of_model(metrics, provider, OTHER)

    async def complete(self, call: ModelCall) -> Completion:
        """One completion of the inner provider. Raises what that raises."""
        of_model = self._models.get(call.model, self._other_model)
        ending: Ending = "defect"
        try:
            completion = await self._inner.complete(call)
            ending = "ok"
        except ProviderError as error:
            ending = error.error_class
            raise
        except asyncio.CancelledError:
            ending = "cancelled"
            raise
        finally:
            of_model.ended[ending].inc()
        of_model.seconds.observe(completion.latency_ms / 1000)
        if completion.usage is not None:
            _count(of_model.tokens, completion.usage)
        return completion

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()


def _of_model(metrics: Metrics, provider: str, model: str) -> _OfModel:
    calls = metrics.counter("llm_stream_calls_total")
    tokens = metrics.counter("llm_stream_tokens_total")
    return _OfModel(
        {ending: calls.labels(provider, model, str(ending)) for ending in ENDINGS},
        metrics.histogram("llm_stream_call_seconds").labels(provider, model),
        tuple(tokens.labels(provider, model, kind) for kind in _TOKENS),
    )


def _count(tokens: tuple[Counter, ...], usage: Usage) -> None:
    counted = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    for counter, amount in zip(tokens, counted, strict=True):
        if amount > 0:
            counter.inc(amount)
