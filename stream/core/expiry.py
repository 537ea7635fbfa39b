"""Requests that come too late: after its `ce_expirytime` a request isn't paid for any more."""

from stream.core.errors import RouteError


def refuse_expired(expires_at_ms: int | None, now_ms: int) -> None:
    """Raises RouteError (`route/expired`) from that moment on; None: it never expires."""
    if expires_at_ms is not None and now_ms >= expires_at_ms:
        late_s = (now_ms - expires_at_ms) / 1000
        raise RouteError(
            "expired", f"the request expired {late_s:.1f} s ago (ce_expirytime); no call is sent for it now"
        )
