"""How long to wait before the next try. Pure: chance comes in as `rand`.

Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015): of the schemes compared there it
needs the fewest calls, because it leaves no two waiters in step.
"""

from collections.abc import Callable

Rand = Callable[[], float]
"""Draws a number in [0, 1)."""

BASE_S = 0.5
CAP_S = 30.0
ALONE_CAP_S = 900.0
_TRIES_TO_CAP = 6
_ALONE_TRIES_TO_CAP = 10


def backoff_s(tries: int, rand: Rand, retry_after_s: float | None = None) -> float:
    """Seconds before the next try: `U(0, min(30, 0.5·2ⁿ))`, or what the provider asked for plus jitter.

    tries: n, how many failed before this one (0 after the first failure).
    """
    if retry_after_s is not None:
        return asked_for_s(retry_after_s, rand)
    return rand() * min(CAP_S, BASE_S * 2.0 ** min(tries, _TRIES_TO_CAP))


def alone_s(tries: int, rand: Rand, retry_after_s: float | None = None) -> float:
    """Seconds until a request that is refused while others get through is tried again: half to all of 1 s, 2 s, 4 s,
    up to 15 minutes, and never sooner than the provider asked for. It shuts no gate that would make it wait.

    tries: how many such refusals came before this one.
    """
    own_s = (0.5 + 0.5 * rand()) * min(ALONE_CAP_S, 2.0 ** min(tries, _ALONE_TRIES_TO_CAP))
    return own_s if retry_after_s is None else max(own_s, asked_for_s(retry_after_s, rand))


def asked_for_s(retry_after_s: float, rand: Rand) -> float:
    """`RA + U(0, min(1 + 0.25·RA, 5))`: never sooner than asked, and not all waiters at once.

    retry_after_s: as `parse_retry_after` gives it, 0 ≤ RA ≤ 900; the jitter comes on top.
    """
    return retry_after_s + rand() * min(1 + 0.25 * retry_after_s, 5.0)
