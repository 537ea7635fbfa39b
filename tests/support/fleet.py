"""Real worker processes on real topics, with a simulated provider behind them: what chaos and restarts are tried on.

Every incarnation of a worker has an API key of its own, so that the simulator's ledger tells who made which call.
"""

import contextlib
import hashlib
import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.kafka.local import free_port
from tests.support.kafka import Topics
from tests.support.processes import CHECKOUT, Child
from tests.support.waiting import wait_until

MAX_IN_FLIGHT = 24
_CLOCK_KEY = "of-the-clock"
SESSION_TIMEOUT_S = 3.0
MEMBERSHIP = {"session.timeout.ms": int(SESSION_TIMEOUT_S * 1000), "heartbeat.interval.ms": 500}
"""A member that was killed is missed this soon."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request that reached the simulator. at_s: monotonic; status: None if nobody was there to answer to."""

    at_s: float
    who: str
    request_id: str
    status: int | None
    fault: str | None


class SimulatorProcess:
    """`llm-stream simulator` on a free port. A context manager."""

    def __init__(self, folder: Path, seed: int, faults: list[dict[str, Any]], latency_ms: float = 100) -> None:
        port_line = folder / "simulator.log"
        arguments = ("--port", "0", "--seed", str(seed), "--latency-ms", str(latency_ms))
        self._child = Child("-m", "stream", "simulator", *arguments, log=port_line)

        def address() -> str:
            assert self._child.running, self._child.output
            return self._child.output.partition("simulator at ")[2].partition(" ")[0]

        self.url = wait_until(address, 30, lambda: f"the simulator listens: {self._child.output}")
        self.play(faults)
        self._clock: list[float] = []
        for _ in range(5):
            self._set_clock()

    def play(self, faults: list[dict[str, Any]]) -> None:
        """Replace the faults; their seconds count from the next call on."""
        self._post("/admin/faults", {"fault": faults})

    def calls(self, names: Mapping[str, str]) -> list[Call]:
        """Every call so far, but our own. names: who had which key, by `key_mark`."""
        self._set_clock()
        with urllib.request.urlopen(f"{self.url}/admin/ledger", timeout=30) as answer:
            assert answer.headers["x-ledger-dropped"] == "0"
            lines = [json.loads(line) for line in answer.read().splitlines()]
        clock = key_mark(_CLOCK_KEY)
        ours = [line["at_s"] for line in lines if line["key"] == clock]
        zero_s = max(sent_s - at_s for sent_s, at_s in zip(self._clock, ours, strict=True))
        return [
            Call(zero_s + line["at_s"], names[line["key"]], line["request_id"], line["status"], line["fault"])
            for line in lines
            if line["key"] != clock
        ]

    def __enter__(self) -> "SimulatorProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()

    def _set_clock(self) -> None:
        """The ledger counts seconds from its first call; when calls of our own were made says when that was."""
        self._clock.append(time.monotonic())
        self._post("/v1/chat/completions", {"model": "clock", "messages": [{"role": "user", "content": "now"}]})

    def _post(self, path: str, body: Any) -> None:
        headers = {"content-type": "application/json", "authorization": f"Bearer {_CLOCK_KEY}"}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


def key_mark(key: str) -> str:
    """How the simulator's ledger shows a key (docs/simulator.md)."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


@dataclass(slots=True)
class Member:
    """One incarnation of a worker."""

    name: str
    child: Child
    port: int
    started_s: float
    stopped: bool = False
    _ready_s: float | None = None
    _asked_s: float = 0.0

    def ready_for_s(self) -> float:
        """How long ago it was first seen ready, which means that it has partitions; -1: not yet."""
        now_s = time.monotonic()
        if self._ready_s is None and not self.stopped and now_s - self._asked_s > 0.2:
            self._asked_s = now_s
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1),
            ):
                self._ready_s = now_s
        return -1.0 if self._ready_s is None else now_s - self._ready_s


@dataclass(slots=True)
class Fleet:
    """Starts workers of one group on one set of topics. A context manager: on leaving, none runs any more."""

    folder: Path
    bootstrap_servers: str
    simulator_url: str
    topics: Topics
    group: str
    transactional_id: str = ""
    worker: Mapping[str, Any] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """Who had which API key."""
        return {key_mark(member.name): member.name for member in self.members}

    @property
    def running(self) -> list[Member]:
        return [member for member in self.members if member.child.running]

    def start(self, name: str = "worker", failpoints: str = "") -> Member:
        """A new incarnation, its failpoints armed."""
        incarnation = f"{name}#{len(self.members)}"
        env = {
            "ANTHROPIC_API_KEY": incarnation,
            "OPENAI_API_KEY": incarnation,
            "LLM_STREAM_FAILPOINTS": failpoints,
            "LLM_STREAM_DEBUG": "1",
            "LLM_STREAM__TELEMETRY__PORT": str(port := free_port()),
        }
        log = self.folder / f"{incarnation}.log"
        child = Child("-m", "stream", "worker", "-c", self.config(), log=log, env=env)
        self.members.append(Member(incarnation, child, port, time.monotonic()))
        return self.members[-1]

    def config(self, bootstrap_servers: str = "") -> Path:
        """The configuration file, written. bootstrap_servers: for commands that go another way than the workers."""
        servers = bootstrap_servers or self.bootstrap_servers
        kafka = {
            "bootstrap_servers": servers,
            "group_id": self.group,
            "transactional_id": self.transactional_id,
        }
        topics = {
            "requests": [self.topics.requests],
            "results": self.topics.results,
            "dlq": self.topics.dlq,
            "audit": self.topics.audit,
            "decisions": self.topics.decisions,
            "partitions": self.topics.partitions,
        }
        worker = {"max_in_flight": MAX_IN_FLIGHT, "state_dir": str(self.folder / "state"), **self.worker}
        tables: dict[str, Mapping[str, Any]] = {
            "kafka": kafka,
            "kafka.properties": MEMBERSHIP,
            "topics": topics,
            "worker": worker,
            "tasks": {"path": str(CHECKOUT / "prompts")},
            "providers.anthropic": {"kind": "anthropic", "base_url": self.simulator_url, "deadline_s": 10},
            "providers.openai": {"kind": "openai", "base_url": f"{self.simulator_url}/v1", "deadline_s": 10},
        }
        path = self.folder / f"worker-{servers.rpartition(':')[2]}.toml"
        path.write_text("".join(_table(name, values) for name, values in tables.items()))
        return path

    def terminate_all(self, deadline_s: float = 60) -> dict[str, int]:
        """SIGTERM to all who run; their exit codes."""
        leaving = self.running
        for member in leaving:
            member.child.terminate()
        return {member.name: member.child.wait(deadline_s) for member in leaving}

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.child.kill()


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in values.items()]  # JSON's scalars are TOML's
    return f"[{name}]\n{''.join(lines)}\n"
