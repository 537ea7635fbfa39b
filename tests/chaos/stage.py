"""What a round is played on: topics, a provider, a fleet, a watcher; and how it is judged afterwards."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.kafka.local import LocalKafka
from tests.chaos.plan import Round
from tests.chaos.repeats import Incident, Repeats, repeats
from tests.chaos.traffic import Traffic
from tests.support.fleet import MAX_IN_FLIGHT, Call, Fleet, Member, SimulatorProcess
from tests.support.kafka import Topics
from tests.support.ledger_check import Report, check_topics
from tests.support.processes import CHECKOUT
from tests.support.proxy import KafkaProxy
from tests.support.visibility import Watcher

PARTITIONS = 6
REQUESTS_PER_S = 30.0
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


class Stage:
    """Everything a round is played on, ready to use; `close` it. No member runs yet."""

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
                round_.transactional_id,
            )
        )
        self.outcome_topics = [topics.results, topics.dlq]
        self.watcher = self._scope.enter_context(Watcher(kafka.bootstrap_servers, self.outcome_topics, PARTITIONS))
        self.traffic = Traffic(kafka.bootstrap_servers, topics.requests, round_.seed, REQUESTS_PER_S)

    def close(self) -> None:
        """End what runs."""
        self._scope.close()

    @property
    def everything_visible(self) -> bool:
        """Whether each request has an outcome; if not, the check will say which."""
        return len(self.watcher.first_seen_s) >= len(self.traffic.sent)

    def leave(self, survivors: list[Member]) -> None:
        """SIGTERM to all; each must end with 0, those included that are leaving already."""
        self.fleet.terminate_all()
        for member in survivors:
            if (code := member.child.wait(60)) != 0:
                self.fault(f"{member.name} ended with {code} after SIGTERM:\n{member.child.output[-3000:]}")

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

    def cut_off(self, from_s: float, members: list[Member]) -> None:
        """Note that these had no connection to the broker from then until now."""
        until_s = time.monotonic() + NOTICED_S
        self.incidents += [Incident(member.name, from_s, until_s, kill=False) for member in members]

    def fault(self, what: str) -> None:
        """Note that something is wrong."""
        self.outcome.faults.append(what)


def reconciled(config: Path) -> list[str]:
    """What `llm-stream reconcile` has to complain about; nothing, if it says balanced and ends with 0."""
    command = [sys.executable, "-m", "stream", "-c", str(config), "reconcile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT)
    if done.returncode == 0 and json.loads(done.stdout)["balanced"]:
        return []
    return [f"reconcile ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"]
