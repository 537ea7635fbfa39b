"""The demo's accounts: what was sent, held against what is on the topics and what the provider saw. Pure.

Three witnesses that know nothing of each other: the acknowledgements of what was sent, the records on results and dead
letters, the simulator's ledger.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from stream.codecs.strict_json import StrictJsonError, parse
from stream.core import headers as names
from stream.core.counting import counted
from stream.core.records import Record
from stream.demo.plot import STORM_FAULTS
from stream.dlq.envelope import dead_letter_from
from stream.simulator.ledger import Call

_LISTED = 5


class Place(NamedTuple):
    """Where a request stands."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class OutcomeSeen:
    """One record on results or dead letters. source: the request's place, None where it doesn't say.

    reason: (stage, code) of a dead letter, None for a result. micro_usd: None where the cost isn't known.
    """

    source: Place | None
    request_id: str | None
    reason: tuple[str, str] | None
    calls: int
    attempts: int
    micro_usd: int | None


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everything added up.

    missing: requests without an outcome. doubled: with more than one. strangers: outcomes of no request that was sent.
    calls, attempts, micro_usd: as the outcomes say; unpriced: outcomes that don't say what they cost. answers: calls by
    HTTP status as the provider saw them (None: no answer). wasted_calls: refused in the storm. storm_dead_letters:
    requests given up because of it: there must be none.
    """

    sent: int = 0
    results: int = 0
    dead_letters: int = 0
    missing: tuple[Place, ...] = ()
    doubled: tuple[Place, ...] = ()
    strangers: int = 0
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    calls: int = 0
    attempts: int = 0
    micro_usd: int = 0
    dead_micro_usd: int = 0
    unpriced: int = 0
    answers: Mapping[int | None, int] = field(default_factory=dict)
    wasted_calls: int = 0
    storm_dead_letters: tuple[str, ...] = ()

    @property
    def provider_calls(self) -> int:
        """How many calls the provider saw."""
        return sum(self.answers.values())

    def problems(self) -> list[str]:
        """What is off, a sentence each; empty: the accounts balance."""
        found = []
        if self.missing:
            found.append(f"{counted(len(self.missing), 'request')} without an outcome: {_listed(self.missing)}.")
        if self.doubled:
            doubled = counted(len(self.doubled), "request")
            found.append(f"{doubled} with more than one outcome: {_listed(self.doubled)}.")
        if self.strangers:
            found.append(f"{counted(self.strangers, 'outcome')} of no request that was sent.")
        if self.sent != self.results + self.dead_letters and not found:
            outcomes = f"{counted(self.results, 'result')} + {counted(self.dead_letters, 'dead letter')}"
            found.append(f"{counted(self.sent, 'request')}, but {outcomes}.")
        if self.storm_dead_letters:
            listed = ", ".join(self.storm_dead_letters[:_LISTED])
            given_up = counted(len(self.storm_dead_letters), "request")
            found.append(f"{given_up} given up because of the storm: {listed}.")
        if self.calls != self.provider_calls:
            found.append(
                f"The records tell of {counted(self.calls, 'call')}, but the provider saw {self.provider_calls}."
            )
        return found


def accounts(sent: Collection[Place], outcomes: Iterable[OutcomeSeen], ledger: Iterable[Call]) -> Accounts:
    """The accounts of a run."""
    seen = list(outcomes)
    times = Counter(each.source for each in seen)
    calls = list(ledger)
    last_fault = {unquote(call.request_id or ""): call.fault for call in calls}
    expected = set(sent)
    dead = [each for each in seen if each.reason is not None]
    return Accounts(
        sent=len(sent),
        results=len(seen) - len(dead),
        dead_letters=len(dead),
        missing=tuple(sorted(place for place in expected if not times[place])),
        doubled=tuple(sorted(place for place in expected if times[place] > 1)),
        strangers=sum(count for place, count in times.items() if place not in expected),
        reasons=Counter(each.reason for each in seen if each.reason is not None),
        calls=sum(each.calls for each in seen),
        attempts=sum(each.attempts for each in seen),
        micro_usd=sum(each.micro_usd or 0 for each in seen),
        dead_micro_usd=sum(each.micro_usd or 0 for each in dead),
        unpriced=sum(1 for each in seen if each.micro_usd is None),
        answers=Counter(call.status for call in calls),
        wasted_calls=sum(1 for call in calls if call.fault in STORM_FAULTS),
        storm_dead_letters=tuple(
            each.request_id for each in dead if each.request_id and last_fault.get(each.request_id) in STORM_FAULTS
        ),
    )


def outcome_seen(record: Record, *, dead: bool) -> OutcomeSeen:
    """What a record of results (or, `dead`, of dead letters) says. Never raises."""
    source = _source(record)
    if dead:
        letter = dead_letter_from(record)
        reason = (letter.stage or "?", letter.code or "?")
        calls, attempts = letter.calls or 0, letter.attempts or 0
        return OutcomeSeen(source, letter.request_id, reason, calls, attempts, letter.cost_micro_usd)
    value = _object(record.value)
    name, cost = value.get("request_id"), value.get("cost_micro_usd")
    return OutcomeSeen(
        source,
        name if isinstance(name, str) else None,
        None,
        _count(value, "calls"),
        _count(value, "attempts"),
        cost if isinstance(cost, int) else None,
    )


def _source(record: Record) -> Place | None:
    topic = names.text(record.headers, names.SOURCE_TOPIC)
    partition = names.integer(record.headers, names.SOURCE_PARTITION)
    offset = names.integer(record.headers, names.SOURCE_OFFSET)
    return None if topic is None or partition is None or offset is None else Place(topic, partition, offset)


def _object(value: bytes | None) -> Mapping[str, Any]:
    try:
        parsed = parse(value or b"")
    except StrictJsonError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _count(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    return found if isinstance(found, int) else 0


def _listed(places: Collection[Place]) -> str:
    shown = ", ".join(f"{place.topic}:{place.partition}:{place.offset}" for place in list(places)[:_LISTED])
    return shown + (", …" if len(places) > _LISTED else "")
