"""Which gates are shut right now, and why: the first question when nothing moves."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from stream.telemetry.log_lines import safe
from stream.telemetry.watch import Watch


class _Shut(NamedTuple):
    cause: str
    detail: str
    probe_s: float | None
    since_s: float


class ShutGates(Watch):
    """Remembers what gates tell. Bounded by the providers, pools and models there are."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._shut: dict[tuple[str, str], _Shut] = {}

    def gate_changed(
        self,
        provider: str,
        scope: str,
        *,
        is_open: bool,
        cause: str,
        detail: str,
        opens_in_s: float | None,
    ) -> None:
        """Remember it."""
        if is_open:
            self._shut.pop((provider, scope), None)
        else:
            probe_s = None if opens_in_s is None else self._now_s() + opens_in_s
            before = self._shut.get((provider, scope))
            since_s = self._now_s() if before is None else before.since_s
            self._shut[provider, scope] = _Shut(cause, safe(detail), probe_s, since_s)

    def now(self) -> list[dict[str, Any]]:
        """Each with `provider scope cause detail shut_for_s next_probe_s` (seconds; from now, null if not known)."""
        now_s = self._now_s()
        return [
            {
                "provider": provider,
                "scope": scope,
                "cause": shut.cause,
                "detail": shut.detail,
                "shut_for_s": round(now_s - shut.since_s, 1),
                "next_probe_s": None if shut.probe_s is None else round(max(shut.probe_s - now_s, 0.0), 1),
            }
            for (provider, scope), shut in sorted(self._shut.items())
        ]
