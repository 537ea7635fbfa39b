"""Requests that fail again and again and are tried on: which, how often, and with what.

Alone, a request that always fails can't be told from a provider's trouble (ADR 0002), so it makes no dead letter and
shuts no gate: without this nothing would ever name it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from stream.core.errors import FAILURES, ProviderError
from stream.core.outcomes import Outcome
from stream.core.ports import Provider
from stream.core.records import Completion, ModelCall, Record
from stream.telemetry.log_lines import safe
from stream.telemetry.watch import Watch

TOLD_FROM_CALLS = 4
"""A healthy request seldom fails so often."""

_BOUND = 256
_SHOWN = 10
_FORGOTTEN_S = 1_200.0
"""No request is left alone for longer than 15 minutes and a jitter: one not heard of since is another worker's."""


class Noticed:
    """A provider behind its gate, whose failures are told once a request has many. It belongs below the retrying."""

    def __init__(self, inner: Provider, provider: str, watch: Watch) -> None:
        """provider: its configured name."""
        self._inner = inner
        self._provider = provider
        self._watch = watch

    async def complete(self, call: ModelCall) -> Completion:
        """One completion of the inner provider. Raises what that raises."""
        try:
            return await self._inner.complete(call)
        except ProviderError as error:
            may_be_its_own = error.error_class in FAILURES or error.may_be_own or call.tally.refused_alone
            if may_be_its_own and call.tally.calls >= TOLD_FROM_CALLS:
                self._watch.tried_on(call.request_id, self._provider, call.model, call.tally.calls, error.detail)
            raise

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()


class _Request(NamedTuple):
    provider: str
    model: str
    calls: int
    detail: str
    at_s: float


class Failing(Watch):
    """Remembers them until they end; of very many, those heard of last."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._requests: OrderedDict[str, _Request] = OrderedDict()

    def tried_on(self, request_id: str, provider: str, model: str, calls: int, detail: str) -> None:
        """Remember it."""
        self._requests.pop(request_id, None)
        self._requests[request_id] = _Request(provider, model, calls, safe(detail), self._now_s())
        if len(self._requests) > _BOUND:
            self._requests.popitem(last=False)

    def finished(self, record: Record, outcome: Outcome) -> None:
        """It is tried no more."""
        if self._requests and outcome.request is not None:
            self._requests.pop(outcome.request.id, None)

    def now(self) -> list[dict[str, Any]]:
        """Those called most often, each with `request_id provider model calls detail failed_s_ago`."""
        now_s = self._now_s()
        lately = [(name, each) for name, each in self._requests.items() if now_s - each.at_s < _FORGOTTEN_S]
        return [
            {
                "request_id": name,
                "provider": each.provider,
                "model": each.model,
                "calls": each.calls,
                "detail": each.detail,
                "failed_s_ago": round(now_s - each.at_s, 1),
            }
            for name, each in sorted(lately, key=lambda pair: -pair[1].calls)[:_SHOWN]
        ]
