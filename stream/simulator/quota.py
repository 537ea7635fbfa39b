"""The quotas of one API key and one pool of models, as a provider keeps them. No I/O, no clock, no chance.

A call asks `admit`; what its reply then took is told to `produced`. The same class serves real time and virtual time:
every method takes the time, in seconds, from whatever clock; one that stands still or goes back changes nothing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from stream.simulator.bucket import BUCKETS, Bucket, Refill

Meter = Literal["requests", "input_tokens", "output_tokens", "tokens"]
METERS: tuple[Meter, ...] = get_args(Meter)
"""What can be limited. `tokens`: input and output together."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a provider counts.

    output_up_front: a call is charged `max_tokens` when it is admitted, and never gets any back; else what was
    produced is charged once it is, and a call is admitted while any of it is left.
    cache_reads_count: whether tokens read from the prompt cache are input.
    rejects_count: whether a refused call takes a request, so that sending it again and again never succeeds.
    """

    output_up_front: bool
    cache_reads_count: bool
    rejects_count: bool


RULES: Mapping[str, Rules] = {
    # docs.claude.com/en/api/rate-limits: output counts as it is produced, cache reads are no input
    "anthropic": Rules(output_up_front=False, cache_reads_count=False, rejects_count=False),
    # platform.openai.com/docs/guides/rate-limits: `max_tokens` counts; "unsuccessful requests contribute" to the limit
    "openai": Rules(output_up_front=True, cache_reads_count=True, rejects_count=True),
}
"""By dialect."""


@dataclass(frozen=True, slots=True)
class Limits:
    """per_minute: what is limited, each > 0; what isn't there isn't limited. window_s, refill: see `bucket`."""

    per_minute: Mapping[Meter, int]
    window_s: float = 60.0
    refill: Refill = "continuous"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that doesn't pass. meter: what it would have to wait for longest.

    wait_s: until it would pass, if nobody else called; inf: it is larger than a full bucket as things are.
    asked: what it needs of that. holds: what a full bucket holds when others take nothing.
    """

    meter: Meter
    wait_s: float
    per_minute: int
    asked: int
    holds: int

    @property
    def never(self) -> bool:
        """Whether it is larger than the whole quota, so that waiting won't help."""
        return self.asked > self.holds


@dataclass(frozen=True, slots=True)
class Level:
    """What a provider tells of one limit. per_minute: as configured. remaining: ≥ 0. full_in_s: ≥ 0."""

    per_minute: int
    remaining: int
    full_in_s: float


Levels = Mapping[Meter, Level]


@dataclass(slots=True)
class Quota:
    """start_s: when it begins, with full buckets; fixed windows count from there."""

    limits: Limits
    rules: Rules
    start_s: float = 0.0
    _buckets: dict[Meter, Bucket] = field(init=False)

    def __post_init__(self) -> None:
        kind = BUCKETS[self.limits.refill]
        self._buckets = {
            meter: kind(per_minute, self.limits.window_s, self.start_s)
            for meter, per_minute in self.limits.per_minute.items()
        }

    def admit(
        self, now_s: float, input_tokens: int, max_output_tokens: int = 0, *, cache_read_tokens: int = 0
    ) -> Refusal | None:
        """Charge a call, or say why it doesn't pass.

        input_tokens: cache reads included. max_output_tokens: 0 where the call sets no limit.
        cache_read_tokens: ≤ input_tokens.
        """
        self._advance(now_s)
        counted = input_tokens - (0 if self.rules.cache_reads_count else cache_read_tokens)
        needs = self._needs(counted, max_output_tokens)
        refusal = self._refusal(needs)
        if refusal is not None:
            if not self.rules.rejects_count or "requests" not in self._buckets:
                return refusal
            self._buckets["requests"].drain(1)
            return self._refusal(needs)
        charges = needs if self.rules.output_up_front else {"requests": 1, "input_tokens": counted, "tokens": counted}
        for meter, bucket in self._buckets.items():
            bucket.take(charges.get(meter, 0))
        return None

    def produced(self, now_s: float, output_tokens: int) -> None:
        """Charge what a reply holds, where it wasn't charged up front; the buckets may go into debt."""
        self._advance(now_s)
        for meter, bucket in self._buckets.items():
            if meter in ("output_tokens", "tokens") and not self.rules.output_up_front:
                bucket.take(output_tokens)

    def scale(self, now_s: float, factor: float) -> None:
        """From now on others take the rest: 0 < factor ≤ 1 of the configured refill and capacity; 1: all of it again.

        What `state` shows as limit stays the configured one. Raises ValueError for any other factor.
        """
        if not 0 < factor <= 1:
            raise ValueError(f"a quota can't be scaled by {factor!r}: 0 < factor <= 1")
        self._advance(now_s)
        for bucket in self._buckets.values():
            bucket.scale(factor)

    def state(self, now_s: float) -> Levels:
        """What is left of each limit."""
        self._advance(now_s)
        return {
            meter: Level(self.limits.per_minute[meter], max(0, math.floor(bucket.level + 1e-6)), bucket.full_in_s())
            for meter, bucket in self._buckets.items()
        }

    def _advance(self, now_s: float) -> None:
        for bucket in self._buckets.values():
            bucket.advance(now_s)

    def _needs(self, input_tokens: int, max_output_tokens: int) -> dict[Meter, int]:
        """What must be there for a call to pass."""
        output = max_output_tokens if self.rules.output_up_front else 1
        return {
            "requests": 1,
            "input_tokens": input_tokens,
            "output_tokens": output,
            "tokens": input_tokens + output,
        }

    def _refusal(self, needs: Mapping[Meter, int]) -> Refusal | None:
        def refusals() -> Iterator[Refusal]:
            for meter, bucket in self._buckets.items():
                wait_s = bucket.wait_s(needs[meter])
                if wait_s > 0:
                    holds = math.floor(bucket.configured_capacity)
                    yield Refusal(meter, wait_s, self.limits.per_minute[meter], needs[meter], holds)

        return max(refusals(), key=lambda one: one.wait_s, default=None)
