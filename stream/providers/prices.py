"""What calls cost, from the prices bundled with `genai-prices`, overridden by the settings. Nothing is fetched.

A price in US dollars per million tokens is the same number in micro-dollars per token.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices
from genai_prices.types import Provider as PricedProvider

from stream.core.records import Usage
from stream.settings.model import PriceSettings, ProviderSettings

_REFRESH_S = 60.0  # some prices depend on the date or on the time of day
_MOST_MODELS = 4_096  # a server can answer with any model name


@dataclass(frozen=True, slots=True)
class Rates:
    """Micro-dollars per token of each kind; None: not known.

    above: rates that hold instead where a call's whole input has more tokens than the number, highest first.
    """

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write: Decimal | None
    above: tuple[tuple[int, "Rates"], ...] = ()

    def micro_usd(self, usage: Usage) -> int | None:
        """The price of one call, rounded half up; None if tokens of a kind without a price were used.

        Cache reads and writes without a price of their own cost what input costs.
        """
        for start, rates in self.above:
            if usage.input_tokens > start:
                return rates.micro_usd(usage)
        fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        total = Decimal(0)
        for tokens, rate in (
            (fresh, self.input),
            (usage.output_tokens, self.output),
            (usage.cache_read_tokens, self.input if self.cache_read is None else self.cache_read),
            (usage.cache_write_tokens, self.input if self.cache_write is None else self.cache_write),
        ):
            if tokens:
                if rate is None:
                    return None
                total += rate * tokens
        return int(total.quantize(Decimal(1), rounding=ROUND_HALF_UP))


class Prices:
    """Implements `core.ports.Pricer`: the price of a call to one of the configured providers, or None."""

    def __init__(self, providers: Mapping[str, ProviderSettings], overrides: Mapping[str, PriceSettings]) -> None:
        """overrides: by "provider:model", the provider's configured name and the model as tasks name it."""
        snapshot = get_snapshot()
        self._known = {name: _priced_provider(snapshot, settings) for name, settings in providers.items()}
        self._all_known = snapshot.providers
        self._overrides = {key: _overriding(settings) for key, settings in overrides.items()}
        self._rates: dict[tuple[str, str], tuple[float, Rates | None]] = {}

    def __call__(self, provider: str, model: str, usage: Usage) -> int | None:
        """Price in micro-dollars; None if it isn't known."""
        rates = self.rates(provider, model)
        return None if rates is None else rates.micro_usd(usage)

    def rates(self, provider: str, model: str) -> Rates | None:
        """What the model's tokens cost now; None if that isn't known."""
        key = (provider, model)
        now_s = time.monotonic()
        cached = self._rates.get(key)
        if cached is not None and now_s < cached[0]:
            return cached[1]
        rates = self._overrides.get(f"{provider}:{model}") or self._bundled(provider, model)
        if len(self._rates) >= _MOST_MODELS:
            self._rates.clear()
        self._rates[key] = (now_s + _REFRESH_S, rates)
        return rates

    def listed_as(self, provider: str, model: str) -> str | None:
        """The model of the price list whose price is taken for this one; None where it has none there, or one of the
        settings. The list takes names by how they begin: a mistyped one can have a price."""
        if f"{provider}:{model}" in self._overrides:
            return None
        found = self._found(provider, model)
        return found.id if found else None

    def listed(self, provider: str) -> list[str]:
        """The names of the models that the provider's price list has."""
        known = self._known.get(provider)
        return [model.id for model in known.models] if known else []

    def _bundled(self, provider: str, model: str) -> Rates | None:
        found = self._found(provider, model)
        return _rates(found.get_prices(datetime.now(UTC))) if found else None

    def _found(self, provider: str, model: str) -> ModelInfo | None:
        known = self._known.get(provider)
        return known.find_model(model, all_providers=self._all_known) if known else None


def _priced_provider(snapshot: DataSnapshot, settings: ProviderSettings) -> PricedProvider | None:
    """Whose price list holds: the one that belongs to the address, else the one of the API that is spoken."""
    for identifier, url in ((None, settings.base_url or None), (settings.kind, None)):
        try:
            if identifier or url:
                return snapshot.find_provider(None, identifier, url)
        except LookupError:
            continue
    return None


def _overriding(settings: PriceSettings) -> Rates:
    return Rates(
        _decimal(settings.input_usd),
        _decimal(settings.output_usd),
        _decimal(settings.cache_read_usd),
        _decimal(settings.cache_write_usd),
    )


def _decimal(figure: float | None) -> Decimal | None:
    """By way of text: 0.1 is meant as a tenth, not as the binary fraction next to it."""
    return None if figure is None else Decimal(str(figure))


def _rates(price: ModelPrice) -> Rates | None:
    """None where the model isn't priced by tokens of text at all."""
    if price.input_mtok is None and price.output_mtok is None:
        return None
    listed = (price.input_mtok, price.output_mtok, price.cache_read_mtok, price.cache_write_mtok)
    starts = {tier.start for figure in listed if isinstance(figure, TieredPrices) for tier in figure.tiers}
    above = tuple((start, _rates_at(price, start)) for start in sorted(starts, reverse=True))
    return replace(_rates_at(price, -1), above=above)


def _rates_at(price: ModelPrice, start: int) -> Rates:
    return Rates(
        _at(price.input_mtok, start),
        _at(price.output_mtok, start),
        _at(price.cache_read_mtok, start),
        _at(price.cache_write_mtok, start),
    )


def _at(figure: Decimal | TieredPrices | None, start: int) -> Decimal | None:
    """The figure of the highest tier that begins at `start` or below."""
    if not isinstance(figure, TieredPrices):
        return figure
    reached = [tier for tier in figure.tiers if tier.start <= start]
    return max(reached, key=lambda tier: tier.start).price if reached else figure.base
