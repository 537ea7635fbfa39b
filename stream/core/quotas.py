"""What a provider's quotas count, and how one stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Meter(StrEnum):
    """What a quota counts. The values name it in metrics, on the control topic and in messages."""

    REQUESTS = "requests"
    INPUT = "input_tokens"
    OUTPUT = "output_tokens"
    TOKENS = "tokens"
    """Input and output together."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota as it stood when the provider answered.

    limit: what it holds when it is full, above 0. remaining: what was left, 0 ≤ remaining ≤ limit. per_s: how fast it
    refills, above 0.
    """

    limit: float
    remaining: float
    per_s: float


Quotas = Mapping[Meter, Quota]

NO_QUOTAS: Quotas = MappingProxyType({})
"""The provider said nothing of them."""
