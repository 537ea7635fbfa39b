"""One limit of a quota: what is left of it. No I/O, no clock, no chance: callers pass the time.

A level never exceeds the capacity. It may be below 0 where more was taken than was there (`take` asks nothing), and
then has to be refilled before anything passes. A clock that stands still or goes back changes nothing.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, get_args

Refill = Literal["continuous", "at_once"]
REFILLS: tuple[Refill, ...] = get_args(Refill)

_TOLERANCE = 1e-6
"""Tokens, requests or windows, whichever is compared: floats that differ by less are the same."""


class Bucket(ABC):
    """per_minute: the configured limit, > 0. window_s: what a full bucket holds, in seconds of its refill, > 0.

    It holds one request or token at least, however small the window: else nothing would ever pass.
    start_s: when it is full for the first time; fixed windows count from there.
    """

    def __init__(self, per_minute: float, window_s: float, start_s: float = 0.0) -> None:
        self.per_minute, self.window_s, self.start_s = per_minute, window_s, start_s
        self.factor = 1.0
        self.now_s = start_s
        self.level = self.capacity

    @property
    def per_window(self) -> float:
        """What flows in during one window, others' share taken off."""
        return self.per_minute * self.factor * self.window_s / 60

    @property
    def capacity(self) -> float:
        """What it holds at most, ≥ 1."""
        return max(1.0, self.per_window)

    @property
    def configured_capacity(self) -> float:
        """What it holds at most when others take nothing."""
        return max(1.0, self.per_minute * self.window_s / 60)

    def advance(self, now_s: float) -> None:
        """Refill up to this time."""
        if now_s > self.now_s:
            self.level = min(self.capacity, self._refilled(now_s))
            self.now_s = now_s

    def take(self, amount: float) -> None:
        """Take it, whether it is there or not."""
        self.level -= amount

    def drain(self, amount: float) -> None:
        """Take as much of it as is there."""
        self.level = max(min(self.level, 0.0), self.level - amount)

    def scale(self, factor: float) -> None:
        """Refill and capacity are the configured ones times `factor`, 0 < factor ≤ 1; what doesn't fit is gone."""
        self.factor = factor
        self.level = min(self.level, self.capacity)

    def wait_s(self, need: float) -> float:
        """Seconds until the level is `need`, if nobody takes anything; 0: it is; inf: more than it can hold."""
        if self.level >= need - _TOLERANCE:
            return 0.0
        return math.inf if need > self.capacity + _TOLERANCE else self._wait_s(need)

    def full_in_s(self) -> float:
        """Seconds until it is full, if nobody takes anything."""
        return self.wait_s(self.capacity)

    @abstractmethod
    def _refilled(self, now_s: float) -> float:
        """The level at a later time, had it no capacity."""

    @abstractmethod
    def _wait_s(self, need: float) -> float:
        """`wait_s`, where there is something to wait for."""


class Continuous(Bucket):
    """Refilled all the time. In any W seconds it gives at most refill · W + capacity."""

    def _refilled(self, now_s: float) -> float:
        return self.level + (now_s - self.now_s) * self.per_window / self.window_s

    def _wait_s(self, need: float) -> float:
        return (need - self.level) * self.window_s / self.per_window


class AtOnce(Bucket):
    """Full again, debts forgiven, at each multiple of the window: for everybody in the same second.

    In any W seconds it gives at most refill · W + twice the capacity, as there are two sides of a window's end.
    """

    def _refilled(self, now_s: float) -> float:
        windows = self._window(now_s) - self._window(self.now_s)
        return max(self.level, 0.0) + windows * self.per_window if windows else self.level

    def _wait_s(self, need: float) -> float:
        missing = need - max(self.level, 0.0)
        windows = max(1, math.ceil(missing / self.per_window - _TOLERANCE))
        return self.start_s + (self._window(self.now_s) + windows) * self.window_s - self.now_s

    def _window(self, now_s: float) -> int:
        return math.floor((now_s - self.start_s) / self.window_s + _TOLERANCE)


BUCKETS: Mapping[Refill, type[Bucket]] = {"continuous": Continuous, "at_once": AtOnce}
