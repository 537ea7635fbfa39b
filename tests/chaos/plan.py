"""What is going to happen in a run, all of it drawn from one seed: the same seed gives the same plan."""

import random
from dataclasses import dataclass
from typing import Any

PLACES = ("a", "b", "c")
"""Three workers; whoever dies is replaced, in its place."""

KILLS_A_ROUND = 20
AT_RANDOM = "at a random time"

_VISITS = {
    "received": 8,
    "call_answered": 60,
    "before_begin": 20,
    "after_begin": 20,
    "produced": 20,
    "offsets_sent": 20,
    "committed": 20,
    "acknowledged": 30,
    "assign": 2,
    "revoke": 1,
    "revoke_drained": 1,
    "draining": 1,
}
"""Failpoints that any incarnation may come to, and up to which visit to die there."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How an incarnation ends: by SIGKILL at a failpoint, or after `after_s` seconds of work if it never comes there.

    pause_s: how long its place then stays empty.
    """

    failpoint: str | None
    visit: int
    after_s: float
    pause_s: float

    @property
    def armed(self) -> str:
        """For the environment of the incarnation."""
        return f"{self.failpoint}=kill@{self.visit}" if self.failpoint else ""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something else that goes wrong, `at_s` seconds after the round's first request, for `for_s` seconds."""

    at_s: float
    kind: str
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """One stretch on fresh topics. The first three fates are those of the first three workers, and so on as they
    start; when none is left, workers live."""

    number: int
    seed: int
    fates: tuple[Fate, ...]
    disturbances: tuple[Disturbance, ...]
    faults: tuple[dict[str, Any], ...]
    transactional_id: str


def rounds(seed: int, kills: int) -> list[Round]:
    """The plan of a whole run with so many kills."""
    sizes = [KILLS_A_ROUND] * (kills // KILLS_A_ROUND)
    if kills % KILLS_A_ROUND:
        sizes.append(kills % KILLS_A_ROUND)
    return [_round(random.Random(f"{seed} {number}"), number, seed, size) for number, size in enumerate(sizes, 1)]


def _round(chance: random.Random, number: int, seed: int, kills: int) -> Round:
    first = ["start_commit", "assign", "received"]  # a group commits starts only once, at its beginning
    fates = tuple(_fate(chance, first[each] if each < len(first) else None) for each in range(kills))
    length_s = 4.0 * kills
    return Round(
        number,
        seed * 1_000 + number,
        fates,
        _disturbances(chance, length_s),
        tuple(_faults(chance, length_s)),
        "random" if number % 3 == 0 else "",
    )


def _fate(chance: random.Random, failpoint: str | None) -> Fate:
    if failpoint is None and chance.random() < 0.3:
        return Fate(None, 0, chance.uniform(0.1, 10), chance.uniform(0, 2))
    name = failpoint or chance.choice(list(_VISITS))
    visit = chance.randint(1, _VISITS.get(name, 1))
    return Fate(name, visit, chance.uniform(8, 15), chance.uniform(0, 2))


def _disturbances(chance: random.Random, length_s: float) -> tuple[Disturbance, ...]:
    """Members that come and go all the time; zombies, lost answers, cuts, drains, and a broker that goes away twice."""
    found = [Disturbance(at_s, "visitor", 4) for at_s in _every(chance, 10, length_s)]
    found += [Disturbance(at_s, "lost_answer") for at_s in _every(chance, 5, length_s)]
    found += [Disturbance(at_s, "drain") for at_s in _every(chance, 20, length_s)]
    found += [Disturbance(at_s, "zombie", chance.uniform(5, 9)) for at_s in _every(chance, 25, length_s)]
    found += [Disturbance(at_s, "cut") for at_s in _every(chance, 30, length_s)]
    if length_s > 45:
        found.append(Disturbance(chance.uniform(0.2, 0.5) * length_s, "broker_restart"))
        found.append(Disturbance(chance.uniform(0.6, 0.9) * length_s, "broker_kill"))
    return tuple(sorted(found, key=lambda each: each.at_s))


def _every(chance: random.Random, seconds: float, length_s: float) -> list[float]:
    times, at_s = [], chance.uniform(0.5, 1.5) * seconds
    while at_s < length_s:
        times.append(at_s)
        at_s += chance.uniform(0.5, 1.5) * seconds
    return times


def _faults(chance: random.Random, length_s: float) -> list[dict[str, Any]]:
    """A provider with small troubles all the time, and short spells of bad ones."""
    spells = [
        {"kind": kind, "from_s": at_s, "to_s": at_s + 2.5, "share": 0.9, **more}
        for kind, more in (("overload", {}), ("rate_limit", {"retry_after_s": 1.0}), ("server_error", {}))
        for at_s in _every(chance, 40, length_s)
    ]
    always = [
        {"kind": "rate_limit", "share": 0.01, "retry_after_s": 0.2},
        {"kind": "overload", "share": 0.02},
        {"kind": "server_error", "share": 0.03},
        {"kind": "cut", "share": 0.02},
        {"kind": "truncate", "share": 0.02},
        {"kind": "refuse", "share": 0.02},
        {"kind": "placeholder", "share": 0.03},
        {"kind": "slow", "share": 0.03, "delay_s": 1.0},
    ]
    return [*spells, *always]
