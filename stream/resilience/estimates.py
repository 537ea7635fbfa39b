"""What a call will probably use of the quotas, learned from what earlier calls of its task did use. No clock."""

from collections.abc import Hashable
from dataclasses import dataclass

from stream.core.quotas import Meter
from stream.core.records import Usage
from stream.resilience.limiter import Need

CHARS_PER_TOKEN = 4.0
"""Of English text; what is assumed before the first answer."""
MARGIN = 1.1
_NEWEST = 0.05
"""Weight of the newest call: an answer twice as long as usual moves the average by a twentieth."""


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """How a kind of provider charges its quotas.

    output_up_front: as much output as a call may produce is charged when it is sent, and stays charged (OpenAI); else
        what it produced (Anthropic). cache_reads_count: input read from the cache counts (OpenAI), or not (Anthropic).
    """

    output_up_front: bool
    cache_reads_count: bool


class _Learned:
    """Of one task."""

    __slots__ = ("chars_per_token", "output")

    def __init__(self) -> None:
        self.chars_per_token = CHARS_PER_TOKEN
        self.output: float | None = None


AS_PRODUCED = QuotaRules(output_up_front=False, cache_reads_count=False)
UP_FRONT = QuotaRules(output_up_front=True, cache_reads_count=True)


class Estimates:
    """See the module."""

    def __init__(self, rules: QuotaRules) -> None:
        self._rules = rules
        self._learned: dict[Hashable, _Learned] = {}

    def need(self, task: Hashable, prompt_chars: int, max_output_tokens: int) -> Need:
        """What a call will probably use. task: what calls alike have in common; there must be few of them."""
        learned = self._learned.get(task) or self._learned.setdefault(task, _Learned())
        input_tokens = MARGIN * prompt_chars / learned.chars_per_token
        output_tokens = float(max_output_tokens)
        if not self._rules.output_up_front and learned.output is not None:
            output_tokens = min(output_tokens, learned.output)
        return {
            Meter.REQUESTS: 1.0,
            Meter.INPUT: input_tokens,
            Meter.OUTPUT: output_tokens,
            Meter.TOKENS: input_tokens + output_tokens,
        }

    def used(self, task: Hashable, prompt_chars: int, usage: Usage | None) -> Need:
        """What an answered call did use, and learn from it; empty where that isn't known, or was charged up front."""
        if usage is None:
            return {}
        counted = usage.input_tokens - (0 if self._rules.cache_reads_count else usage.cache_read_tokens)
        learned = self._learned.get(task) or self._learned.setdefault(task, _Learned())
        if counted > 0 and prompt_chars > 0:
            learned.chars_per_token += _NEWEST * (prompt_chars / counted - learned.chars_per_token)
        before = usage.output_tokens if learned.output is None else learned.output
        learned.output = before + _NEWEST * (usage.output_tokens - before)
        if self._rules.output_up_front:
            return {Meter.INPUT: float(counted)}
        return {
            Meter.INPUT: float(counted),
            Meter.OUTPUT: float(usage.output_tokens),
            Meter.TOKENS: float(counted + usage.output_tokens),
        }
