"""Figures e and f, memory: a worker's with 512 calls in the air, whether it grows, and what `reconcile` takes."""

import json
import subprocess
import sys
import threading

from benchmarks import load
from benchmarks.bed import Bed
from benchmarks.observed import growth_mb_per_100k, until_all_visible
from benchmarks.table import Figure
from benchmarks.throughput import LATENCY_MS, Effort

IN_FLIGHT = 512
_AHEAD = 20_000
"""So many requests at most wait in the topic: it is filled while it is read."""


def memory(bed: Bed, effort: Effort) -> list[Figure]:
    """e: peak over HTTP, then peak and growth over many records."""
    return [_over_http(bed, effort), *_over_many(bed, effort)]


def reconciling(_: Bed, effort: Effort) -> list[Figure]:
    """f: the judge of `reconcile` over millions of requests, fed from memory (see `bench_reconcile`)."""
    millions = effort.reconcile_millions
    command = [sys.executable, "-m", "benchmarks.bench_reconcile", str(millions)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found = json.loads(said[-1])
    if found["wrong"]:
        raise RuntimeError("reconcile judged wrongly")
    return [
        Figure(
            "f",
            f"peak RSS of reconcile's judge, {millions} M requests (before the first one)",
            f"{found['peak_mb']:.0f} MB",
            f"{found['before_mb']:.0f} MB",
            found["peak_mb"] / found["before_mb"],
            "≤ 100 MB for 100 M",
            found["peak_mb"] <= 100,
        )
    ]


def _over_http(bed: Bed, effort: Effort) -> Figure:
    requests = bed.requests(effort.slow_records)
    with bed.bare_loop(requests) as started:
        until_all_visible(started, effort.slow_records)
        bare_mb = started.process.peak_mb
    with (
        bed.http_server(LATENCY_MS) as url,
        bed.worker(requests, None, in_flight=IN_FLIGHT, base_url=f"{url}/v1") as started,
    ):
        until_all_visible(started, effort.slow_records)
        peak_mb = started.process.peak_mb
    return Figure(
        "e",
        "peak RSS, 512 calls in flight over HTTP (bare transactional loop, none in flight)",
        f"{peak_mb:.0f} MB",
        f"{bare_mb:.0f} MB",
        peak_mb / bare_mb,
        "≤ 250 MB",
        peak_mb <= 250,
    )


def _over_many(bed: Bed, effort: Effort) -> list[Figure]:
    records = effort.memory_records
    ours_peak_mb, ours_mb = _growth(bed, records, worker=True)
    bare_peak_mb, bare_mb = _growth(bed, records, worker=False)
    return [
        Figure(
            "e",
            f"peak RSS over {records:,} records answered at once, 512 slots (bare transactional loop)",
            f"{ours_peak_mb:.0f} MB",
            f"{bare_peak_mb:.0f} MB",
            ours_peak_mb / bare_peak_mb,
            "≤ 250 MB",
            ours_peak_mb <= 250,
        ),
        Figure(
            "e",
            f"growth of RSS per 100,000 records, over {records:,} (bare transactional loop)",
            f"{ours_mb:+.2f} MB",
            f"{bare_mb:+.2f} MB",
            None,
            "≤ 2 MB",
            ours_mb <= 2,
        ),
    ]


def _growth(bed: Bed, records: int, *, worker: bool) -> tuple[float, float]:
    """Peak, and growth per 100,000 records after the first third."""
    topic = bed.topic("requests")
    seen = [0]
    writing = threading.Thread(
        target=load.write,
        args=(bed.servers, topic, records, lambda number: number - seen[0] < _AHEAD),
        daemon=True,
    )
    writing.start()
    with bed.worker(topic, 0, in_flight=IN_FLIGHT) if worker else bed.bare_loop(topic) as started:
        samples = until_all_visible(started, records, lambda visible: seen.__setitem__(0, visible))
        peak_mb = started.process.peak_mb
    writing.join()
    bed.forget(topic)
    return peak_mb, growth_mb_per_100k(samples, records // 3)
