"""Choosing among words: which of an enum's values a text speaks for, whether a flag holds."""

import re
from collections.abc import Sequence
from typing import Any

from stream.simulator.chance import digest
from stream.simulator.evidence import Evidence, tokens_of
from stream.simulator.figures import CODES
from stream.simulator.keywords import KEYWORDS
from stream.simulator.language import NAMES

_MIDDLE = (
    "neutral",
    "normal",
    "medium",
    "moderate",
    "standard",
    "p3",
    "general",
    "question",
    "inquiry",
    "other",
    "misc",
)
_FILLER = {
    "is",
    "has",
    "needs",
    "need",
    "requires",
    "require",
    "contains",
    "request",
    "requested",
    "issue",
    "problem",
    "and",
    "or",
    "of",
    "the",
    "bank",
    "general",
    "other",
}


def _stems(token: str) -> list[str]:
    if token in KEYWORDS:
        return [*KEYWORDS[token], token]
    return [token] if token not in _FILLER and not token.isdigit() else []


def speaks_for(word: str) -> re.Pattern[str] | None:
    """Matches wherever a text speaks for a word such as `billing_issue`; None if nothing is known to."""
    stems = dict.fromkeys(stem for token in tokens_of(word) for stem in _stems(token))
    if not stems:
        return None
    return re.compile("|".join(rf"\b{re.escape(one)}" if one[0].isalnum() else re.escape(one) for one in stems))


class Choice:
    """An enum's values, ready to be chosen from. values: at least one; `None` among them means "nothing found"."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)
        self._signs = [(value, speaks_for(value)) for value in self.values if isinstance(value, str)]
        self._languages = {
            code: value
            for value in self.values
            for code, name in NAMES.items()
            if isinstance(value, str) and value.lower().split("-")[0] in (code, name.lower())
        }
        self._of_currencies = any(value in CODES for value in self.values)
        self._middle = next(
            (value for word in _MIDDLE for value in self.values if isinstance(value, str) and word in tokens_of(value)),
            None,
        )

    def ranked(self, evidence: Evidence) -> list[Any]:
        """The values the text speaks for, the strongest first; empty if it speaks for none."""
        if len(self._languages) >= max(1, len(self.values) - 1):
            return [self._languages[evidence.language]] if evidence.language in self._languages else []
        if self._of_currencies and evidence.currency in self.values:
            return [evidence.currency]
        scores = [(len(sign.findall(evidence.lower)), value) for value, sign in self._signs if sign is not None]
        return [value for score, value in sorted(scores, key=lambda one: -one[0]) if score]

    def chosen(self, evidence: Evidence, seed: int, purpose: str) -> Any:
        """What the text speaks for, else the middle of a scale, else by hash."""
        ranked = self.ranked(evidence)
        if ranked:
            return ranked[0]
        if self._middle is not None:
            return self._middle
        values = [value for value in self.values if value is not None] or self.values
        return values[digest(seed, purpose) % len(values)]
