"""Simulated time jumps, keeps its order, and says so when nothing can happen any more."""

import asyncio

import pytest

from tests.support.virtual_time import StuckError, VirtualClock, run_virtual


def test_a_day_passes_at_once_and_exactly() -> None:
    async def main() -> tuple[float, int]:
        clock, before_ms = VirtualClock(), VirtualClock().now_ms()
        await asyncio.sleep(86_000.1)
        return clock.monotonic_s(), clock.now_ms() - before_ms

    assert run_virtual(main()) == (86_000.1, 86_000_100)


def test_timers_fire_in_their_order_every_time() -> None:
    async def main() -> list[float]:
        fired: list[float] = []

        async def sleeper(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            fired.append(delay_s)

        await asyncio.gather(*(sleeper((n * 7919 % 1000) / 10) for n in range(1000)))
        return fired

    first = run_virtual(main())
    assert first == sorted(first) == run_virtual(main())


def test_deadlines_are_virtual_too() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.Event().wait()
        return VirtualClock().monotonic_s()

    assert run_virtual(main()) == 600


def test_waiting_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="no timer is set"):
        run_virtual(main())


def test_running_past_the_limit_is_an_error() -> None:
    async def main() -> None:
        for _ in range(100):
            await asyncio.sleep(1)

    with pytest.raises(StuckError, match="after 50"):
        run_virtual(main(), limit_s=50)
