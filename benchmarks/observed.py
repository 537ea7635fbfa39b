"""Watching a measured process from outside: results visible under read_committed, its CPU time and its memory."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.bed import Started

STEADY = (0.15, 0.93)
"""The part of a run that counts, by results visible: without the ramp-up, and without the tail, in which nothing new
starts any more."""
_STALLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood at a moment."""

    at_s: float
    visible: int
    cpu_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Steady:
    """What the steady part of a run shows."""

    per_s: float
    cpu_us: float


def until_all_visible(
    started: Started, expected: int, progress: Callable[[int], None] = lambda _: None
) -> list[Sample]:
    """Samples until every result is visible. progress: told how many are.

    Raises TimeoutError if nothing moves, RuntimeError for one too many, or if the process ended.
    """
    samples: list[Sample] = []
    visible = 0
    moved_s = time.monotonic()
    while visible < expected:
        now_s = time.monotonic()
        message = started.results.poll(0.2)
        if message is None:
            started.process.check()
            if now_s - moved_s > _STALLED_S:
                raise TimeoutError(f"{visible} of {expected} results are visible, and no more came for {_STALLED_S} s")
            continue
        messages = [message, *started.results.consume(1_000, 0)]
        if wrong := next((m.error() for m in messages if m.error()), None):
            raise RuntimeError(str(wrong))
        visible += len(messages)
        progress(visible)
        moved_s = time.monotonic()
        if not samples or moved_s - samples[-1].at_s >= 0.02 or visible >= expected:
            samples.append(Sample(moved_s, visible, started.process.cpu_s, started.process.rss_mb))
    if visible > expected:
        raise RuntimeError(f"{visible} results of {expected} requests")
    return samples


def steady(samples: Sequence[Sample]) -> Steady:
    """Throughput and CPU time per record in the steady part."""
    total = samples[-1].visible
    within = [s for s in samples if STEADY[0] * total <= s.visible <= STEADY[1] * total]
    first, last = within[0], within[-1]
    records = last.visible - first.visible
    return Steady(records / (last.at_s - first.at_s), (last.cpu_s - first.cpu_s) / records * 1e6)


def growth_mb_per_100k(samples: Sequence[Sample], warm_up: int) -> float:
    """How resident memory grows with the number of records after the first `warm_up` (least squares)."""
    after = [s for s in samples if s.visible >= warm_up]
    return statistics.linear_regression([s.visible for s in after], [s.rss_mb for s in after]).slope * 100_000
