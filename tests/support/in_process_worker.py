"""A real worker in the test's own event loop: real Kafka, the real core, a provider in the test's hands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream import app
from stream.codecs.strict_json import dumps
from stream.core.outcomes import Outcome
from stream.core.records import Completion, ModelCall, Record, Stop, Usage
from stream.kafka.topic_watch import TopicWatch
from stream.kafka.worker import Worker
from stream.settings import Settings
from stream.telemetry.watch import Watch
from tests.support.kafka import Topics, Unsent
from tests.support.ledger_check import Sent, check_topics
from tests.support.task_folders import write_task
from tests.support.waiting import wait_until_async

CONTRACT = """
from pydantic import BaseModel, ConfigDict

class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

class Input(Strict):
    text: str

class Output(Strict):
    answer: str
"""
TASK = 'model = "fake:model-1"\nstructured = "json_schema"\nmax_output_tokens = 50\nactive = { v1 = 100 }\n'
PROMPT = "# system\n\nAnswer.\n\n# user\n\n<text>{{ text }}</text>\n"


MakeTopics = Callable[..., Topics]
"""The fixture `topics`: makes a test's own, with so many partitions."""


def request(id: str, text: str | None = None, key: bytes | None = None, **more: Any) -> Unsent:  # noqa: A002
    """A request of the task `answer`; its text is its id unless given."""
    return Unsent(dumps({"id": id, "task": "answer", "input": {"text": text or id}}), key, id=id, **more)


class ScriptedProvider:
    """Answers `{"answer": <request id>}`; `before` may wait or raise, `reply` say something else."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.in_the_air: set[str] = set()
        self.at_once = 0
        self.before: Callable[[ModelCall], Awaitable[None]] | None = None
        self.reply: Callable[[ModelCall], str] = lambda call: f'{{"answer":"to {call.request_id}"}}'

    async def complete(self, call: ModelCall) -> Completion:
        call.tally.calls += 1
        self.called.append(call.request_id)
        self.in_the_air.add(call.request_id)
        self.at_once = max(self.at_once, len(self.in_the_air))
        try:
            if self.before is not None:
                await self.before(call)
        finally:
            self.in_the_air.discard(call.request_id)
        usage = Usage(10, 5)
        call.tally.attempts += 1
        call.tally.bill(usage, 7)
        return Completion(self.reply(call), Stop.COMPLETE, "stop", "model-1", usage, 1)

    async def aclose(self) -> None: ...


@dataclass
class Seen(Watch):
    """Remembers what the worker told."""

    visible: int = 0
    outcomes: list[tuple[Record, Outcome]] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    stops: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    broker_changes: list[bool] = field(default_factory=list)
    failed_attempts: list[str] = field(default_factory=list)
    revokes: list[tuple[list[str], bool, int, float]] = field(default_factory=list)

    def finished(self, record: Record, outcome: Outcome) -> None:
        self.outcomes.append((record, outcome))

    def committed(self, outcomes: int, seconds: float) -> None:
        self.visible += outcomes

    def attempt_failed(self, reason: str) -> None:
        self.failed_attempts.append(reason)

    def refused(self, record: Record, reason: str) -> None:
        self.refusals.append((record.offset, reason))

    def started(self, offsets: Mapping[str, int]) -> None:
        self.starts |= offsets

    def stopped(self, partition: str, cause: str, detail: str, remedy: str) -> None:
        self.stops[partition] = (cause, detail, remedy)

    def brokers(self, *, up: bool, detail: str) -> None:
        self.broker_changes.append(up)

    def trouble(self, what: str) -> None:
        self.troubles.append(what)

    def revoked(self, partitions: Iterable[str], *, lost: bool, cancelled: int, seconds: float) -> None:
        self.revokes.append((list(partitions), lost, cancelled, seconds))


@dataclass
class Running:
    """A worker at work."""

    worker: Worker
    seen: Seen
    task: "asyncio.Task[None]"

    async def stop(self) -> None:
        """Drain and leave, as SIGTERM does. Raises what the worker ended with."""
        self.worker.stop()
        await asyncio.wait_for(self.task, 30)


def settings_for(bootstrap_servers: str, topics: Topics, state_dir: Path, **worker: Any) -> Settings:
    """A worker's settings on a test's own topics: a short session time-out, quick drains."""
    return Settings.model_validate(
        {
            "kafka": {
                "bootstrap_servers": bootstrap_servers,
                "group_id": f"{topics.requests}.group",
                "properties": {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 500},
            },
            "topics": {
                "requests": [topics.requests],
                "results": topics.results,
                "dlq": topics.dlq,
                "audit": topics.audit,
                "decisions": topics.decisions,
            },
            "worker": {"state_dir": str(state_dir), "drain_timeout_s": 5, "rebalance_drain_s": 3} | worker,
            "tasks": {"path": str(state_dir / "prompts")},
        }
    )


def with_kafka(settings: Settings, **changes: Any) -> Settings:
    """The settings with other `[kafka]` keys."""
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=changes)})


def _write_task_once(folder: Path) -> None:
    if not folder.exists():
        write_task(folder, "answer", task_toml=TASK, contract=CONTRACT, prompts={"v1.md": PROMPT})


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    provider: ScriptedProvider,
    options: app.WorkerOptions | None = None,
    gates: Mapping[str, Any] | None = None,
) -> AsyncIterator[Running]:
    """A worker over this provider; stopped at the end unless it has ended."""
    _write_task_once(Path(settings.tasks.path))
    topics = TopicWatch(settings)
    await asyncio.to_thread(topics.load)
    seen = Seen()
    steps = app.pipeline(app.catalogue(settings), {"fake": provider})
    worker = app.make_worker(settings, topics, steps, gates or {}, seen, options or app.WorkerOptions())
    task = asyncio.create_task(worker.run())
    started = Running(worker, seen, task)
    try:
        yield started
    finally:
        if not task.done():
            await started.stop()


async def until_visible(run: Running, outcomes: int, deadline_s: float = 30) -> None:
    """Wait until so many outcomes are committed."""
    await wait_until_async(
        lambda: run.seen.visible >= outcomes or run.task.done(),
        deadline_s,
        lambda: f"{run.seen.visible} of {outcomes} visible; {run.worker.figures()}; {run.seen.failed_attempts[-3:]}",
    )


def assert_once_each(bootstrap_servers: str, topics: Topics, sent: Sequence[Sent], *, ordered: bool = True) -> None:
    """Every request sent ended once, in `results` or `dlq`, as the worker's own group left it."""
    report = check_topics(
        bootstrap_servers,
        sent,
        results=topics.results,
        dlq=topics.dlq,
        group=f"{topics.requests}.group",
        ordered=ordered,
    )
    assert report.clean, str(report)
