"""A total deadline for a provider's calls."""

import asyncio

from stream.core.errors import ErrorClass, ProviderError
from stream.core.ports import Provider
from stream.core.records import Completion, ModelCall


class Deadline:
    """A provider whose calls end within `deadline_s` seconds, connecting and reading included.

    A call that is cut may have been carried out and billed: its ProviderError is `ambiguous` and not `unbilled`.
    Cancellation from outside passes through as it is.
    """

    def __init__(self, name: str, inner: Provider, deadline_s: float) -> None:
        self._name = name
        self._inner = inner
        self._deadline_s = deadline_s

    async def complete(self, call: ModelCall) -> Completion:
        """One completion in time. Raises ProviderError."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._inner.complete(call)
        except TimeoutError:
            raise ProviderError(
                ErrorClass.AMBIGUOUS,
                f"no complete answer from {self._name} within {self._deadline_s:g} s; it may be billed all the same",
                unbilled=False,
            ) from None

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()
