"""What happens in a simulated run, all of it drawn from one seed."""

from dataclasses import dataclass, field, replace
from random import Random

from stream.kafka.failpoints import FAILPOINTS

REQUESTS_TOPIC = "requests"


@dataclass(frozen=True)
class Asked:
    """One request. kind: `good`, `bad` (can't be decoded), or `unusable` (the reply fails validation)."""

    id: str
    at_s: float
    partition: int
    key: bytes | None
    kind: str = "good"
    gap_before: int = 0


@dataclass(frozen=True)
class Mishap:
    """Something that goes wrong. what: `kill`, `freeze`, `restart`, `join`, `rebalance`, `outage`; or a failpoint's
    name, at whose `visit`th time worker number `worker` is killed (`seconds` 0) or frozen."""

    what: str
    at_s: float = 0.0
    worker: int = 0
    seconds: float = 0.0
    visit: int = 0


@dataclass(frozen=True)
class Plan:
    """A run. troubles: chance per request to the broker that it goes wrong, by how (`simulated_link`). skips: chance
    per record that the consumer leaves out some. tight: window and queues so small that they are always full."""

    seed: int
    workers: int = 1
    partitions: int = 2
    transactional: bool = True
    keyed: bool = True
    lenient: bool = False
    joins_within_s: float = 0.5
    max_in_flight: int = 8
    commit_interval_ms: int = 100
    longest_call_s: float = 1.0
    provider_faults: float = 0.0
    gated: bool = False
    refused_until_s: float = 0.0
    skips: float = 0.0
    tight: bool = False
    asked: tuple[Asked, ...] = ()
    mishaps: tuple[Mishap, ...] = ()
    troubles: dict[str, float] = field(default_factory=dict)
    troubled_until_s: float = 15.0

    def evolve(self, **changes: object) -> "Plan":
        """The same plan but for this."""
        return replace(self, **changes)  # type: ignore[arg-type]


_FAILPOINTS = (*(name for name in FAILPOINTS if name != "draining"), "revoke", "revoke", "offsets_sent")


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    rand = Random(seed)
    workers, partitions = rand.choice((1, 2, 2, 3)), rand.choice((1, 2, 3, 4))
    busy_s = rand.choice((1.0, 4.0, 8.0))
    plan = Plan(
        seed,
        workers=workers,
        partitions=partitions,
        transactional=rand.random() < 0.8,
        keyed=rand.random() < 0.7,
        lenient=rand.random() < 0.3,
        joins_within_s=rand.choice((0.5, busy_s)),
        max_in_flight=rand.choice((1, 3, 8, 64)),
        commit_interval_ms=rand.choice((1, 100, 100, 500)),
        longest_call_s=rand.choice((0.01, 0.3, 1.0, 4.0)),
        provider_faults=rand.choice((0.0, 0.0, 0.2)),
        gated=rand.random() < 0.2,
        refused_until_s=rand.choice((0.0, 0.0, 0.0, 0.0, 3.0)),
        skips=rand.choice((0.0, 0.0, 0.0, 0.0, 0.1)),
        tight=rand.random() < 0.25,
        asked=tuple(_asked(rand, number, partitions, busy_s) for number in range(rand.randint(15, 45))),
        mishaps=tuple(_mishap(rand, workers, busy_s) for _ in range(rand.choice((0, 1, 2, 4)))),
    )
    if rand.random() < 0.4:
        names = ("late", "answer_late", "broken", "broken_late", "broken_unsent")
        plan = plan.evolve(troubles={name: rand.choice((0.02, 0.05, 0.2)) for name in names if rand.random() < 0.5})
    return plan


def _asked(rand: Random, number: int, partitions: int, busy_s: float) -> Asked:
    key = rand.choice((None, b"a", b"b", b"c", b"d"))
    partition = rand.randrange(partitions) if key is None else key[0] % partitions
    return Asked(
        f"r{number}",
        rand.random() * busy_s,
        partition,
        key,
        rand.choice(("good",) * 8 + ("bad", "unusable")),
        rand.choice((0, 0, 0, 0, 1, 2)),
    )


def _mishap(rand: Random, workers: int, busy_s: float) -> Mishap:
    what = rand.choice(("kill", "kill", "freeze", "restart", "rebalance", "outage", "failpoint", "failpoint"))
    at_s, worker = rand.random() * busy_s * 1.2, rand.randrange(workers)
    if what == "failpoint":
        name = rand.choice(_FAILPOINTS)
        frozen_s = rand.choice((0.0, 0.0, 9.0, 30.0))
        return Mishap(name, 0.0, worker, frozen_s, rand.choice((1, 1, 2, 3, 5)))
    seconds = {"freeze": (1.0, 8.0, 30.0), "outage": (1.0, 5.0, 40.0)}.get(what, (0.0,))
    return Mishap(what, at_s, worker, rand.choice(seconds))


def restless(seed: int) -> Plan:
    """A day on which partitions move all the time between workers whose requests to the broker are slow, under a
    coordinator that doesn't look at generations: nothing but the worker itself keeps it right."""
    rand = Random(f"restless {seed}")
    restarts = (Mishap("restart", rand.random() * 6, rand.randrange(3)) for _ in range(3))
    kills = (Mishap("kill", rand.random() * 6, rand.randrange(3)) for _ in range(1))
    freezes = (Mishap("revoke", 0.0, number, 9.0, 1) for number in range(2))
    return drawn(seed).evolve(
        workers=3,
        partitions=4,
        transactional=True,
        lenient=True,
        joins_within_s=6.0,
        max_in_flight=8,
        commit_interval_ms=1,
        longest_call_s=1.0,
        provider_faults=0.0,
        gated=False,
        refused_until_s=0.0,
        mishaps=(*restarts, *kills, *freezes),
        troubles={"late": 0.4, "answer_late": 0.3},
        asked=tuple(_asked(rand, number, 4, 6.0) for number in range(40)),
    )


FAMILIES = {"drawn": drawn, "restless": restless}
