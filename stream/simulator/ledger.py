"""The ground truth: every call that arrived, what was laid on it, what was sent."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import orjson

KEPT_CALLS = 1_000_000


@dataclass(slots=True)
class Call:
    """One call, completed while it is served; fields as in docs/simulator.md."""

    n: int
    at_s: float
    key: str | None = None
    model: str | None = None
    request_id: str | None = None
    status: int | None = None
    fault: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def key_mark(key: str | None) -> str | None:
    """How a key is shown: the first 8 hex digits of its SHA-256. None stays None."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:8] if key else None


class Ledger:
    """Calls in the order of arrival; beyond `kept` the oldest are dropped, and counted."""

    def __init__(self, kept: int = KEPT_CALLS) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._count = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: int) -> Call:
        return self._calls[index]

    @property
    def dropped(self) -> int:
        """How many calls are no longer here."""
        return self._count - len(self._calls)

    def opened(self, at_s: float) -> Call:
        """A new call, numbered."""
        self._count += 1
        call = Call(self._count, round(at_s, 6))
        self._calls.append(call)
        return call

    def clear(self) -> None:
        """Forget everything; the next call is number 1."""
        self._calls.clear()
        self._count = 0

    def as_json_lines(self, after: int = 0) -> bytes:
        """One JSON object a line, calls numbered above `after`."""
        return b"".join(orjson.dumps(call) + b"\n" for call in self._calls if call.n > after)
