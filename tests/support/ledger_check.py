"""The independent checker of the promise: what was sent against what a read_committed consumer sees.

Knows the wire format from the design alone and imports nothing of `stream`: it must not share the worker's mistakes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.topic_reading import read_all

Source = tuple[str, int, int]
"""Topic, partition and offset of a request."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as its producer's delivery report has it. id=None: its bytes hold none that could be read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    id: str | None

    @property
    def source(self) -> Source:
        return (self.topic, self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Seen:
    """A record of the results or the dead letters. Headers: the last value of each name."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    def text(self, header: str) -> str | None:
        """A header as text; None if it is absent or can't be read."""
        try:
            return (self.headers.get(header) or b"").decode() or None
        except UnicodeDecodeError:
            return None

    @property
    def source(self) -> Source | None:
        """The request it says it answers; None if it doesn't say so readably."""
        topic, partition, offset = (self.text(f"llm.source.{name}") for name in ("topic", "partition", "offset"))
        if topic is None or partition is None or offset is None:
            return None
        return (topic, int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else None


Belongs = Callable[[Sent, Seen], bool]
"""Whether an outcome's content is an answer to this very request."""


@dataclass(slots=True)
class Report:
    """What is wrong, one readable line each."""

    requests: int
    results: int
    dead_letters: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "orphaned": self.orphaned,
            "swapped": self.swapped,
            "out of order": self.out_of_order,
        }

    @property
    def clean(self) -> bool:
        """Every request has exactly one outcome, its own, in order."""
        return not any(self.faults.values())

    def __str__(self) -> str:
        lines = [f"{self.requests} requests, {self.results} results, {self.dead_letters} dead letters"]
        for name, found in self.faults.items():
            lines.append(f"{name}: {len(found)}")
            lines += [f"  {line}" for line in found[:10]]
        return "\n".join(lines)


def seen(message: Any) -> Seen:
    """A record of the results or the dead letters as the Kafka client gives it."""
    place = (message.topic(), message.partition(), message.offset())
    return Seen(*place, message.key(), message.value(), dict(message.headers() or ()))


def check_topics(
    bootstrap_servers: str,
    sent: Iterable[Sent],
    *,
    results: str,
    dlq: str,
    group: str,
    belongs: Belongs | None = None,
    ordered: bool = True,
    deadline_s: float = 60,
) -> Report:
    """Read results and dead letters to their ends under read_committed, and `check` them."""
    outcomes = [seen(m) for topic in (results, dlq) for m in read_all(bootstrap_servers, topic, deadline_s)]
    return check(sent, outcomes, dlq=dlq, group=group, belongs=belongs, ordered=ordered)


def check(
    sent: Iterable[Sent],
    outcomes: Iterable[Seen],
    *,
    dlq: str,
    group: str,
    belongs: Belongs | None = None,
    ordered: bool = True,
) -> Report:
    """Compare requests with outcomes of `group`; those of other groups are none of its business.

    lost: a request without outcome. doubled: with more than one, results and dead letters taken together. orphaned: an
    outcome of no request sent. swapped: another request's id, key or content. out of order (if `ordered`): of one key,
    in one partition of one topic, an outcome stands behind that of a later request.
    """
    requests = {request.source: request for request in sent}
    mine = [outcome for outcome in outcomes if outcome.text("llm.source.group") in (group, None)]
    dead = sum(outcome.topic == dlq for outcome in mine)
    report = Report(len(requests), len(mine) - dead, dead)
    places: dict[Source, list[str]] = {}
    for outcome in mine:
        request = requests.get(outcome.source) if outcome.source and outcome.text("llm.source.group") else None
        if request is None:
            report.orphaned.append(f"{outcome.place} says its source is {outcome.source}")
            continue
        places.setdefault(request.source, []).append(outcome.place)
        report.swapped += _differences(request, outcome, outcome.topic == dlq, belongs)
    report.lost += [f"{_name(source)} has no outcome" for source in requests.keys() - places.keys()]
    report.doubled += [f"{_name(source)} has {', '.join(found)}" for source, found in places.items() if len(found) > 1]
    if ordered:
        report.out_of_order += _disorder(mine)
    return report


def _differences(request: Sent, outcome: Seen, is_dead_letter: bool, belongs: Belongs | None) -> list[str]:
    found = []
    their_id = outcome.text("llm.request_id" if is_dead_letter else "ce_causationid")
    unreadable = is_dead_letter and their_id is None  # a request that could not be decoded has no id to give
    if request.id is not None and their_id != request.id and not unreadable:
        found.append(f"{outcome.place} has request id {their_id}, its source {_name(request.source)} {request.id}")
    if outcome.key != request.key:
        found.append(f"{outcome.place} has key {outcome.key!r}, its source {_name(request.source)} {request.key!r}")
    if belongs is not None and not belongs(request, outcome):
        found.append(f"{outcome.place} is not the answer to {_name(request.source)}")
    return found


def _disorder(outcomes: Iterable[Seen]) -> list[str]:
    latest: dict[tuple[str, int, bytes, str, int], int] = {}
    found = []
    for outcome in sorted(outcomes, key=lambda o: (o.topic, o.partition, o.offset)):
        if outcome.key is None or outcome.source is None:
            continue
        topic, partition, offset = outcome.source
        line = (outcome.topic, outcome.partition, outcome.key, topic, partition)
        if offset < latest.get(line, -1):
            found.append(f"{outcome.place} (key {outcome.key!r}) answers offset {offset} after {latest[line]}")
        latest[line] = max(offset, latest.get(line, -1))
    return found


def _name(source: Source) -> str:
    return f"{source[0]}/{source[1]}@{source[2]}"
