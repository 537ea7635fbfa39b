"""What is worth saying of the models that tasks name: those whose price isn't known, and those that may be mistyped.

Notes, never errors: any server that speaks like a provider may have any model.
"""

import re
from collections.abc import Iterable

from stream.core.ports import PromptVersion
from stream.core.spelling import did_you_mean
from stream.providers.prices import Prices
from stream.settings.model import Settings

_RELEASE = re.compile(r"[-@](latest|\d{3,8}|\d{4}-\d{2}-\d{2})$")
"""What providers put behind a model's name to name one release of it."""


def price_notes(settings: Settings, versions: Iterable[PromptVersion]) -> list[str]:
    """A sentence or two for each model that has none, in the order of the versions. Versions whose provider isn't
    configured are left out."""
    prices = Prices(settings.providers, settings.prices)
    named = dict.fromkeys((version.provider, version.model) for version in versions)
    notes = (_note(prices, provider, model) for provider, model in named if provider in settings.providers)
    return [note for note in notes if note]


def _note(prices: Prices, provider: str, model: str) -> str:
    name = f"{provider}:{model}"
    if prices.rates(provider, model) is None:
        near = did_you_mean(model, prices.listed(provider))
        meant = near.strip(" ()").replace("did", "Did", 1) + " " if "did you mean" in near else ""
        return (
            f"Model {name} has no price: what it costs will be unknown. {meant}"
            f'[prices."{name}"] with input_usd and output_usd gives it one.'
        )
    listed = prices.listed_as(provider, model)
    if listed is None or _RELEASE.sub("", listed) == _RELEASE.sub("", model):
        return ""
    return f"Model {name} is not in the price list, and is priced as {listed}. Is the name right?"
