"""Where figures are measured: a real Kafka of its own, topics of one partition, what is measured on a core of its own.

Kafka, the writer of requests, the observer and the fake provider share the other cores.
"""

import contextlib
import os
import shutil
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from benchmarks import load
from benchmarks.measured import Measured, cores
from stream.kafka.local import LocalKafka, free_port
from stream.kafka.local_libs import ensure_libs

KAFKA_JVM = ("-Xms768m", "-Xmx768m", "-XX:+UseSerialGC")
_START_S = 90.0
_SEGMENT_BYTES = str(64 * 1024 * 1024)
_TASK = Path(__file__).parents[1] / "prompts" / "classify-ticket"
_MODELS = {"openai": "openai:gpt-4.1-mini", "anthropic": "anthropic:claude-haiku-4-5"}


@dataclass(frozen=True, slots=True)
class Started:
    """A measured process that answers requests, and where its results appear."""

    process: Measured
    results: Consumer
    telemetry_url: str = ""

    def metrics(self) -> str:
        """The worker's metrics page; empty if it serves none."""
        try:
            with urllib.request.urlopen(f"{self.telemetry_url}/metrics", timeout=5) as page:
                return str(page.read().decode())
        except (OSError, ValueError):
            return ""


@dataclass
class Bed:
    """Use as a context: starts Kafka, and leaves nothing behind."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="llm-stream-bench-")))
    telemetry_seen: bool = True
    """Whether every worker so far served its metrics and wrote its log."""

    def __enter__(self) -> "Bed":
        self._affinity = os.sched_getaffinity(0)
        self.core, others = cores()
        os.sched_setaffinity(0, others)
        self._kafka = LocalKafka(ensure_libs(print), self.folder / "kafka", jvm=KAFKA_JVM)
        try:
            self._kafka.start(_START_S)
        except BaseException:
            self.__exit__()
            raise
        self.servers = self._kafka.bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        self._filled: dict[int, str] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._kafka.kill()
        os.sched_setaffinity(0, self._affinity)
        shutil.rmtree(self.folder, ignore_errors=True)

    def topic(self, name: str = "topic") -> str:
        """A fresh topic of one partition."""
        made = f"{name}-{uuid.uuid4().hex[:8]}"
        new = NewTopic(made, 1, 1, config={"segment.bytes": _SEGMENT_BYTES})
        self._admin.create_topics([new])[made].result(20)
        return made

    def forget(self, topic: str) -> None:
        """Remove a topic and what it takes on the disk."""
        self._admin.delete_topics([topic])[topic].result(20)

    def requests(self, count: int) -> str:
        """A topic with so many requests; written once, read by every run that wants as many."""
        if count not in self._filled:
            topic = self.topic("requests")
            load.write(self.servers, topic, count)
            self._filled[count] = topic
        return self._filled[count]

    @contextlib.contextmanager
    def worker(
        self,
        requests: str,
        latency_ms: int | None,
        *,
        delivery: str = "exactly_once",
        in_flight: int = 500,
        kind: str = "openai",
        base_url: str = "http://127.0.0.1:9",
    ) -> Iterator[Started]:
        """A worker with its defaults, metrics and logs on. latency_ms: of the provider in the process; None: HTTP."""
        run = self.folder / uuid.uuid4().hex[:8]
        shutil.copytree(_TASK, run / "prompts" / "classify-ticket")
        task = run / "prompts" / "classify-ticket" / "task.toml"
        task.write_text(task.read_text().replace(_MODELS["openai"], _MODELS[kind]))
        outcomes = {name: self.topic(name) for name in ("results", "dlq", "audit", "decisions")}
        port = free_port()
        config = run / "llm-stream.toml"
        config.write_text(
            f'[kafka]\nbootstrap_servers = "{self.servers}"\ngroup_id = "{run.name}"\n'
            f'[topics]\nrequests = ["{requests}"]\n'
            + "".join(f'{name} = "{topic}"\n' for name, topic in outcomes.items())
            + f'[worker]\ndelivery = "{delivery}"\nmax_in_flight = {in_flight}\nstate_dir = "{run}"\n'
            f'[tasks]\npath = "{run}/prompts"\n[telemetry]\nport = {port}\nlog_format = "json"\n'
            f'[providers.{kind}]\nkind = "{kind}"\nbase_url = "{base_url}"\napi_key_env = "BENCHMARK_KEY"\n'
        )
        arguments = [str(config)] if latency_ms is None else [str(config), str(latency_ms)]
        with self._results(outcomes["results"]) as results:
            log = run / "worker.log"
            with Measured("benchmarks.worker", arguments, self.core, log) as process:
                started = Started(process, results, f"http://127.0.0.1:{port}")
                yield started
                self.telemetry_seen &= "llm_stream_outcomes_total" in started.metrics()
            self.telemetry_seen &= log.stat().st_size > 0

    @contextlib.contextmanager
    def bare_loop(self, requests: str) -> Iterator[Started]:
        """The reference: see `bare_loop`."""
        results = self.topic("results")
        arguments = [self.servers, requests, results]
        log = self.folder / f"{results}.log"
        with self._results(results) as reader, Measured("benchmarks.bare_loop", arguments, self.core, log) as process:
            yield Started(process, reader)

    @contextlib.contextmanager
    def http_server(self, latency_ms: int) -> Iterator[str]:
        """A fake provider over HTTP; its address."""
        log = self.folder / "http_server.log"
        with Measured("benchmarks.http_server", [str(latency_ms)], os.sched_getaffinity(0), log) as server:
            yield f"http://127.0.0.1:{int(server.line())}"

    @contextlib.contextmanager
    def _results(self, topic: str) -> Iterator[Consumer]:
        """What a consumer of results sees: committed records only."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"{topic}.observer",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 10,
                "log_level": 0,
            }
        )
        consumer.assign([TopicPartition(topic, 0, 0)])
        try:
            yield consumer
        finally:
            consumer.close()
