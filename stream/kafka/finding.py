"""Everything the topics hold about one request id: requests, results, dead letters, audit copies, decisions.

A request is a record: one id may have several, each with its own outcome, joined by the outcome's source coordinates.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stream.codecs.strict_json import StrictJsonError, parse
from stream.core import headers as names
from stream.core.records import Record
from stream.kafka import lines, reading
from stream.kafka.lines import Kind
from stream.kafka.reading import EARLIEST, Start
from stream.settings import Settings

Source = tuple[str, int, int]
"""Topic, partition and offset of a request."""

Status = Literal["completed", "dead_lettered", "pending", "several"]


@dataclass(frozen=True, slots=True)
class Found:
    """One record about the request. kind: of the topic it stands on."""

    kind: Kind
    record: Record

    @property
    def where(self) -> str:
        """`topic:partition:offset`."""
        return f"{self.record.topic}:{self.record.partition}:{self.record.offset}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what became of it in this group.

    outcomes: results and dead letters that name it as their source; corrections are among them.
    """

    request: Found
    outcomes: tuple[Found, ...]

    @property
    def status(self) -> Status:
        """`several` where there is more than one outcome that is no correction: `llm-stream reconcile` judges that."""
        first = [each for each in self.outcomes if names.text(each.record.headers, names.CORRECTS) is None]
        if not first:
            return "pending"
        if len(first) > 1:
            return "several"
        return "completed" if first[0].kind == "results" else "dead_lettered"


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found about one id. searched: the topics read. elsewhere: outcomes of other groups, or of requests that
    aren't there any more."""

    id: str
    searched: tuple[str, ...]
    requests: tuple[Asked, ...] = ()
    elsewhere: tuple[Found, ...] = ()
    audit: tuple[Found, ...] = ()
    decisions: tuple[Found, ...] = ()

    @property
    def records(self) -> list[Found]:
        """All of it, in the order in which it was written."""
        asked = [each for request in self.requests for each in (request.request, *request.outcomes)]
        return sorted(
            (*asked, *self.elsewhere, *self.audit, *self.decisions), key=lambda each: each.record.timestamp_ms
        )

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON; records as `llm-stream tail` gives them."""
        return {
            "id": self.id,
            "found": bool(self.records),
            "searched": list(self.searched),
            "requests": [
                {"status": each.status, "request": _line(each.request), "outcomes": [_line(o) for o in each.outcomes]}
                for each in self.requests
            ],
            "elsewhere": [_line(each) for each in self.elsewhere],
            "audit": [_line(each) for each in self.audit],
            "decisions": [_line(each) for each in self.decisions],
        }


def _line(found: Found) -> dict[str, Any]:
    return {"kind": found.kind, **lines.as_line(found.record)}


@dataclass(slots=True)
class _Sorted:
    """Records about one id, by kind, as they come. Decisions may speak of a dead letter only: they are sorted last."""

    by_kind: dict[Kind, list[Found]] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        self.by_kind.setdefault(found.kind, []).append(found)

    def of(self, kind: Kind) -> tuple[Found, ...]:
        return tuple(sorted(self.by_kind.get(kind, ()), key=lambda each: each.record.timestamp_ms))


def find(settings: Settings, request_id: str, start: Start = EARLIEST, results_topics: Sequence[str] = ()) -> Trace:
    """Everything about a request id that was written from `start` on (decisions: ever).

    results_topics: of single tasks, beside the shared one. Raises ConfigError, DependencyError.
    """
    places = _places(settings, results_topics)
    optional = {topic for topic, kind in places.items() if kind not in ("requests", "results", "dlq")}
    decisions = settings.topics.decisions
    wanted = reading.spans(settings, [topic for topic in places if topic != decisions], start, optional=optional)
    wanted += reading.spans(settings, [decisions], optional=optional)
    searched = tuple(dict.fromkeys(span.topic for span in wanted))
    found = (Found(places[record.topic], record) for record in reading.read(settings, wanted))
    return trace(request_id, settings.kafka.group_id, searched, found)


def trace(request_id: str, group_id: str, searched: Sequence[str], records: Iterable[Found]) -> Trace:
    """The records about one id, put together. Pure; holds only what is about it, and the decisions."""
    sorted_ = _Sorted()
    unrelated: list[Found] = []
    for found in records:
        if lines.about(found.kind, found.record)[0] == request_id:
            sorted_.add(found)
        elif found.kind == "decisions":
            unrelated.append(found)
    dead_letters = {(each.record.topic, _id(each.record)) for each in sorted_.of("dlq")}
    for decision in unrelated:
        if _about_a_dead_letter(decision.record, dead_letters):
            sorted_.add(decision)
    requests, elsewhere = _joined(sorted_, group_id)
    return Trace(request_id, tuple(searched), requests, elsewhere, sorted_.of("audit"), sorted_.of("decisions"))


def _joined(found: _Sorted, group_id: str) -> tuple[tuple[Asked, ...], tuple[Found, ...]]:
    """Requests with their outcomes, and the outcomes that belong to none of them."""
    by_source: dict[Source, list[Found]] = {}
    requests = found.of("requests")
    known = {(each.record.topic, each.record.partition, each.record.offset) for each in requests}
    elsewhere = []
    for outcome in (*found.of("results"), *found.of("dlq")):
        group, source = source_of(outcome.record)
        if source in known and group in (None, group_id):
            by_source.setdefault(source, []).append(outcome)
        else:
            elsewhere.append(outcome)
    joined = tuple(
        Asked(each, tuple(by_source.get((each.record.topic, each.record.partition, each.record.offset), ())))
        for each in requests
    )
    return joined, tuple(elsewhere)


def source_of(outcome: Record) -> tuple[str | None, Source]:
    """The group and the request an outcome names; -1 where it doesn't say."""
    partition = names.integer(outcome.headers, names.SOURCE_PARTITION)
    offset = names.integer(outcome.headers, names.SOURCE_OFFSET)
    topic = names.text(outcome.headers, names.SOURCE_TOPIC) or ""
    group = names.text(outcome.headers, names.SOURCE_GROUP)
    return group, (topic, -1 if partition is None else partition, -1 if offset is None else offset)


def _places(settings: Settings, results_topics: Sequence[str]) -> Mapping[str, Kind]:
    kinds: tuple[Kind, ...] = ("requests", "results", "dlq", "audit", "decisions")
    shared: dict[str, Kind] = {topic: kind for kind in kinds for topic in lines.topics_of(kind, settings)}
    own: dict[str, Kind] = dict.fromkeys(results_topics, "results")
    return own | shared


def _about_a_dead_letter(decision: Record, dead_letters: set[tuple[str, str]]) -> bool:
    try:
        value = parse(decision.value or b"")
    except StrictJsonError:
        return False
    scope = value.get("scope") if isinstance(value, dict) else None
    return isinstance(scope, dict) and (scope.get("dlq"), scope.get("dead_letter")) in dead_letters


def _id(record: Record) -> str:
    return f"{record.partition}:{record.offset}"


def facts(found: Found) -> Iterator[tuple[str, str]]:
    """What a person wants to know of a record, as pairs of a word and its value."""
    value, headers = lines.shown_value(found.record.value), found.record.headers
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    if found.kind in ("results", "audit"):
        said = {name: fields.get(name) for name in _FIELDS[found.kind]}
    elif found.kind == "decisions":
        said = {name: fields.get(name) for name in _FIELDS["decisions"]}
    else:
        said = {word: names.text(headers, name) for word, name in _HEADERS[found.kind].items()}
    yield from ((word, str(each)) for word, each in said.items() if each is not None and each != "")


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "results": (
        "prompt",
        "model_served",
        "stop_reason",
        "attempts",
        "calls",
        "cost_micro_usd",
        "unpriced_calls",
        "latency_ms",
        "reviewed_by",
    ),
    "audit": ("prompt", "outcome", "reason"),
    "decisions": ("kind", "by", "why"),
}
_HEADERS: Mapping[str, Mapping[str, str]] = {
    "requests": {
        "type": "ce_type",
        "source": "ce_source",
        "replay": names.REPLAY_COUNT,
        "replay_of": names.REPLAY_ID,
        "replayed_by": names.REPLAY_BY,
    },
    "dlq": {
        "stage": names.ERROR_STAGE,
        "code": names.ERROR_CODE,
        "detail": names.ERROR_DETAIL,
        "prompt": names.PROMPT,
        "model_served": names.MODEL_SERVED,
        "attempts": names.ATTEMPTS,
        "calls": names.CALLS,
        "cost_micro_usd": names.COST,
    },
}
