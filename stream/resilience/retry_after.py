"""How long a provider asked us to wait, read from its headers, believed only if it makes sense.

`retry-after-ms` (milliseconds; OpenAI and Azure) goes before `retry-after` (seconds or an HTTP date, RFC 9110 section
10.2.3). SDKs that believe anything sleep for weeks: see `MAX_RETRY_AFTER_S`.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 900.0
"""Longer waits are cut to this: a probe every 15 minutes costs one call, a wrong header would cost a day."""

ABSURD_S = 86_400.0
"""Nobody means more than a day: such a value says nothing, and our own backoff takes its place."""

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?", re.ASCII)
_LONGEST_VALUE = 64


def parse_retry_after(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds to wait, 0 ≤ s ≤ 900; None if the headers don't say, or say nonsense.

    headers: names in any case. now_unix_s: wall clock, against which a date is read.
    """
    lowered = {name.lower(): value for name, value in headers.items() if name.lower().startswith("retry-after")}
    milliseconds = _number(lowered.get("retry-after-ms", ""))
    if milliseconds is not None:
        wait_s = _believable(milliseconds / 1000)
        if wait_s is not None:
            return wait_s
    value = lowered.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        seconds = _seconds_until(value, now_unix_s)
    return None if seconds is None else _believable(seconds)


def _believable(seconds: float) -> float | None:
    if not 0 <= seconds <= ABSURD_S:  # NaN fails too
        return None
    return min(seconds, MAX_RETRY_AFTER_S)


def _number(value: str) -> float | None:
    """Plain decimals only: `float()` would take `nan`, `1_000` and digits of other scripts."""
    value = value.strip()
    return float(value) if _NUMBER.fullmatch(value) else None


def _seconds_until(value: str, now_unix_s: float) -> float | None:
    if len(value) > _LONGEST_VALUE:
        return None
    try:
        return parsedate_to_datetime(value).timestamp() - now_unix_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
