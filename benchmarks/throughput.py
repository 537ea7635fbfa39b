"""Figures a, b and c: records per second and what each costs. A pair is measured in turns, A B A B; medians count."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.bed import Bed
from benchmarks.measured import Measured
from benchmarks.observed import Steady, steady, until_all_visible
from benchmarks.table import Figure

LATENCY_MS = 500
IN_FLIGHT = 500
IDEAL_PER_S = IN_FLIGHT / (LATENCY_MS / 1_000)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    fast_records: int
    slow_records: int
    seconds: int
    latencies: int
    memory_records: int
    reconcile_millions: int


FULL = Effort(
    rounds=3,
    fast_records=60_000,
    slow_records=15_000,
    seconds=12,
    latencies=300,
    memory_records=300_000,
    reconcile_millions=100,
)
QUICK = Effort(
    rounds=1,
    fast_records=30_000,
    slow_records=8_000,
    seconds=6,
    latencies=60,
    memory_records=40_000,
    reconcile_millions=2,
)


def at_once(bed: Bed, effort: Effort) -> list[Figure]:
    """a: a provider in the process that answers at once, against the bare loop."""
    requests = bed.requests(effort.fast_records)
    _bare(bed, requests, effort.fast_records)  # Kafka's JVM is warm afterwards
    ours, bare = _in_turns(
        effort.rounds,
        lambda: _worker(bed, requests, effort.fast_records, 0),
        lambda: _bare(bed, requests, effort.fast_records),
    )
    return [
        Figure(
            "a",
            "provider at once, one core: throughput (bare transactional loop)",
            f"{ours.per_s:,.0f} rec/s",
            f"{bare.per_s:,.0f} rec/s",
            ours.per_s / bare.per_s,
            "≥ 3,000 rec/s",
            ours.per_s >= 3_000,
        ),
        Figure(
            "a",
            "provider at once, one core: CPU per record (bare transactional loop)",
            f"{ours.cpu_us:,.0f} µs",
            f"{bare.cpu_us:,.0f} µs",
            ours.cpu_us / bare.cpu_us,
            "≤ 330 µs",
            ours.cpu_us <= 330,
        ),
    ]


def slow_provider(bed: Bed, effort: Effort) -> list[Figure]:
    """b: 500 ms latency, 500 in flight: in the process against the ideal, over HTTP against the bare SDK."""
    requests = bed.requests(effort.slow_records)
    runs = [_worker(bed, requests, effort.slow_records, LATENCY_MS) for _ in range(effort.rounds)]
    ours = _median(runs)
    figures = [
        Figure(
            "b",
            "500 ms provider in the process, 500 in flight (ideal)",
            f"{ours.per_s:,.0f} rec/s",
            f"{IDEAL_PER_S:,.0f} rec/s",
            ours.per_s / IDEAL_PER_S,
            "≥ 0.95",
            ours.per_s >= 0.95 * IDEAL_PER_S,
        )
    ]
    with bed.http_server(LATENCY_MS) as url:
        for kind in ("openai", "anthropic"):
            figures += _over_http(bed, effort, requests, kind, url)
    return figures


def _over_http(bed: Bed, effort: Effort, requests: str, kind: str, url: str) -> list[Figure]:
    base_url = f"{url}/v1" if kind == "openai" else url
    ours, bare = _in_turns(
        effort.rounds,
        lambda: _worker(bed, requests, effort.slow_records, None, kind=kind, base_url=base_url),
        lambda: _sdk(bed, kind, url, effort.seconds),
    )
    return [
        Figure(
            "b",
            f"500 ms over HTTP, {kind} SDK, 500 in flight (bare SDK loop, no Kafka)",
            f"{ours.per_s:,.0f} rec/s",
            f"{bare.per_s:,.0f} calls/s",
            ours.per_s / bare.per_s,
            "≥ 0.65",
            ours.per_s >= 0.65 * bare.per_s,
        ),
        Figure(
            "b",
            f"the same: CPU per record, {kind} SDK (bare SDK loop, no Kafka)",
            f"{ours.cpu_us:,.0f} µs",
            f"{bare.cpu_us:,.0f} µs",
            ours.cpu_us / bare.cpu_us,
            "",
            None,
        ),
    ]


def guarantees(bed: Bed, effort: Effort) -> list[Figure]:
    """c: what exactly-once costs in throughput."""
    requests = bed.requests(effort.slow_records)
    exactly, at_least = _in_turns(
        effort.rounds,
        lambda: _worker(bed, requests, effort.slow_records, LATENCY_MS),
        lambda: _worker(bed, requests, effort.slow_records, LATENCY_MS, delivery="at_least_once"),
    )
    return [
        Figure(
            "c",
            "exactly-once at 500 ms latency (at-least-once)",
            f"{exactly.per_s:,.0f} rec/s",
            f"{at_least.per_s:,.0f} rec/s",
            exactly.per_s / at_least.per_s,
            "≥ 0.95",
            exactly.per_s >= 0.95 * at_least.per_s,
        )
    ]


def _worker(bed: Bed, requests: str, records: int, latency_ms: int | None, **settings: str) -> Steady:
    with bed.worker(requests, latency_ms, in_flight=IN_FLIGHT, **settings) as started:
        return steady(until_all_visible(started, records))


def _bare(bed: Bed, requests: str, records: int) -> Steady:
    with bed.bare_loop(requests) as started:
        return steady(until_all_visible(started, records))


def _sdk(bed: Bed, kind: str, url: str, seconds: int) -> Steady:
    log = bed.folder / "bare_sdk.log"
    with Measured("benchmarks.bare_sdk", [kind, url, str(seconds)], bed.core, log) as process:
        line = process.line()
        if not line:
            raise RuntimeError(log.read_text()[-2_000:])
        return Steady(**json.loads(line))


def _in_turns(
    rounds: int, measure_ours: Callable[[], Steady], measure_reference: Callable[[], Steady]
) -> tuple[Steady, Steady]:
    runs = [(measure_ours(), measure_reference()) for _ in range(rounds)]
    return _median([ours for ours, _ in runs]), _median([reference for _, reference in runs])


def _median(runs: Sequence[Steady]) -> Steady:
    return Steady(statistics.median(run.per_s for run in runs), statistics.median(run.cpu_us for run in runs))
