"""Which calls were paid twice because of a crash, and whether each could not be helped. Pure: ledgers in, figures out.

Nobody can know whether a call that was in the air at a kill was billed, or publish an outcome that died with its
process: those requests are run again. Anything else that is run again is a defect, and so is an outcome that waited for
its commit for seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.fleet import Call

COMMITTED_WITHIN_S = 10.0
"""From the start of a call until its outcome is visible while the broker is well: generous, for busy machines."""

_MUST_BE_TRIED_AGAIN = frozenset({"cut", "reset", "truncate"})
"""Faults that bring a second call within the same run: no outcome was thrown away."""

Calls = Mapping[str, float]
"""By request id: when the last call for it was sent."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What befell an incarnation. kill: all its calls were made before, though the simulator may have noticed later.
    Otherwise (stopped, held up, cut off from the broker) it may have lost its partitions between `from_s` and
    `until_s`, and not have known."""

    who: str
    from_s: float
    until_s: float
    kill: bool

    def unfinished(self, called_s: Calls, visible_s: Mapping[str, float]) -> Calls:
        """What it had called for and what was not visible yet: in the air, or not committed."""
        return {
            request: at_s
            for request, at_s in called_s.items()
            if (self.kill or at_s <= self.until_s) and visible_s.get(request, float("inf")) > self.from_s
        }


@dataclass(slots=True)
class Repeats:
    """after_kills: requests run again because of a kill; at most what was in_flight and uncommitted at the kills.
    otherwise: requests run again because of zombies and lost connections."""

    after_kills: int = 0
    in_flight: int = 0
    uncommitted: int = 0
    otherwise: int = 0
    faults: list[str] = field(default_factory=list)


def repeats(
    calls: Iterable[Call], incidents: Sequence[Incident], visible_s: Mapping[str, float], max_in_flight: int
) -> Repeats:
    """Account for every request that a second incarnation called for.

    visible_s: by request id, when its outcome was first seen; a little late is right, early would be wrong.
    """
    spent, in_the_air = _spent(calls)
    report = Repeats()
    unexplained = _in_vain(spent, visible_s)
    for incident in sorted(incidents, key=lambda each: not each.kill):
        unfinished = incident.unfinished(spent[incident.who], visible_s)
        explained = unexplained[incident.who] & unfinished.keys()
        unexplained[incident.who] -= explained
        if not incident.kill:
            report.otherwise += len(explained)
            continue
        flying = len(unfinished.keys() & in_the_air[incident.who])
        report.after_kills += len(explained)
        report.in_flight += flying
        report.uncommitted += len(unfinished) - flying
        if flying > max_in_flight:
            report.faults.append(f"{incident.who} had {flying} calls in the air, more than {max_in_flight}")
        if not any(other.who == incident.who and not other.kill for other in incidents):
            report.faults += _late(incident, unfinished)
    report.faults += [
        f"{who} threw away what it had called for, and nothing had happened to it: {', '.join(sorted(requests))}"
        for who, requests in unexplained.items()
        if requests
    ]
    return report


def _spent(calls: Iterable[Call]) -> tuple[dict[str, dict[str, float]], dict[str, set[str]]]:
    """By incarnation: the calls whose answer was an outcome, or could have become one; those that nobody waited for."""
    spent: dict[str, dict[str, float]] = defaultdict(dict)
    in_the_air: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        if call.status in (200, None) and call.fault not in _MUST_BE_TRIED_AGAIN:
            spent[call.who][call.request_id] = call.at_s
            if call.status is None:
                in_the_air[call.who].add(call.request_id)
    return spent, in_the_air


def _in_vain(spent: Mapping[str, Calls], visible_s: Mapping[str, float]) -> dict[str, set[str]]:
    """The requests each incarnation called for in vain: another one's call was the last before the outcome."""
    callers: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for who, requests in spent.items():
        for request, at_s in requests.items():
            callers[request].append((at_s, who))
    in_vain: dict[str, set[str]] = defaultdict(set)
    for request, by in callers.items():
        in_time = [each for each in by if each[0] <= visible_s.get(request, float("inf"))]
        for _, who in set(by) - {max(in_time or by)}:
            in_vain[who].add(request)
    return in_vain


def _late(incident: Incident, unfinished: Calls) -> list[str]:
    """Outcomes that should have been visible long before the kill."""
    return [
        f"{incident.who} had called for {request} {waited_s:.1f} s before it was killed; no outcome was visible"
        for request, at_s in unfinished.items()
        if (waited_s := incident.from_s - at_s) > COMMITTED_WITHIN_S
    ]
