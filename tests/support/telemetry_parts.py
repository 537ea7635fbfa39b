"""Outcomes, metrics and logs to look at, for tests of telemetry."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from stream.core.outcomes import Completed, DeadLettered, Failure
from stream.core.records import Completion, Cost, Prompt, Record, Request, Stop, Usage
from stream.telemetry.figures import Figures
from stream.telemetry.logs import LogFormat, Logs
from stream.telemetry.registry import Known, Metrics


@dataclass(frozen=True)
class SomeVersion:
    """As much of a prompt version as telemetry looks at."""

    task: str = "greet"
    provider: str = "main"
    model: str = "small-1"

    @property
    def label(self) -> str:
        return f"{self.task}@v1#0123456789ab"


NAMES = Known(
    frozenset({"greet", "sum-up"}), {"main": frozenset({"small-1", "large-1"})}, {"main": frozenset({"batch"})}
)
COST = Cost(attempts=1, calls=2, usage=Usage(30, 20), micro_usd=1_234, unpriced_calls=1)


def record(offset: int = 7, topic: str = "llm.requests") -> Record:
    return Record(topic, 3, offset, b"k", b"v", (), 1_000)


def completed(request_id: str = "r-1", task: str = "greet", cost: Cost = COST, **version: str) -> Completed:
    """A request that went well."""
    reply = Completion('{"text":"hello"}', Stop.COMPLETE, "end_turn", "small-1-2026", Usage(30, 20), 512)
    of_it: Any = SomeVersion(task, **version)
    return Completed(Request(request_id, task, {"secret": "of the input"}), of_it, Prompt("s", "u"), {}, reply, cost)


def dead_lettered(
    request_id: str = "r-1",
    task: str = "greet",
    stage: Any = "validate",
    code: str = "placeholder",
    detail: str = "$.name is a placeholder",
    cost: Cost = COST,
) -> DeadLettered:
    """A request that didn't."""
    version: Any = SomeVersion(task)
    failure = Failure(stage, code, detail, (), cost)
    return DeadLettered(failure, Request(request_id, task, {"secret": "of the input"}), version, Prompt("s", "u"))


def some_metrics(figures: Callable[[], Figures] = Figures, names: Known = NAMES) -> Metrics:
    return Metrics(names, "1.2.3", figures)


def scraped(metrics: Metrics | str) -> dict[str, float]:
    """A page's samples by name and labels, as they are written: `name{a="b"}`."""
    page = metrics if isinstance(metrics, str) else metrics.page().decode()
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


class Written:
    """What a log has written, once it is closed."""

    def __init__(self, logs: Logs, read_fd: int) -> None:
        self.logs = logs
        self._read_fd = read_fd
        self.text = ""

    def read(self) -> None:
        with os.fdopen(self._read_fd, "rb") as file:
            self.text = file.read().decode()

    @property
    def raw_lines(self) -> list[str]:
        """Lines as a reader of the stream cuts them: at line feeds only."""
        return self.text.removesuffix("\n").split("\n") if self.text else []

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw_lines]


@contextmanager
def logging_to_a_pipe(log_format: LogFormat = "json") -> Iterator[Written]:
    """Logs that can be read after the block; few enough lines to fit a pipe."""
    read_fd, write_fd = os.pipe()
    logs = Logs(log_format, fd=write_fd)
    os.close(write_fd)
    written = Written(logs, read_fd)
    try:
        with logs:
            yield written
    finally:
        written.read()
