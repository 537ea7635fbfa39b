"""An event loop whose clock jumps to the next timer when nothing else is to be done.

Simulated hours take as long as their callbacks, and the same program runs in the same order every time. Only timers are
virtual: a coroutine that waits for a socket or a thread is served in real time, so keep those out of simulations.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_STUCK_S = 0.2
_EPOCH_MS = 1_800_000_000_000


class StuckError(RuntimeError):
    """Nothing is left that could ever happen, or the simulation outlived its limit, before the coroutine returned."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Instead of waiting for the next timer, moves the loop's clock to it."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:  # no timer and nothing ready: only another thread could help
            events = super().select(_STUCK_S)
            if not events:
                raise StuckError(f"every coroutine waits and no timer is set, at {self.loop.time():.3f} s")
            return events
        self.loop.jump(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. Its time starts at 0."""

    def __init__(self, limit_s: float = float("inf")) -> None:
        self._now_s = 0.0
        self._limit_s = limit_s
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Simulated seconds since the start."""
        return self._now_s

    def jump(self, delay_s: float) -> None:
        """Move the clock on; exactly to the next timer if it is that far away (sums of floats fall short of it)."""
        then_s = self._now_s + delay_s
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if scheduled and abs(scheduled[0].when() - then_s) < 1e-6:
            then_s = scheduled[0].when()
        self._now_s = max(self._now_s, then_s)
        if self._now_s > self._limit_s:
            limit_s, self._limit_s = self._limit_s, float("inf")  # the clean-up may take its time
            raise StuckError(f"still running after {limit_s} simulated seconds")


class VirtualClock:
    """The core's Clock on the running loop's time."""

    def now_ms(self) -> int:
        """Wall clock: the loop's time starts at a fixed date."""
        return _EPOCH_MS + round(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        """The running loop's time."""
        return asyncio.get_running_loop().time()


def run_virtual(main: Coroutine[Any, Any, T], *, limit_s: float = 86_400.0) -> T:
    """What the coroutine returns, run in virtual time.

    limit_s: simulated seconds after which it counts as stuck. Raises StuckError, also where nothing can happen.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s)) as runner:
        return runner.run(main)


def simulated(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that lives in virtual time."""

    def run() -> None:
        run_virtual(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
