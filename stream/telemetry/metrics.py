"""Every metric there is: one table, of which the registry, the scrape page and docs/metrics.md are made.

Labels take values from closed sets only (`LABELS`), never words of an event: a request can't make a new series.
To renew the documentation: `python -m stream.telemetry.metrics docs/metrics.md`.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stream.telemetry.figures import Figures, QuotaFigures

Kind = Literal["counter", "gauge", "histogram"]
Reading = Iterable[tuple[tuple[str, ...], float]]
"""Label values (in the order of the metric's labels) with the value they have."""

CALL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
COMMIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A row. name: as it is scraped. read: for gauges that are read off the worker when somebody looks."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    read: Callable[[Figures], Reading] | None = None


LABELS: dict[str, str] = {
    "task": "the tasks there are, and `unknown`: the request named none of them, or couldn't be read",
    "outcome": "`completed`, `dead_lettered`",
    "stage": "`decode`, `route`, `render`, `call`, `validate`, `encode`",
    "code": "the failure codes of `llm.error.code`; `other` for one that isn't in the table",
    "provider": "the configured providers that tasks use",
    "model": "the models that prompt versions name, as they name them; `other` for any else",
    "class": "`ok`, the classes of a provider's failure, `cancelled` (we gave the call up), `defect` (ours)",
    "tokens": "`input` (cache reads and writes included), `output` (reasoning included), `cache_read`, `cache_write`, "
    "`reasoning`",
    "pool": "the pools of the provider's settings, and `default`",
    "meter": "`requests`, `input_tokens`, `output_tokens`, `tokens` (input and output together)",
    "scope": "`account`, `pool:NAME`, `model:NAME`: what the gate is shut for; `other` for any else",
    "kind": "`assigned`, `revoked` (after draining), `lost` (without)",
    "partition": "`topic:number` of the request topics",
    "cause": "why a partition stopped, as `lag` and the log line say it",
    "version": "of llm-stream",
}
"""What each label may say."""


def _one(value: Callable[[Figures], float]) -> Callable[[Figures], Reading]:
    return lambda figures: [((), float(value(figures)))]


def _of(quota: QuotaFigures) -> tuple[str, ...]:
    return quota.provider, quota.pool, quota.meter


TABLE: tuple[Metric, ...] = (
    # What came in, and what became of it.
    Metric("llm_stream_received_total", "counter", "records", "Records read from Kafka, repeated reads included."),
    Metric(
        "llm_stream_outcomes_total",
        "counter",
        "requests",
        "Requests that ended in an outcome, by what it is; visible once committed.",
        ("task", "outcome"),
    ),
    Metric(
        "llm_stream_dead_letters_total",
        "counter",
        "requests",
        "Requests that became dead letters, by where and why. A series begins with its first dead letter.",
        ("task", "stage", "code"),
    ),
    Metric(
        "llm_stream_cost_micro_usd_total",
        "counter",
        "µUSD",
        "What requests with an outcome have cost, all their calls included, as far as prices are known.",
        ("task",),
    ),
    Metric(
        "llm_stream_unpriced_calls_total",
        "counter",
        "calls",
        "Calls whose price isn't known, and isn't in the cost.",
        ("task",),
    ),
    # Calls.
    Metric(
        "llm_stream_calls_total",
        "counter",
        "calls",
        "Calls sent to a provider, by how they ended. `ok`: a reply came back; whether it is good is judged later.",
        ("provider", "model", "class"),
    ),
    Metric(
        "llm_stream_call_seconds",
        "histogram",
        "s",
        "How long calls took that brought a reply, from sending to the last byte.",
        ("provider", "model"),
        CALL_BUCKETS_S,
    ),
    Metric(
        "llm_stream_tokens_total",
        "counter",
        "tokens",
        "Tokens of calls that brought a reply, as the provider counts them.",
        ("provider", "model", "tokens"),
    ),
    Metric(
        "llm_stream_gates_shut",
        "gauge",
        "",
        "1 while calls for this scope wait at a shut gate, else 0.",
        ("provider", "scope"),
    ),
    Metric(
        "llm_stream_quota_limit_per_minute",
        "gauge",
        "per minute",
        "A quota: of the settings' ceiling and what the provider's headers say the lower.",
        ("provider", "pool", "meter"),
        read=lambda figures: [(_of(quota), quota.limit_per_minute) for quota in figures.quotas],
    ),
    Metric(
        "llm_stream_quota_remaining",
        "gauge",
        "",
        "What the provider last said is left of it, for all who use it.",
        ("provider", "pool", "meter"),
        read=lambda figures: [(_of(quota), quota.remaining) for quota in figures.quotas if quota.remaining is not None],
    ),
    Metric(
        "llm_stream_quota_permitted_per_minute",
        "gauge",
        "per minute",
        "What this worker may use of it at its present pace; far below the limit: others use it, or 429s came.",
        ("provider", "pool", "meter"),
        read=lambda figures: [(_of(quota), quota.permitted_per_minute) for quota in figures.quotas],
    ),
    # Inside the worker.
    Metric(
        "llm_stream_in_flight",
        "gauge",
        "calls",
        "Calls sent and not answered yet.",
        read=_one(lambda figures: figures.in_flight),
    ),
    Metric(
        "llm_stream_waiting",
        "gauge",
        "requests",
        "Requests read and not in flight: they wait for a key, a gate, a slot or the window.",
        read=_one(lambda figures: figures.waiting),
    ),
    Metric(
        "llm_stream_waiting_bytes",
        "gauge",
        "bytes",
        "Bytes of the requests read and not yet started, and 1,024 for each; beyond 16 MiB a partition is not read on.",
        read=_one(lambda figures: figures.waiting_bytes),
    ),
    Metric(
        "llm_stream_uncommitted",
        "gauge",
        "outcomes",
        "Outcomes that are not visible yet.",
        read=_one(lambda figures: figures.uncommitted),
    ),
    # Kafka.
    Metric(
        "llm_stream_commit_seconds",
        "histogram",
        "s",
        "How long attempts took that made outcomes visible.",
        buckets=COMMIT_BUCKETS_S,
    ),
    Metric(
        "llm_stream_commits_failed_total",
        "counter",
        "attempts",
        "Attempts to commit that were aborted; their outcomes are tried again, without new calls.",
    ),
    Metric(
        "llm_stream_refused_total",
        "counter",
        "tries",
        "How often the broker refused an outcome's records; its offset stays unfinished, and it is tried again.",
    ),
    Metric(
        "llm_stream_audit_dropped_total",
        "counter",
        "copies",
        "Audit copies that could not be made, or that the broker refuses.",
    ),
    Metric(
        "llm_stream_rebalances_total",
        "counter",
        "rebalances",
        "How often partitions came or went.",
        ("kind",),
    ),
    Metric(
        "llm_stream_cancelled_calls_total",
        "counter",
        "calls",
        "Requests in flight that were given up because their partition went; its next owner runs them again.",
    ),
    Metric(
        "llm_stream_partitions",
        "gauge",
        "partitions",
        "Partitions assigned to this worker.",
        read=_one(lambda figures: len(figures.partitions)),
    ),
    Metric(
        "llm_stream_partition_stopped",
        "gauge",
        "",
        "1 for each partition that stopped until a person decides.",
        ("partition", "cause"),
        read=lambda figures: [((partition, str(cause)), 1.0) for partition, cause in sorted(figures.stopped.items())],
    ),
    Metric(
        "llm_stream_brokers_up",
        "gauge",
        "",
        "0 while no broker answers, else 1.",
        read=_one(lambda figures: figures.brokers_up),
    ),
    # The worker itself.
    Metric(
        "llm_stream_poll_age_seconds",
        "gauge",
        "s",
        "Since the poll loop last went round; above 30 the worker counts as dead.",
        read=_one(lambda figures: figures.ticked_s_ago),
    ),
    Metric(
        "llm_stream_troubles_total",
        "counter",
        "troubles",
        "What went wrong that the worker went on from by itself; the log says what.",
    ),
    Metric(
        "llm_stream_log_lines_lost_total",
        "counter",
        "lines",
        "Log lines that could not be written (stderr closed, its disk full, or its reader too slow).",
    ),
    Metric("llm_stream_build_info", "gauge", "", "1; the version stands in the label.", ("version",)),
)

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def with_tables(document: str) -> str:
    """The document with what stands between the two markers made anew."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{_tables()}\n{END}{tail}"


def _tables() -> str:
    rows = "".join(
        f"| `{metric.name}` | {metric.kind} | {metric.unit} | {', '.join(f'`{name}`' for name in metric.labels)} "
        f"| {metric.help} |\n"
        for metric in TABLE
    )
    labels = "".join(f"| `{name}` | {values} |\n" for name, values in LABELS.items())
    return (
        f"| metric | type | unit | labels | |\n|---|---|---|---|---|\n{rows}\n"
        f"### Labels\n\n| label | says |\n|---|---|\n{labels}"
    )


def main() -> None:
    """Renew the file named on the command line."""
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
