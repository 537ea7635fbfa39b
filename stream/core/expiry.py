"""Requests that come too late: after its `ce_expirytime` a request isn't paid for any more."""

from stream.core.errors import RouteError

_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3_600, 86_400, 31_557_600


def refuse_expired(expires_at_ms: int | None, now_ms: int) -> None:
    """Raises RouteError (`route/expired`) from that moment on; None: it never expires."""
    if expires_at_ms is not None and now_ms >= expires_at_ms:
        late_s = (now_ms - expires_at_ms) / 1000
        raise RouteError(
            "expired", f"the request expired {in_words(late_s)} ago (ce_expirytime); no call is sent for it now"
        )


def in_words(seconds: float) -> str:
    """For people: `4.2 s`, `3 min`, `2 h 5 min`, `4 d 2 h`, and from two years on `7 years`."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{seconds:.1f} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    if whole < 2 * _YEAR_S:
        return f"{whole // _DAY_S:,} d {whole % _DAY_S // _HOUR_S} h"
    return f"{round(whole / _YEAR_S):,} years"
