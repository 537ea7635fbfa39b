"""A round, played: three workers share six partitions, die as planned, and the accounts are checked afterwards."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.kafka.local import LocalKafka
from tests.chaos.plan import AT_RANDOM, PLACES, Disturbance, Fate, Round
from tests.chaos.repeats import Incident, Repeats, repeats
from tests.chaos.traffic import Traffic
from tests.support.fleet import MAX_IN_FLIGHT, Call, Fleet, Member, SimulatorProcess
from tests.support.kafka import Topics, create_topics
from tests.support.ledger_check import Report, check_topics
from tests.support.processes import CHECKOUT
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.visibility import Watcher

PARTITIONS = 6
REQUESTS_PER_S = 30.0
DRAIN_S = 120.0
TICK_S = 0.02
NOTICED_S = 10.0
"""After a broker is back or a zombie wakes: by then each member knows what it has lost."""


@dataclass(slots=True)
class Outcome:
    """What a round has shown. deaths: kills by failpoint; others: disturbances by kind."""

    round: Round
    seconds: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    ledger: Report = field(default_factory=lambda: Report(0, 0, 0))
    repeats: Repeats = field(default_factory=Repeats)
    faults: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled, swapped, orphaned, out of order or paid for in vain, and nobody ended by a defect."""
        return not self.all_faults

    @property
    def all_faults(self) -> list[str]:
        """Everything that is wrong, in words."""
        ledger = [] if self.ledger.clean else [str(self.ledger)]
        return [*ledger, *self.repeats.faults, *self.faults]


@dataclass(slots=True)
class _Place:
    """Where a worker stands, and what its incarnation has before it."""

    name: str
    member: Member | None = None
    fate: Fate | None = None
    empty_until_s: float = 0.0
    draining: bool = False


class Stage:
    """Everything a round is played on. Use `play`."""

    def __init__(self, kafka: LocalKafka, proxy: KafkaProxy, folder: Path, round_: Round, topics: Topics) -> None:
        self.kafka = kafka
        self.proxy = proxy
        self.topics = topics
        self.round = round_
        self.chance = random.Random(f"{round_.seed} played")
        self.incidents: list[Incident] = []
        self.outcome = Outcome(round_)
        self._scope = ExitStack()
        self.simulator = self._scope.enter_context(SimulatorProcess(folder, round_.seed, []))
        self.fleet = self._scope.enter_context(
            Fleet(
                folder,
                proxy.bootstrap_servers,
                self.simulator.url,
                topics,
                f"chaos-{topics.requests}",
                round_.group_protocol,
                round_.transactional_id,
            )
        )
        self.outcome_topics = [topics.results, topics.dlq]
        self.watcher = self._scope.enter_context(Watcher(kafka.bootstrap_servers, self.outcome_topics, PARTITIONS))
        self.traffic = Traffic(kafka.bootstrap_servers, topics.requests, round_.seed, REQUESTS_PER_S)
        self._places = [_Place(name) for name in PLACES]
        self._visitors: list[Member] = []
        self._fates = list(round_.fates)
        self._later: list[tuple[float, Callable[[], None]]] = []

    def close(self) -> None:
        """End what runs."""
        self._scope.close()

    def play(self) -> None:
        """Until every fate has been met and every disturbance is over."""
        self.simulator.play(list(self.round.faults))
        self.traffic.write(50)
        self.traffic.start()
        started_s = time.monotonic()
        waiting = list(self.round.disturbances)
        while waiting or self._later or self._fates or any(place.fate for place in self._places):
            now_s = time.monotonic()
            for place in self._places:
                self._attend(place, now_s)
            if waiting and waiting[0].at_s <= now_s - started_s:
                self._disturb(waiting.pop(0), now_s)
            self._run_due(now_s)
            time.sleep(TICK_S)
        self.traffic.stop()

    @property
    def everything_visible(self) -> bool:
        """Whether each request has an outcome; if not, the check will say which."""
        return len(self.watcher.first_seen_s) >= len(self.traffic.sent)

    def drain(self) -> None:
        """A provider and a network that are well: every request gets its outcome; then SIGTERM to all."""
        self.simulator.play([])
        self.proxy.heal()
        give_up_s = time.monotonic() + DRAIN_S
        while not self.everything_visible and time.monotonic() < give_up_s:
            for place in self._places:
                self._attend(place, time.monotonic())
            time.sleep(TICK_S)
        survivors = [place.member for place in self._places if place.member] + self._visitors
        self.leave(survivors)

    def leave(self, survivors: list[Member]) -> None:
        """SIGTERM to all; each must end with 0."""
        self.fleet.terminate_all()
        for member in survivors:
            if (code := member.child.wait(60)) != 0:
                self._fault(f"{member.name} ended with {code} after SIGTERM:\n{member.child.output[-3000:]}")

    @contextmanager
    def stopped(self, member: Member) -> Iterator[None]:
        """SIGSTOP, and SIGCONT afterwards: a zombie, if that is longer than its session."""
        from_s = time.monotonic()
        member.stopped = True
        member.child.pause()
        yield
        member.child.resume()
        member.stopped = False
        self.incidents.append(Incident(member.name, from_s, time.monotonic() + NOTICED_S, kill=False))

    def check(self) -> None:
        """The independent reader, reconcile, and the calls that were made twice."""
        sent = [sent for sent, _ in self.traffic.sent.values()]
        results, dlq, group = self.topics.results, self.topics.dlq, self.fleet.group
        self.outcome.ledger = check_topics(
            self.kafka.bootstrap_servers, sent, results=results, dlq=dlq, group=group, belongs=self.traffic.belongs
        )
        self.outcome.faults += reconciled(self.fleet.config(self.kafka.bootstrap_servers))
        ids = {source: one.id for source, (one, _) in self.traffic.sent.items()}
        seen = {id_: at_s for source, at_s in self.watcher.first_seen_s.items() if (id_ := ids.get(source))}
        calls = self.simulator.calls(self.fleet.names)
        self._keep_evidence(calls, seen)
        self.outcome.repeats = repeats(calls, self.incidents, seen, MAX_IN_FLIGHT)

    def _keep_evidence(self, calls: list[Call], seen: dict[str, float]) -> None:
        """For whoever wants to know what happened to one request."""
        lines: list[dict[str, Any]]
        lines = [{"at_s": c.at_s, "call": c.request_id, "who": c.who, "status": c.status} for c in calls]
        lines += [{"at_s": at_s, "visible": id_} for id_, at_s in seen.items()]
        lines += [{"at_s": i.from_s, "incident": i.who, "until_s": i.until_s, "kill": i.kill} for i in self.incidents]
        lines.sort(key=lambda line: line["at_s"])
        (self.fleet.folder / "evidence.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def _attend(self, place: _Place, now_s: float) -> None:
        """Fill an empty place, notice a death, or bring it about."""
        member, fate = place.member, place.fate
        if member is None:
            if now_s >= place.empty_until_s:
                place.fate = self._fates.pop(0) if self._fates else None
                place.member = self.fleet.start(place.name, place.fate.armed if place.fate else "")
            return
        if not member.child.running:
            self._died(place, member, now_s)
        elif fate is not None and not member.stopped and member.ready_for_s() >= fate.after_s:
            if fate.failpoint == "draining" and not place.draining:
                place.draining = True
                member.child.terminate()
            elif not place.draining:
                member.child.kill()
                self._killed(place, member, AT_RANDOM, now_s)

    def _died(self, place: _Place, member: Member, now_s: float) -> None:
        code, fate = member.child.wait(1), place.fate
        if code == -9 and fate is not None and fate.failpoint is not None:
            self._killed(place, member, fate.failpoint, now_s)
            return
        if code != 0 or not place.draining:
            self._fault(f"{member.name} ended by itself with {code}:\n{member.child.output[-3000:]}")
        if fate is not None:  # it drained before its fate came: the next one has it
            self._fates.insert(0, fate)
        place.member, place.fate, place.draining = None, None, False

    def _killed(self, place: _Place, member: Member, how: str, now_s: float) -> None:
        self.incidents.append(Incident(member.name, now_s, now_s, kill=True))
        self.outcome.deaths[how] += 1
        place.empty_until_s = now_s + (place.fate.pause_s if place.fate else 0)
        place.member, place.fate, place.draining = None, None, False

    def _disturb(self, disturbance: Disturbance, now_s: float) -> None:
        self.outcome.others[disturbance.kind] += 1
        act = getattr(self, f"_{disturbance.kind}")
        act(disturbance, now_s)

    def _visitor(self, disturbance: Disturbance, now_s: float) -> None:
        """A fourth member joins, and leaves in order: a rebalance each time."""
        visitor = self.fleet.start("visitor")
        self._visitors.append(visitor)

        def leave() -> None:
            stayed_s = visitor.ready_for_s()
            if stayed_s >= disturbance.for_s or not visitor.child.running:
                visitor.child.terminate()
            else:
                self._later.append((time.monotonic() + 0.2, leave))

        self._later.append((now_s, leave))

    def _lost_answer(self, disturbance: Disturbance, now_s: float) -> None:
        """The next commit is done by the broker, and nobody hears of it."""
        self.proxy.lose_response(ApiKey.END_TXN)

    def _cut(self, disturbance: Disturbance, now_s: float) -> None:
        """Every connection to the broker is reset."""
        self.proxy.cut()
        self._all_cut_off(now_s)

    def _drain(self, disturbance: Disturbance, now_s: float) -> None:
        """SIGTERM to one worker; its place is filled again."""
        place = self._any_place()
        if place is not None and place.member is not None:
            place.draining = True
            place.member.child.terminate()

    def _zombie(self, disturbance: Disturbance, now_s: float) -> None:
        """SIGSTOP for longer than the session lasts, and back."""
        place = self._any_place()
        if place is None or place.member is None:
            return
        member = place.member
        stopped = self.stopped(member)
        stopped.__enter__()
        self._later.append((now_s + disturbance.for_s, lambda: stopped.__exit__(None, None, None)))

    def _broker_restart(self, disturbance: Disturbance, now_s: float) -> None:
        self.kafka.restart()
        self._all_cut_off(now_s)

    def _broker_kill(self, disturbance: Disturbance, now_s: float) -> None:
        self.kafka.kill()
        self.kafka.start()
        self._all_cut_off(now_s)

    def _all_cut_off(self, from_s: float) -> None:
        until_s = time.monotonic() + NOTICED_S
        self.incidents += [Incident(member.name, from_s, until_s, kill=False) for member in self.fleet.running]

    def _any_place(self) -> _Place | None:
        able = [p for p in self._places if p.member and p.member.child.running and not p.member.stopped]
        able = [p for p in able if not p.draining and p.member.ready_for_s() > 0]
        return self.chance.choice(able) if able else None

    def _run_due(self, now_s: float) -> None:
        due = [act for at_s, act in self._later if at_s <= now_s]
        self._later = [(at_s, act) for at_s, act in self._later if at_s > now_s]
        for act in due:
            act()

    def _fault(self, what: str) -> None:
        self.outcome.faults.append(what)


def play(kafka: LocalKafka, folder: Path, round_: Round) -> Outcome:
    """Play a round on fresh topics of this broker, and check it."""
    started_s = time.monotonic()
    folder.mkdir(parents=True)
    topics = create_topics(kafka.bootstrap_servers, PARTITIONS)
    assert kafka.proxy_port is not None
    with KafkaProxy(kafka.proxied_port, kafka.proxy_port) as proxy:
        stage = Stage(kafka, proxy, folder, round_, topics)
        try:
            stage.play()
            stage.drain()
            stage.check()
        finally:
            stage.close()
    stage.outcome.seconds = time.monotonic() - started_s
    return stage.outcome


def reconciled(config: Path) -> list[str]:
    """What `llm-stream reconcile` has to complain about; nothing, if it says balanced and ends with 0."""
    command = [sys.executable, "-m", "stream", "-c", str(config), "reconcile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT)
    if done.returncode == 0 and json.loads(done.stdout)["balanced"]:
        return []
    return [f"reconcile ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"]
