"""A round, played: three workers share six partitions, die as planned, and the accounts are checked afterwards."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stream.kafka.local import LocalKafka
from tests.chaos.plan import AT_RANDOM, PLACES, Disturbance, Fate, Round
from tests.chaos.repeats import Incident
from tests.chaos.stage import PARTITIONS, Outcome, Stage
from tests.support.fleet import Member
from tests.support.kafka import create_topics
from tests.support.proxy import ApiKey, KafkaProxy

DRAIN_S = 120.0
BROKER_BACK_S = 120.0
"""A killed broker reads its log again; on a busy machine beside workers that ask for it all the time."""
TICK_S = 0.02
HOPELESS = 10
"""So many workers that ended by themselves are enough to know."""
IMPATIENT_S = 40.0
"""A group in which somebody always comes or goes may never let a newcomer in: it meets its fate all the same."""


def play(kafka: LocalKafka, folder: Path, round_: Round) -> Outcome:
    """Play a round on fresh topics of this broker, and check it."""
    started_s = time.monotonic()
    folder.mkdir(parents=True)
    topics = create_topics(kafka.bootstrap_servers, PARTITIONS)
    assert kafka.proxy_port is not None
    with KafkaProxy(kafka.proxied_port, kafka.proxy_port) as proxy:
        stage = Stage(kafka, proxy, folder, round_, topics)
        try:
            performance = _Performance(stage)
            performance.play()
            performance.drain()
            stage.check()
        finally:
            stage.close()
    stage.outcome.seconds = time.monotonic() - started_s
    return stage.outcome


@dataclass(slots=True)
class _Place:
    """Where a worker stands, and what its incarnation has before it."""

    name: str
    member: Member | None = None
    fate: Fate | None = None
    empty_until_s: float = 0.0
    draining: bool = False

    @property
    def works(self) -> bool:
        """Whether a worker stands here, and is one already."""
        member = self.member
        return member is not None and member.child.running and not member.stopped and member.ready_for_s() >= 0


class _Performance:
    """Sees to it that every incarnation meets its fate, and that everything else goes wrong in time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._places = [_Place(name) for name in PLACES]
        self._visitors: list[Member] = []
        self._fates = list(stage.round.fates)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._acts: dict[str, Callable[[Disturbance, float], None]] = {
            "visitor": self._visitor,
            "lost_answer": self._lost_answer,
            "cut": self._cut,
            "drain": self._drain,
            "zombie": self._zombie,
            "broker_restart": self._broker_restart,
            "broker_kill": self._broker_kill,
        }

    def play(self) -> None:
        """Until every fate has been met and every disturbance is over."""
        self.stage.simulator.play(list(self.stage.round.faults))
        self.stage.traffic.write(50)
        self.stage.traffic.start()
        started_s = time.monotonic()
        waiting = list(self.stage.round.disturbances)
        while waiting or self._later or self._fates or any(place.fate for place in self._places):
            if len(self.stage.outcome.faults) >= HOPELESS:
                break
            now_s = time.monotonic()
            for place in self._places:
                self._attend(place, now_s)
            if waiting and waiting[0].at_s <= now_s - started_s:
                self._disturb(waiting.pop(0), now_s)
            self._run_due(now_s)
            time.sleep(TICK_S)
        self.stage.traffic.stop()

    def drain(self) -> None:
        """A provider and a network that are well: every request gets its outcome; then SIGTERM to all."""
        self.stage.simulator.play([])
        self.stage.proxy.heal()
        give_up_s = time.monotonic() + DRAIN_S
        while not self.stage.everything_visible and time.monotonic() < give_up_s:
            for place in self._places:
                self._attend(place, time.monotonic())
            time.sleep(TICK_S)
        survivors = [place.member for place in self._places if place.member] + self._visitors
        self.stage.leave(survivors)

    def _attend(self, place: _Place, now_s: float) -> None:
        """Fill an empty place, notice a death, or bring it about."""
        member, fate = place.member, place.fate
        if member is None:
            if now_s >= place.empty_until_s:
                place.fate = self._fates.pop(0) if self._fates else None
                place.member = self.stage.fleet.start(place.name, place.fate.armed if place.fate else "")
            return
        if not member.child.running:
            self._died(place, member, now_s)
        elif fate is not None and not member.stopped and _stayed_s(member) >= fate.after_s:
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
            self.stage.fault(f"{member.name} ended by itself with {code}:\n{member.child.output[-3000:]}")
        if fate is not None:  # it drained before its fate came: the next one has it
            self._fates.insert(0, fate)
        place.member, place.fate, place.draining = None, None, False

    def _killed(self, place: _Place, member: Member, how: str, now_s: float) -> None:
        self.stage.incidents.append(Incident(member.name, now_s, now_s, kill=True))
        self.stage.outcome.deaths[how] += 1
        place.empty_until_s = now_s + (place.fate.pause_s if place.fate else 0)
        place.member, place.fate, place.draining = None, None, False

    def _disturb(self, disturbance: Disturbance, now_s: float) -> None:
        self.stage.outcome.others[disturbance.kind] += 1
        self._acts[disturbance.kind](disturbance, now_s)

    def _visitor(self, disturbance: Disturbance, now_s: float) -> None:
        """A fourth member joins, and leaves in order: a rebalance each time."""
        visitor = self.stage.fleet.start("visitor")
        self._visitors.append(visitor)

        def leave() -> None:
            if _stayed_s(visitor) >= disturbance.for_s or not visitor.child.running:
                visitor.child.terminate()
            else:
                self._later.append((time.monotonic() + 0.2, leave))

        self._later.append((now_s, leave))

    def _lost_answer(self, disturbance: Disturbance, now_s: float) -> None:
        """The next commit is done by the broker, and nobody hears of it."""
        self.stage.proxy.lose_response(ApiKey.END_TXN)

    def _cut(self, disturbance: Disturbance, now_s: float) -> None:
        """Every connection to the broker is reset."""
        running = self.stage.fleet.running
        self.stage.proxy.cut()
        self.stage.cut_off(now_s, running)

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
        while_stopped = ExitStack()
        while_stopped.enter_context(self.stage.stopped(member))
        self._later.append((now_s + disturbance.for_s, while_stopped.close))

    def _broker_restart(self, disturbance: Disturbance, now_s: float) -> None:
        running = self.stage.fleet.running
        self.stage.kafka.restart()
        self.stage.cut_off(now_s, running)

    def _broker_kill(self, disturbance: Disturbance, now_s: float) -> None:
        running = self.stage.fleet.running
        self.stage.kafka.kill()
        self.stage.kafka.start(timeout_s=BROKER_BACK_S)
        self.stage.cut_off(now_s, running)

    def _any_place(self) -> _Place | None:
        able = [place for place in self._places if not place.draining and place.works]
        return self.stage.chance.choice(able) if able else None

    def _run_due(self, now_s: float) -> None:
        due = [act for at_s, act in self._later if at_s <= now_s]
        self._later = [(at_s, act) for at_s, act in self._later if at_s > now_s]
        for act in due:
            act()


def _stayed_s(member: Member) -> float:
    """For how long it has been ready; -1 before. One that doesn't get ready counts as ready after a while."""
    return max(member.ready_for_s(), time.monotonic() - member.started_s - IMPATIENT_S)
