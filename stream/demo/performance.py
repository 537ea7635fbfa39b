"""The demo's run: a simulated provider, a worker and a sender in this process, and a storm over them.

Promises: when `running` is left, however that happens, worker, simulator and sender have ended; no step waits without a
bound; what stands in the accounts is read from the topics.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module

from stream import app
from stream.core.counting import counted
from stream.core.errors import DependencyError
from stream.core.records import Outgoing
from stream.demo.accounts import Accounts, Place, accounts, outcome_seen
from stream.demo.brokers import Ground
from stream.demo.observation import Observation, Rates
from stream.demo.plot import Act, Plot, script
from stream.demo.screen import Show
from stream.demo.simulated import NO_KEYS, simulated
from stream.demo.view import Event, Tone, View
from stream.kafka import reading, sending
from stream.kafka.accounting.reconcile import Question, Report, reconcile
from stream.kafka.sending import Delivered
from stream.kafka.topic_watch import TopicWatch
from stream.kafka.worker import Worker
from stream.providers.prices import Prices
from stream.settings import Settings
from stream.simulator import Simulator
from stream.tasks import Catalogue

_PAINT_EVERY_S = 0.12
_LOOK_EVERY_S = 0.03
_LATENCY_MS = 280.0
_DEADLINE_S = 30.0
_JOIN_WITHIN_S = 30.0
_FIRST_CALL_WITHIN_S = 15.0
_OUTAGE_BEGINS_WITHIN_S = 6.0
_STUCK_S = 30.0
_LEAVE_WITHIN_S = 20.0
_PATIENCE_S = 10.0
_REFUSED = 400
_SERVER_ERRORS = 500

_OPENINGS: dict[Act, tuple[str, Tone]] = {
    Act.CALM: ("fine weather; now and then a reply is no good", "plain"),
    Act.RATE_LIMIT: ("STORM: the provider answers 429 to everybody", "bad"),
    Act.OUTAGE: ("it gets worse: 529 and 500 for everybody, for who knows how long", "bad"),
    Act.RECOVERY: ("the provider is well again", "good"),
    Act.ACCOUNTS: ("every request has its outcome; now the accounts", "plain"),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What the run came to. example_id: of a request that is worth looking at, if there is one."""

    group_id: str
    accounts: Accounts
    report: Report
    example_id: str | None = None


class Stage:
    """Where events and figures go: the show, with its clock. view: gives the figures; set it to what is to be seen."""

    def __init__(self, show: Show, started_s: float, records: int) -> None:
        """started_s: the monotonic moment from which seconds count. records: how many there will be."""
        self._show = show
        self._started_s = started_s
        self.view: Callable[[], View] = lambda: View(self.at_s, Act.START, records)

    @property
    def at_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s

    def say(self, text: str, tone: Tone = "plain") -> None:
        """An event, now."""
        self._show.event(Event(self.at_s, text, tone))

    @asynccontextmanager
    async def painting(self) -> AsyncIterator[None]:
        """The figures are shown as long as the block lasts, and once more at its end."""

        async def paint() -> None:
            while True:
                self._show.update(self.view())
                await asyncio.sleep(_PAINT_EVERY_S)

        self._show.update(self.view())  # at once: what comes next may keep the loop busy
        task = asyncio.create_task(paint())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._show.update(self.view())
            self._show.close()


def load_sdks(settings: Settings, tasks: Catalogue) -> None:
    """Import what the providers need, which takes seconds: in a thread, while a broker starts.

    Only a head start: what isn't loaded here is loaded when a provider is made.
    """
    Prices({}, {})
    for version in tasks.versions():
        configured = settings.providers.get(version.provider)
        with suppress(ModuleNotFoundError):
            import_module(f"stream.providers.{configured.kind if configured else version.provider}")


class Performance:
    """One run. Inside `running`: `acts` once; then `settle`, there or after."""

    def __init__(
        self, ground: Ground, tasks: Catalogue, outgoing: Iterator[Outgoing], plot: Plot, seed: int, stage: Stage
    ) -> None:
        """outgoing: what to send; paced here, and drawn from by a thread of its own."""
        self._ground, self._tasks, self._outgoing = ground, tasks, outgoing
        self._plot, self._seed, self._stage = plot, seed, stage
        self._act = Act.START
        self._sent: list[Place] = []
        self._hurry = threading.Event()
        self._rates = Rates()
        self._simulator = Simulator(script=script(Act.CALM, plot), seed=seed, latency_ms=_LATENCY_MS)
        self._watch = Observation(stage.say, lambda: self._worker.figures().waiting if self._worker else 0)
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None
        stage.view = self.view

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Simulator and worker, as long as the block lasts. Raises ConfigError, DependencyError."""
        random.seed(self._seed)  # the jitter of retries and gates
        async with self._simulator:
            settings = simulated(self._ground.settings, self._providers(), self._simulator.base_url, _DEADLINE_S)
            called = app.calling(settings, self._tasks, app.on_gate_change(self._watch), NO_KEYS)
            try:
                topics = TopicWatch(settings)
                await asyncio.to_thread(topics.load)
                steps = app.pipeline(self._tasks, called.providers)
                self._worker = app.make_worker(settings, topics, steps, called.gates, self._watch, app.WorkerOptions())
                self._working = asyncio.create_task(self._worker.run())
                yield
            finally:
                await self._leave()
                await called.aclose()

    async def acts(self) -> None:
        """Everything up to the last outcome. Raises DependencyError for a Kafka that doesn't play along."""
        self._stage.say("a worker joins its group, which takes a few seconds", "quiet")
        await self._until(lambda: self._watch.reading, _JOIN_WITHIN_S, "the worker could not join its group")
        self._enter(Act.CALM)
        sending_ = asyncio.create_task(asyncio.to_thread(self._send))
        try:
            await self._until(
                lambda: len(self._simulator.ledger) > 0, _FIRST_CALL_WITHIN_S, "no call was made", sending_
            )
            await self._for(self._plot.calm_s, sending_)
            self._enter(Act.RATE_LIMIT)
            await self._for(self._plot.rate_limit_s, sending_)
            self._enter(Act.OUTAGE)
            await self._outage(sending_)
            self._enter(Act.RECOVERY)
            await self._until(
                sending_.done, self._plot.sending_s + _STUCK_S, "the requests could not be sent", sending_
            )
            self._stage.say(f"sent: {counted(len(self._sent), 'request')}; outcomes so far: {self._watch.visible:,}")
            await self._last_outcome()
        finally:
            self._hurry.set()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({sending_})
        self._enter(Act.ACCOUNTS)

    async def stay(self) -> None:
        """Until the worker ends, which only trouble makes it do. Raises what broke it."""
        if self._working is not None:
            await asyncio.wait({self._working})
            self._working.result()

    async def settle(self) -> Ending:
        """The accounts, and the proof. Raises ConfigError, DependencyError."""
        self._act = Act.ACCOUNTS
        return await asyncio.to_thread(self._settled)

    def view(self) -> View:
        """The figures now."""
        figures = self._worker.figures() if self._worker else None
        ledger = self._simulator.ledger
        watch = self._watch
        return View(
            at_s=self._stage.at_s,
            act=self._act,
            records=self._plot.records,
            sent=len(self._sent),
            results=watch.results,
            dead_letters=watch.dead_letters,
            in_flight=figures.in_flight if figures else 0,
            waiting=figures.waiting if figures else 0,
            calls=len(ledger),
            refused=sum(1 for call in ledger if (call.status or 0) >= _REFUSED),
            micro_usd=watch.micro_usd,
            rates=self._rates.look(len(ledger), self._stage.at_s),
            gates=watch.gates(self._providers()),
        )

    def _providers(self) -> list[str]:
        return list(dict.fromkeys(version.provider for version in self._tasks.versions()))

    def _enter(self, act: Act) -> None:
        self._act = act
        if act is not Act.ACCOUNTS:
            self._simulator.play(script(act, self._plot))
        self._stage.say(*_OPENINGS[act])

    async def _outage(self, sending_: "asyncio.Task[None]") -> None:
        """The outage lasts from its first failed call on: gates may still be shut when it begins."""
        before = len(self._simulator.ledger)

        def begun() -> bool:
            ledger = self._simulator.ledger
            return any((ledger[n].status or 0) >= _SERVER_ERRORS for n in range(before, len(ledger)))

        with suppress(DependencyError):
            await self._until(begun, _OUTAGE_BEGINS_WITHIN_S, "", sending_)
        await self._for(self._plot.outage_s, sending_)

    async def _last_outcome(self) -> None:
        """Until every request has its outcome, or nothing has moved for long: then the accounts will say what's off."""
        moved_s, before = self._stage.at_s, (-1, -1)
        while self._watch.visible < len(self._sent):
            self._raise_what_broke()
            now = (self._watch.visible, len(self._simulator.ledger))
            if now != before:
                moved_s, before = self._stage.at_s, now
            elif self._stage.at_s - moved_s > _STUCK_S:
                self._stage.say(f"nothing has moved for {_STUCK_S:.0f} s", "bad")
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _for(self, seconds: float, sending_: "asyncio.Task[None]") -> None:
        end_s = self._stage.at_s + seconds
        await self._until(lambda: self._stage.at_s >= end_s, seconds + _STUCK_S, "", sending_)

    async def _until(
        self,
        condition: Callable[[], bool],
        within_s: float,
        otherwise: str,
        sending_: "asyncio.Task[None] | None" = None,
    ) -> None:
        """Wait. Raises DependencyError when it takes too long, and what broke the worker or the sender."""
        end_s = self._stage.at_s + within_s
        while True:
            self._raise_what_broke(sending_)
            if condition():
                return
            if self._stage.at_s > end_s:
                raise DependencyError(f"After {within_s:.0f} s {otherwise} ({self._ground.what}).")
            await asyncio.sleep(_LOOK_EVERY_S)

    def _raise_what_broke(self, sending_: "asyncio.Task[None] | None" = None) -> None:
        for task in (self._working, sending_):
            if task is not None and task.done():
                task.result()

    async def _leave(self) -> None:
        self._hurry.set()
        if self._worker is not None and self._working is not None:
            self._worker.stop()
            await asyncio.wait({self._working}, timeout=_LEAVE_WITHIN_S)

    def _send(self) -> None:
        """Send everything, evenly spread; in a thread."""
        sending.deliver(self._ground.settings, self._paced(), self._delivered)

    def _paced(self) -> Iterator[Outgoing]:
        begun_s = time.monotonic()
        for number, record in enumerate(self._outgoing):
            if self._hurry.wait(max(0.0, begun_s + number / self._plot.per_s - time.monotonic())):
                return
            yield record

    def _delivered(self, where: Delivered) -> None:
        self._sent.append(Place(where.topic, where.partition, where.offset))

    def _settled(self) -> Ending:
        settings = self._ground.settings
        outcomes = [
            outcome_seen(record, dead=record.topic == settings.topics.dlq)
            for record in reading.read_all(settings, [settings.topics.results, settings.topics.dlq])
        ]
        balance = accounts(self._sent, outcomes, self._simulator.ledger)
        report = reconcile(settings, Question(with_cost=True, patience_s=_PATIENCE_S))
        judged = [each.request_id for each in outcomes if each.reason and each.reason[0] == "validate"]
        return Ending(settings.kafka.group_id, balance, report, next(iter(judged), None))
