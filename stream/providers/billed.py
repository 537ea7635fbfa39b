"""Every call counted before it is sent, and priced when it is answered."""

from stream.core.errors import ProviderError
from stream.core.ports import Pricer, Provider
from stream.core.records import Completion, ModelCall


class Billed:
    """A provider that keeps the account of its calls in `call.tally`.

    A call counts from the moment it is handed on, also if the connection fails. It stands there as unpriced until it is
    known what it cost: by a completion with known usage and price, or by an error that costs nothing, a refused
    connection for one. A call that was cut off, cancelled, or answered with junk stays unpriced, for it may have been
    billed.
    """

    def __init__(self, name: str, inner: Provider, pricer: Pricer) -> None:
        """name: the configured one, by which `pricer` knows the provider."""
        self._name = name
        self._inner = inner
        self._pricer = pricer

    async def complete(self, call: ModelCall) -> Completion:
        """One completion, on the account. Raises ProviderError."""
        tally = call.tally
        tally.calls += 1
        tally.unpriced_calls += 1
        try:
            completion = await self._inner.complete(call)
        except ProviderError as error:
            if error.unbilled:
                tally.unpriced_calls -= 1
            raise
        if completion.usage is not None:
            tally.unpriced_calls -= 1
            price = self._pricer(self._name, call.model, completion.usage)
            if price is None:  # asked for by an alias that has no price: the model that answered may have one
                price = self._pricer(self._name, completion.model_served, completion.usage)
            tally.bill(completion.usage, price)
        return completion

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()
