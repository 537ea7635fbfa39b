"""The providers there are. Adding one is a file beside this and a line here; see `docs/add-a-provider.md`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from stream.core.ports import Pricer, Provider
from stream.providers.billed import Billed
from stream.providers.deadline import Deadline
from stream.providers.keys import ApiKey, checked_base_url, resolve_api_key
from stream.resilience.estimates import AS_PRODUCED, UP_FRONT, QuotaRules
from stream.settings.model import ProviderSettings


class Factory(Protocol):
    """Makes a bare provider: one HTTP request for each call, no deadline, no account."""

    def __call__(self, name: str, base_url: str, key: ApiKey, max_in_flight: int) -> Provider:
        """base_url: empty for the official address. max_in_flight: how many calls may be in the air at once."""
        ...


def _anthropic(name: str, base_url: str, key: ApiKey, max_in_flight: int) -> Provider:
    from stream.providers.anthropic import AnthropicProvider

    return AnthropicProvider(name, base_url, key, max_in_flight)


def _openai(name: str, base_url: str, key: ApiKey, max_in_flight: int) -> Provider:
    from stream.providers.openai import OpenAIProvider

    return OpenAIProvider(name, base_url, key, max_in_flight)


@dataclass(frozen=True, slots=True)
class Kind:
    """One `kind` of the settings.

    key_env: where its key is looked for if the settings don't say. rules: how it charges its quotas.
    """

    factory: Factory
    key_env: str
    rules: QuotaRules


KINDS: Mapping[str, Kind] = {
    "anthropic": Kind(_anthropic, key_env="ANTHROPIC_API_KEY", rules=AS_PRODUCED),
    "openai": Kind(_openai, key_env="OPENAI_API_KEY", rules=UP_FRONT),
}
"""Each factory imports its own: the unused SDK took 17 (openai) to 40 MB (anthropic), and a second of CPU or two."""


def api_key(name: str, settings: ProviderSettings, environ: Mapping[str, str] = os.environ) -> ApiKey:
    """The key of the configured provider `name`. Raises ConfigError, which says what to set."""
    return resolve_api_key(name, settings, KINDS[settings.kind].key_env, environ)


def build_provider(name: str, settings: ProviderSettings, key: ApiKey, max_in_flight: int, pricer: Pricer) -> Provider:
    """The configured provider `name`, its calls within the deadline and on the account; one client for its lifetime.

    max_in_flight: size of the connection pool. Must be called, used and closed in one event loop. Raises ConfigError.
    """
    adapter = KINDS[settings.kind].factory(name, checked_base_url(name, settings), key, max_in_flight)
    # The deadline inside: a call that it cuts is on the account, unpriced.
    return Billed(name, Deadline(name, adapter, settings.deadline_s), pricer)
