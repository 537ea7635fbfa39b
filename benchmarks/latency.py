"""Figure d: one request at a time on an idle worker, from append to a result that a read_committed consumer has."""

import itertools
import random
import statistics
import time
from collections.abc import Iterator

from confluent_kafka import Producer

from benchmarks import load
from benchmarks.bed import Bed, Started
from benchmarks.table import Figure
from benchmarks.throughput import Effort
from stream.core.records import Headers

Request = tuple[bytes, Headers, bytes]

_PAUSE_S = (0.05, 0.25)
"""Between two requests, drawn: the worker is idle again, and no period of its loops is met in step."""
_WARM_UP = 15
_ANSWER_S = 30.0


def one_at_a_time(bed: Bed, effort: Effort) -> list[Figure]:
    """d: the median and the 99th percentile, in two turns each."""
    requests = load.requests(1_000_000)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(2):
        topic = bed.topic("requests")
        with bed.worker(topic, 0) as started:
            ours += _latencies_ms(bed, topic, started, requests, effort.latencies // 2)
        topic = bed.topic("requests")
        with bed.bare_loop(topic) as started:
            bare += _latencies_ms(bed, topic, started, requests, effort.latencies // 2)
    return [
        _figure(f"p{percent}", _percentile(ours, percent), _percentile(bare, percent), limit_ms)
        for percent, limit_ms in ((50, 40), (99, 150))
    ]


def _figure(name: str, ours_ms: float, bare_ms: float, limit_ms: float) -> Figure:
    return Figure(
        "d",
        f"idle worker, append to visible result, {name} (bare transactional loop)",
        f"{ours_ms:.1f} ms",
        f"{bare_ms:.1f} ms",
        ours_ms / bare_ms,
        f"≤ {limit_ms} ms",
        ours_ms <= limit_ms,
    )


def _latencies_ms(bed: Bed, topic: str, started: Started, requests: Iterator[Request], count: int) -> list[float]:
    draw = random.Random(7)
    producer = load.producer(bed.servers, linger_ms=0)
    latencies = []
    for request in itertools.islice(requests, _WARM_UP + count):
        latencies.append(_latency_ms(topic, producer, started, request))
        time.sleep(draw.uniform(*_PAUSE_S))
    return latencies[_WARM_UP:]


def _latency_ms(topic: str, producer: Producer, started: Started, request: Request) -> float:
    """From handing the request to a producer that sends at once, until the result is in the observer's hands."""
    key, headers, value = request
    began_s = time.perf_counter()
    producer.produce(topic, value, key, headers=list(headers))
    while time.perf_counter() - began_s < _ANSWER_S:
        message = started.results.poll(0.5)
        producer.poll(0)
        if message is not None and message.error() is None:
            return (time.perf_counter() - began_s) * 1_000
        started.process.check()
    raise TimeoutError(f"no result within {_ANSWER_S} s")


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
