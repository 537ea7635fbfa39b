"""A fleet of real workers over the model broker, in virtual time: everything drawn from a plan."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock

from confluent_kafka import KafkaException

from stream.core.offsets import topic_hash
from stream.core.records import Outgoing, Record
from stream.core.starting import PartitionFacts, Search, Start, Stopped
from stream.core.starting import judge as judge_by
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.attempts import Committer
from stream.kafka.budget import Budget
from stream.kafka.committer import TransactionalCommitter
from stream.kafka.intake import Intake, Owner
from stream.kafka.parts import Parts
from stream.kafka.plain_committer import PlainCommitter
from stream.kafka.worker import Worker
from stream.providers.gated import Gated
from stream.providers.retrying import Retrying, RetryPolicy
from stream.resilience.gate import Gate
from stream.settings.model import WorkerSettings
from stream.telemetry.watch import Watch
from tests.support import simulated_threading
from tests.support.model_broker import Broker
from tests.support.simulated_checks import Excuse, findings, outcomes, unfinished
from tests.support.simulated_consumer import SimulatedConsumer
from tests.support.simulated_link import Link
from tests.support.simulated_plan import REQUESTS_TOPIC, Mishap, Plan
from tests.support.simulated_producer import SimulatedProducer
from tests.support.simulated_time import Process, StuckError, World
from tests.support.simulated_work import Call, Provider, WallClock, pipeline, settle_policy

TOPIC_HASH = topic_hash("id", REQUESTS_TOPIC)
_TIMEOUT_S = 15.0
_LIMIT_S = 300.0
_TIGHT = {
    "core.offsets.WINDOW": 8,
    "kafka.backlog.MAX_OUTCOMES": 2,
    "kafka.commits.MAX_WAITING_OUTCOMES": 4,
    "kafka.partition.WAITING_BYTES": 4_000,
}


class _Told(Watch):
    """Notes what excuses a repeated call, and what nobody should ever see."""

    def __init__(self, fleet: "Fleet", process: Process) -> None:
        self._fleet = fleet
        self._process = process

    def assigned(self, partitions: Iterable[str]) -> None:
        self._fleet.excuses += [Excuse(self._process.time(), self._process.name, each) for each in partitions]

    def revoked(self, partitions: Iterable[str], *, lost: bool, cancelled: int, seconds: float) -> None:
        for partition in partitions:
            self._fleet.excuses.append(Excuse(self._process.time() - seconds, self._process.name, partition))

    def stopped(self, partition: str, cause: str, detail: str, remedy: str) -> None:
        """Nothing here gives reason to stop; only one that was frozen may mistake others' outcomes for lost commits."""
        if not any(excuse.frozen and excuse.process == self._process.name for excuse in self._fleet.excuses):
            self._fleet.defects.append(f"{self._process.name} stopped {partition}: {cause}: {detail}")

    def refused(self, record: Record, reason: str) -> None:
        self._fleet.set_aside.add(record.key)

    def trouble(self, what: str) -> None:
        self._fleet.note(f"{self._process.name}: {what}")


@dataclass
class _Slot:
    """A place for a worker: its process, and how many lives it has had."""

    number: int
    lives: int = 0
    process: Process | None = None
    worker: Worker | None = None
    stopping: bool = False


@contextlib.contextmanager
def _bounds(*, tight: bool) -> Iterator[None]:
    """The worker's bounds; tight ones are reached by a handful of requests."""
    with contextlib.ExitStack() as stack:
        for name, bound in _TIGHT.items() if tight else ():
            stack.enter_context(mock.patch(f"stream.{name}", bound))
        yield


class Fleet:
    """One run. `defects`: what must never happen, seen while it went on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = World(plan.seed)
        partitions = [TopicPartition(REQUESTS_TOPIC, number) for number in range(plan.partitions)]
        self.broker = Broker(self.world, partitions, transaction_timeout_s=_TIMEOUT_S)
        self.calls: list[Call] = []
        self.excuses: list[Excuse] = []
        self.defects: list[str] = []
        self.log: list[str] = []
        self.records: dict[str, Record] = {}
        self.set_aside: set[bytes | None] = set()
        self._slots = [_Slot(number) for number in range(plan.workers)]
        self._visits: dict[tuple[int, str], int] = {}
        self._over = False
        self._judged = -1
        self._chance = Random(plan.seed + 1)
        self.broker.trouble = self._trouble
        self.unwanted = {asked.id for asked in plan.asked if self._chance.random() < 0.1 and plan.refused_until_s}
        self.broker.refuses = self._refused
        self.broker.skips = lambda _: self.world.now_s < plan.troubled_until_s and self._chance.random() < plan.skips

    def findings(self) -> list[str]:
        """Everything that is wrong with the run. A key of which an outcome was set aside, because the broker refuses it
        or all for its topic, has no order to keep; none has where the consumer left out records."""
        unordered = {record.key for id_, record in self.records.items() if id_ in self.unwanted} | self.set_aside
        ordered = {
            a.key for a in self.plan.asked if a.key is not None and self.plan.keyed and not self.plan.skips
        } - unordered
        return self.defects + findings(
            self.broker, self.calls, self.excuses, transactional=self.plan.transactional, ordered=ordered
        )

    def note(self, what: str) -> None:
        """For whoever reads about a failed run."""
        self.log.append(f"{self.world.now_s:9.3f} {what}")

    def live(self) -> None:
        """Begin, go wrong as planned, finish everything, and leave."""
        with simulated_threading.living_in(self.world, self._reach), _bounds(tight=self.plan.tight):
            try:
                self._schedule()
                self.world.run(lambda: bool(self.defects) or self._settled(), _LIMIT_S)
                self.note("everything is settled")
                self._over = True
                for slot in self._slots:
                    self._stop(slot)
                self.world.run(lambda: all(slot.process is None for slot in self._slots), self.world.now_s + 120)
            finally:
                self.world.close()

    # What was planned.

    def _schedule(self) -> None:
        plan = self.plan
        self.broker.group.lenient = plan.lenient
        for asked in sorted(plan.asked, key=lambda asked: asked.at_s):
            self.world.after(asked.at_s, lambda asked=asked: self._ask(asked))  # type: ignore[misc]
        for slot in self._slots:
            self.world.after(
                self._chance.random() * plan.joins_within_s * bool(slot.number), lambda slot=slot: self._start(slot)
            )  # type: ignore[misc]
        for mishap in plan.mishaps:
            if not mishap.visit:
                self.world.after(mishap.at_s, lambda mishap=mishap: self._befall(mishap))  # type: ignore[misc]

    def _ask(self, asked: Any) -> None:
        partition = TopicPartition(REQUESTS_TOPIC, asked.partition)
        if asked.gap_before:
            self.broker.append_gap(partition, asked.gap_before)
        self.records[asked.id] = self.broker.append(partition, asked.key, f"{asked.id} {asked.kind}".encode())

    def _befall(self, mishap: Mishap) -> None:
        self.note(f"mishap: {mishap}")
        slot = self._slots[mishap.worker]
        if mishap.what == "rebalance":
            self.broker.group.rebalance()
        elif mishap.what == "outage":
            self.broker.reachable(False)
            self.world.after(mishap.seconds, lambda: self.broker.reachable(True))
        elif mishap.what == "kill":
            self._kill(slot)
        elif mishap.what == "freeze":
            self._freeze(slot, mishap.seconds)
        elif mishap.what == "restart":
            self._stop(slot)

    def _reach(self, name: str) -> None:
        """A failpoint: where mishaps are planned for, and where threads may be interrupted at any time."""
        process = simulated_threading.here()
        process.check_alive()
        number = int(process.name.partition(".")[0])
        visit = self._visits[number, name] = self._visits.get((number, name), 0) + 1
        for mishap in self.plan.mishaps:
            if (mishap.what, mishap.worker, mishap.visit) == (name, number, visit):
                self.note(f"mishap: {mishap}")
                if mishap.seconds:
                    self._freeze(self._slots[number], mishap.seconds)
                else:
                    self._kill(self._slots[number])
                    process.check_alive()
        if self.world.strand is not None and self._chance.random() < 0.1:
            self.world.strand.park(self._chance.random() * 0.05)

    def _trouble(self, name: str) -> str | None:
        if self.world.now_s > self.plan.troubled_until_s or name in {"join", "heartbeat", "leave", "produce"}:
            return None
        for trouble, chance in self.plan.troubles.items():
            if self._chance.random() < chance and (
                trouble in {"late", "answer_late"} or name in {"end", "add_offsets"}
            ):
                self.note(f"trouble: {name} {trouble}")
                return trouble
        return None

    def _refused(self, outgoing: Outgoing) -> bool:
        id_ = dict(outgoing.headers).get("ce_causationid")
        return self.world.now_s < self.plan.refused_until_s and id_ is not None and id_.decode() in self.unwanted

    def _settled(self) -> bool:
        """Every request has been sent, and for each an outcome is visible."""
        if len(self.records) < len(self.plan.asked) or len(self.broker.history) == self._judged:
            return False
        self._judged = len(self.broker.history)
        return not unfinished(self.broker)

    # Workers' lives.

    def _start(self, slot: _Slot) -> None:
        if self._over or slot.process is not None:
            return
        slot.lives += 1
        process = slot.process = Process(self.world, f"{slot.number}.{slot.lives}")
        self.note(f"{process.name} starts")

        async def main() -> None:
            slot.worker = Worker(self._parts(process, slot), self._settings(), Budget())
            await slot.worker.run()

        process.spawn(main, lambda task: self._ended(slot, process, task))

    def _ended(self, slot: _Slot, process: Process, task: "asyncio.Task[Any]") -> None:
        if process.dead:
            return
        self.note(f"{process.name} ends")
        if (error := task.exception()) is not None:
            self.defects.append(f"{process.name} ended by {error!r}")
        self.defects += [f"{process.name}: {defect}" for defect in process.defects]
        self._kill(slot)

    def _kill(self, slot: _Slot) -> None:
        if slot.process is not None:
            self.note(f"{slot.process.name} is gone")
            self.excuses.append(Excuse(self.world.now_s, slot.process.name, None))
            slot.process.kill()
            slot.process = slot.worker = None
            self.world.after(self._chance.random() * 3, lambda: self._start(slot))

    def _freeze(self, slot: _Slot, seconds: float) -> None:
        if (process := slot.process) is not None:
            process.freeze()
            self.world.after(seconds, process.thaw)
            self.excuses.append(Excuse(self.world.now_s + seconds, process.name, None, frozen=True))

    def _stop(self, slot: _Slot) -> None:
        process, worker = slot.process, slot.worker
        if process is not None and worker is not None:
            process.call_soon(worker.stop)
        elif process is not None:
            self._kill(slot)

    # What a worker is made of.

    def _settings(self) -> WorkerSettings:
        plan = self.plan
        return WorkerSettings(
            delivery="exactly_once" if plan.transactional else "at_least_once",
            ordering="key" if plan.keyed else "none",
            max_in_flight=plan.max_in_flight,
            commit_interval_ms=plan.commit_interval_ms,
            drain_timeout_s=3,
            rebalance_drain_s=2,
        )

    def _parts(self, process: Process, slot: _Slot) -> Parts:
        clock = WallClock(process)
        link = Link(process, self.broker)
        provider, gates = self._provider(process, clock, slot)

        def committer(commit: Callable[[Any], None]) -> Committer:
            if not self.plan.transactional:
                return PlainCommitter(lambda: SimulatedProducer(process, self.broker, None), commit)  # type: ignore[arg-type,return-value]
            id_ = f"group.{slot.number}"
            return TransactionalCommitter(lambda: SimulatedProducer(process, self.broker, id_), lookup, id_)  # type: ignore[arg-type,return-value]

        def lookup(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int | None, str | None]]:
            found = link.ask("committed", lambda: self.broker.committed(partitions), 30.0)
            return {partition: commit or (None, None) for partition, commit in found.items()}

        def intake(assignment: Assignment, owner: Owner) -> Intake:
            make: Any = lambda error_cb, on_commit: SimulatedConsumer(process, self.broker, on_commit)  # noqa: E731
            return Intake(make, [REQUESTS_TOPIC], assignment, owner)

        policy = settle_policy()
        return Parts(
            make_intake=intake,
            make_committer=committer,
            pipeline=pipeline(provider, clock),
            policy=lambda *_: policy,
            judge=lambda partitions: self._judge(link, partitions),
            admissions=gates,
            topic_ids=lambda: {REQUESTS_TOPIC: "id"},
            broker_answers=lambda: self.broker.up,
            watch=_Told(self, process),
            now_ms=clock.now_ms,
            holds_no_record=lambda partition, start, end: link.ask(
                "look", lambda: not any(self.broker.requests[partition][start:end]), 10.0
            ),
        )

    def _provider(self, process: Process, clock: WallClock, slot: _Slot) -> tuple[Any, Mapping[str, Any]]:
        def owns(request_id: str) -> bool:
            record = self.records[request_id]
            assert slot.worker is not None
            return TopicPartition(record.topic, record.partition) in slot.worker._assignment._epochs

        chance = Random(f"{self.plan.seed} {process.name}")
        bare = Provider(process, self.calls, chance, self.plan.longest_call_s, self.plan.provider_faults, owns)
        if not self.plan.gated:
            return bare, {}
        gated = Gated(bare, Gate("fake", ceiling=self.plan.max_in_flight), clock, chance.random)
        return Retrying(gated, RetryPolicy(), chance.random, asyncio.sleep), {"fake": gated}

    def _judge(self, link: Link, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Start | Stopped]:
        """What `starter` does, with the model's facts."""
        committed = link.ask("committed", lambda: self.broker.committed(partitions), 30.0)
        verdicts: dict[TopicPartition, Start | Stopped] = {}
        for partition in partitions:
            offset, metadata = committed[partition] or (None, None)
            high = len(self.broker.requests[partition])
            facts = PartitionFacts(partition.topic, partition.partition, TOPIC_HASH, offset, metadata, 0, high, 0)
            verdict = judge_by(facts)
            if isinstance(verdict, Search):
                found = any(
                    source == partition and offset >= verdict.from_offset for source, offset in outcomes(self.broker)
                )
                verdict = judge_by(facts, outcomes_found=found)
            if isinstance(verdict, Search):
                raise KafkaException("asked twice")
            verdicts[partition] = verdict
        return verdicts


def trouble_with(plan: Plan) -> str:
    """What is wrong with a run of this plan, for a person; empty if nothing is."""
    fleet = Fleet(plan)
    ended = ""
    try:
        fleet.live()
    except StuckError as error:
        ended = str(error)
    found = [*filter(None, [ended]), *fleet.findings()]
    return "\n".join(found)


def story_of(plan: Plan) -> str:
    """The same, with everything that happened before it."""
    fleet = Fleet(plan)
    with contextlib.suppress(StuckError):
        fleet.live()
    return "\n".join([str(plan.evolve(asked=())), *fleet.log, *fleet.findings()])
