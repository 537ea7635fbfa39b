"""Which calls were paid twice because of a crash, and how many could not be helped. Pure: ledgers in, figures out.

Nobody can know whether a call that was in the air at a kill was billed, or publish an outcome that died with its
process: those requests are run again. Everything else that is run again is a defect, and so is an outcome that waited
for its commit for seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.support.fleet import Call

COMMITTED_WITHIN_S = 4.0
"""From the start of a call until its outcome is visible, in a fleet whose broker is well: the slowest reply takes 2 s."""

_MUST_BE_TRIED_AGAIN = frozenset({"cut", "reset", "truncate"})
"""Faults that bring a second call within the same run: no outcome was thrown away."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What befell an incarnation. stopped: SIGSTOP, or held at a failpoint, until its session was over. cut_off: its
    broker was away or its connections were reset; the group may have gone on without it."""

    who: str
    at_s: float
    kind: Literal["killed", "stopped", "cut_off"]


@dataclass(slots=True)
class Repeats:
    """repeated: requests run again although they had been called for. bound: how many the incidents allow."""

    repeated: int = 0
    bound: int = 0
    faults: list[str] = field(default_factory=list)


def repeats(
    calls: Iterable[Call], incidents: Sequence[Incident], visible_s: Mapping[str, float], max_in_flight: int
) -> Repeats:
    """Compare what was called for twice with what was in the air or not yet visible at each incident.

    visible_s: by request id, when its outcome was first seen; a little late is right, early would be wrong.
    """
    spent = _spent(calls)
    charged = _charged(spent, visible_s)
    allowed: Counter[str] = Counter()
    report = Repeats(repeated=charged.total())
    cut_off_s = [incident.at_s for incident in incidents if incident.kind == "cut_off"]
    for incident in incidents:
        unfinished = {
            request: called_s
            for request, called_s in spent[incident.who].items()
            if called_s <= incident.at_s < visible_s.get(request, float("inf"))
        }
        # One that lives on may start further calls before it learns what it has missed.
        allowed[incident.who] += len(unfinished) + (0 if incident.kind == "killed" else 2 * max_in_flight)
        if incident.kind == "killed" and not any(0 <= incident.at_s - s < 30 for s in cut_off_s):
            report.faults += _late(incident, unfinished)
    report.bound = allowed.total()
    report.faults += [
        f"{who} threw away the calls of {count} requests; in the air or uncommitted were at most {allowed[who]}"
        for who, count in sorted(charged.items())
        if count > allowed[who]
    ]
    return report


def _spent(calls: Iterable[Call]) -> dict[str, dict[str, float]]:
    """By incarnation and request: when it last sent a call whose answer was an outcome, or could have become one."""
    spent: dict[str, dict[str, float]] = defaultdict(dict)
    for call in calls:
        if call.status in (200, None) and call.fault not in _MUST_BE_TRIED_AGAIN:
            spent[call.who][call.request_id] = call.at_s
    return spent


def _charged(spent: Mapping[str, Mapping[str, float]], visible_s: Mapping[str, float]) -> Counter[str]:
    """How many requests each incarnation called for in vain: another one's call was the last before the outcome."""
    callers: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for who, requests in spent.items():
        for request, called_s in requests.items():
            callers[request].append((called_s, who))
    charged: Counter[str] = Counter()
    for request, by in callers.items():
        in_time = [each for each in by if each[0] <= visible_s.get(request, float("inf"))] or by
        charged.update(who for each in by if (who := each[1]) != max(in_time)[1])
    return charged


def _late(incident: Incident, unfinished: Mapping[str, float]) -> list[str]:
    return [
        f"{incident.who} had called for {request} {incident.at_s - called_s:.1f} s before it was killed, and its outcome "
        "was not visible"
        for request, called_s in unfinished.items()
        if incident.at_s - called_s > COMMITTED_WITHIN_S
    ]
