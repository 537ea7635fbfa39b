"""The state of a quota as each provider spells it in headers.

docs.claude.com/en/api/rate-limits#response-headers, platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers.
"""

import math
import time
from collections.abc import Mapping

from stream.simulator.quota import Levels, Meter

_ANTHROPIC: Mapping[Meter, str] = {
    "requests": "requests",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
    "tokens": "tokens",
}
_OPENAI: Mapping[Meter, str] = {"requests": "requests", "tokens": "tokens"}
"""It has no words for the other two."""


def anthropic_headers(levels: Levels, now_unix_s: float) -> dict[str, str]:
    """Resets are times, RFC 3339, rounded up to whole seconds."""
    shown: dict[str, str] = {}
    for meter, name in _ANTHROPIC.items():
        if meter in levels:
            level = levels[meter]
            full_at_s = math.ceil(now_unix_s + level.full_in_s)
            shown[f"anthropic-ratelimit-{name}-limit"] = str(level.per_minute)
            shown[f"anthropic-ratelimit-{name}-remaining"] = str(level.remaining)
            shown[f"anthropic-ratelimit-{name}-reset"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(full_at_s))
    return shown


def openai_headers(levels: Levels) -> dict[str, str]:
    """Resets are durations, rounded up to milliseconds."""
    shown: dict[str, str] = {}
    for meter, name in _OPENAI.items():
        if meter in levels:
            level = levels[meter]
            shown[f"x-ratelimit-limit-{name}"] = str(level.per_minute)
            shown[f"x-ratelimit-remaining-{name}"] = str(level.remaining)
            shown[f"x-ratelimit-reset-{name}"] = go_duration(level.full_in_s)
    return shown


def go_duration(seconds: float) -> str:
    """As Go's `Duration.String` writes it: `0s`, `120ms`, `1.5s`, `6m0s`, `1h0m0s`; rounded up to milliseconds."""
    milliseconds = math.ceil(round(seconds * 1000, 3))
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
