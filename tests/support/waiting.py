"""Waiting for a condition, with a deadline: the only way tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")
Message = str | Callable[[], str]
"""What was waited for; a callable is asked at the deadline, so that it can tell how far things got."""


def wait_until(condition: Callable[[], T], deadline_s: float, message: Message, every_s: float = 0.02) -> T:
    """The first truthy value of `condition`. Raises AssertionError with the message after `deadline_s`."""
    end_s = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise AssertionError(_too_late(message, deadline_s))
        time.sleep(every_s)
    return value


async def wait_until_async(
    condition: Callable[[], T | Awaitable[T]], deadline_s: float, message: Message, every_s: float = 0.01
) -> T:
    """The same for a test on an event loop; the condition may be a coroutine function."""
    end_s = time.monotonic() + deadline_s
    while True:
        outcome = condition()
        value: T = await outcome if isawaitable(outcome) else outcome
        if value:
            return value
        if time.monotonic() > end_s:
            raise AssertionError(_too_late(message, deadline_s))
        await asyncio.sleep(every_s)


def _too_late(message: Message, deadline_s: float) -> str:
    return f"not within {deadline_s:g} s: {message() if callable(message) else message}"
