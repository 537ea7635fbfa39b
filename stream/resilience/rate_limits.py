"""What a provider says of its quotas: the rate-limit headers of a response, believed only if they make sense.

Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, a reset being an
RFC 3339 time (docs.anthropic.com, "Rate limits"). OpenAI, and what speaks like it:
`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, a reset being a Go duration such as `6m0s`
(platform.openai.com, "Rate limits"), at Azure a number of seconds; -1 is what it doesn't know.
"""

import re
from collections.abc import Iterable, Mapping

from stream.core.quotas import NO_QUOTAS, Meter, Quota, Quotas

MINUTE_S = 60.0
DAY_S = 86_400.0
LARGEST = 1e12
"""More requests or tokens than any quota: a limit beyond it is none."""

_LONGEST_VALUE = 32
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?", re.ASCII)
_GO_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]*)?)s)?", re.ASCII)

_ANTHROPIC = "anthropic-ratelimit-"
_OPENAI = "x-ratelimit-"
FAMILIES = (_ANTHROPIC, _OPENAI)
"""How the names of all such headers begin."""

SPELLINGS: tuple[tuple[Meter, str, str, str], ...] = (
    *(
        (meter, f"{_ANTHROPIC}{word}-limit", f"{_ANTHROPIC}{word}-remaining", "")
        for meter, word in (
            (Meter.REQUESTS, "requests"),
            (Meter.INPUT, "input-tokens"),
            (Meter.OUTPUT, "output-tokens"),
            (Meter.TOKENS, "tokens"),
        )
    ),
    *(
        (meter, f"{_OPENAI}limit-{word}", f"{_OPENAI}remaining-{word}", f"{_OPENAI}reset-{word}")
        for meter, word in (
            (Meter.REQUESTS, "requests"),
            (Meter.TOKENS, "tokens"),
            (Meter.REQUESTS, "project-requests"),
            (Meter.TOKENS, "project-tokens"),
            (Meter.TOKENS, "tokens_usage_based"),
        )
    ),
)
"""What counts, and the headers that say limit, remaining and (where it tells the window) reset."""


def parse_rate_limits(headers: Iterable[tuple[str, str]]) -> Quotas:
    """The quotas that a response speaks of, of several for one meter the tightest; what makes no sense is left out.

    headers: names and values as they came; of a name that is there twice the last counts.
    """
    said = {name: value for spelled, value in headers if (name := spelled.lower()).startswith(FAMILIES)}
    if not said:
        return NO_QUOTAS
    found: dict[Meter, Quota] = {}
    for meter, limit_name, remaining_name, reset_name in SPELLINGS:
        if limit_name in said and (quota := _quota(said, limit_name, remaining_name, reset_name)):
            before = found.get(meter)
            if before is None or quota.remaining / quota.per_s < before.remaining / before.per_s:
                found[meter] = quota
    if Meter.INPUT in found and Meter.OUTPUT in found:
        found.pop(Meter.TOKENS, None)  # Anthropic then shows there whichever limit is the tightest, in its tokens
    return found


def _quota(said: Mapping[str, str], limit_name: str, remaining_name: str, reset_name: str) -> Quota | None:
    limit, remaining = _number(said[limit_name]), _number(said.get(remaining_name, ""))
    if limit is None or remaining is None or not 0 < limit <= LARGEST:
        return None
    remaining = min(remaining, limit)
    return Quota(limit, remaining, limit / _window_s(limit, limit - remaining, said.get(reset_name, "")))


def _window_s(limit: float, used: float, reset: str) -> float:
    """Quotas are per minute, but OpenAI's of requests may be per day: what is used comes back until the reset, and
    tells. Anthropic's resets are rounded to seconds, and tell nothing."""
    reset_s = _duration_s(reset)
    if reset_s is None or used < 1 or limit * reset_s / used < DAY_S / 2:
        return MINUTE_S
    return DAY_S


def _number(value: str) -> float | None:
    """Plain decimals only: `float()` would take `nan`, `1_000` and digits of other scripts."""
    if len(value) > _LONGEST_VALUE:
        return None
    value = value.strip()
    return float(value) if _NUMBER.fullmatch(value) else None


def _duration_s(value: str) -> float | None:
    """`1h2m3.5s` as seconds, at most a day; what is shorter than a second, as in `120ms`, tells no window either."""
    found = _GO_DURATION.fullmatch(value) if 0 < len(value) <= _LONGEST_VALUE else None
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    total_s = float(hours or 0) * 3600 + float(minutes or 0) * 60 + float(seconds or 0)
    return total_s if total_s <= DAY_S else None
