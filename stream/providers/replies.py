"""What a provider's reply says, whichever provider it was: the shapes that the adapters read replies into."""

from dataclasses import dataclass
from typing import Any

from stream.core.quotas import Quotas
from stream.core.records import Completion, Stop, Usage

_MAX_TOKENS = 10**12  # more than any model reads in a lifetime: a figure beyond it is no count


@dataclass(frozen=True, slots=True)
class Reply:
    """A well-formed reply. Fields as in `core.records.Completion`."""

    text: str
    stop: Stop
    stop_reason: str | None
    model_served: str
    usage: Usage | None

    def completion(self, latency_ms: int, quotas: Quotas) -> Completion:
        """The reply with how long it took, and how the quotas stood."""
        return Completion(self.text, self.stop, self.stop_reason, self.model_served, self.usage, latency_ms, quotas)


class JunkError(ValueError):
    """A 200 whose body is no reply; the message says what is wrong with it."""


class NoCountError(ValueError):
    """A figure in a reply's usage that is no number of tokens."""


def count(holder: Any, name: str, *, default: int | None = None) -> int:
    """A number of tokens. Absent or null: `default`. Raises NoCountError for anything else that is no count."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 <= value <= _MAX_TOKENS:
        raise NoCountError(name)
    return value


def part(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """An optional object inside a reply; empty where absent or null. Raises NoCountError for anything else."""
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NoCountError(name)
    return value
