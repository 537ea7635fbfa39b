"""Results and dead letters, entered into the accounts by their headers; values are read only for what they cost."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from stream.core import headers as names
from stream.kafka.accounting.accounts import Account, Proof
from stream.kafka.accounting.repeated_ids import RepeatedIds
from stream.kafka.reading import Partition
from stream.settings import Settings

_CLOCKS_MS = 60_000
"""How far the clocks of producers and workers may differ, where deleted outcomes are dated by those that are left."""

_NEVER_MS = 2**63
_OTHER_GROUPS = 20


@dataclass(slots=True)
class Spending:
    """What outcomes say they cost, in millionths of a US dollar.

    spent: by all of them. wasted: by dead letters and by doubles. unknown: outcomes that don't say.
    """

    spent_micro_usd: int = 0
    wasted_micro_usd: int = 0
    unknown: int = 0

    def add(self, micro_usd: int | None, *, wasted: bool) -> None:
        """Enter one outcome."""
        if micro_usd is None:
            self.unknown += 1
            return
        self.spent_micro_usd += micro_usd
        if wasted:
            self.wasted_micro_usd += micro_usd


@dataclass(frozen=True, slots=True)
class Expected:
    """A partition of requests: its account, the offsets asked for, the log end, and the topic's id."""

    account: Account
    judged: range
    end: int
    topic_id: bytes | None


class OutcomeReader:
    """Takes messages of results and dead letters.

    corrections: results made by people (`llm.corrects`). foreign: records that name no group. nameless: outcomes of our
    group whose request can't be told. other_topics: outcomes of our group for topics that aren't configured.
    other_groups: outcomes of other groups, by their names (the first 20).
    """

    def __init__(
        self, settings: Settings, expected: Iterable[Expected], starts: Mapping[Partition, int], *, with_cost: bool
    ) -> None:
        self._group = settings.kafka.group_id.encode()
        self._dlq = settings.topics.dlq
        self._with_cost = with_cost
        self._expected = {
            (each.account.topic.encode(), str(each.account.partition).encode()): each for each in expected
        }
        self._topics = {topic for topic, _ in self._expected}
        self._undated = {place for place, start in starts.items() if start > 0}
        self._since_ms = 0
        self.spending = Spending()
        self.repeated_ids = RepeatedIds()
        self.corrections = self.foreign = self.nameless = self.other_topics = 0
        self.other_groups: Counter[str] = Counter()

    def take(self, message: Message) -> None:
        """Enter one record."""
        if self._undated:
            self._date(message)
        try:
            found = dict(message.headers() or ())
        except (SystemError, UnicodeDecodeError):  # a header's *name* that isn't UTF-8: no outcome of ours has one
            self.foreign += 1
            return
        group = found.get(names.SOURCE_GROUP)
        if group == self._group:
            self._enter(message, found)
        elif group is None:
            self.foreign += 1
        else:
            name = group.decode(errors="replace") if isinstance(group, bytes) else group
            if name in self.other_groups or len(self.other_groups) < _OTHER_GROUPS:
                self.other_groups[name] += 1

    def jumped(self, place: Partition) -> None:
        """Records were deleted before they could be read."""
        self._undated.add(place)

    def proof(self, *, complete: bool) -> Proof:
        """What can be proven by what was read. Outcomes that are deleted are older than those that are left."""
        if self._undated:
            return Proof(_NEVER_MS, complete)
        return Proof(self._since_ms + _CLOCKS_MS if self._since_ms else None, complete)

    def _date(self, message: Message) -> None:
        place = (message.topic() or "", message.partition() or 0)
        if place in self._undated:
            self._undated.remove(place)
            self._since_ms = max(self._since_ms, message.timestamp()[1], 1)

    def _enter(self, message: Message, found: Mapping[str, object]) -> None:
        topic, offset_text = found.get(names.SOURCE_TOPIC), found.get(names.SOURCE_OFFSET)
        expected = self._expected.get((topic, found.get(names.SOURCE_PARTITION)))  # type: ignore[arg-type]
        if expected is None and topic is not None and topic not in self._topics:
            self.other_topics += 1
            return
        if expected is None or not isinstance(offset_text, bytes) or not offset_text.isdigit() or len(offset_text) > 19:
            self.nameless += 1
            return
        if names.CORRECTS in found:
            self.corrections += 1
            return
        self._account(message, found, expected, int(offset_text))

    def _account(self, message: Message, found: Mapping[str, object], expected: Expected, offset: int) -> None:
        topic_id = found.get(names.SOURCE_TOPIC_ID)
        if offset >= expected.end or (topic_id and expected.topic_id and topic_id != expected.topic_id):
            expected.account.stranger(offset)
            return
        if offset not in expected.judged:
            expected.account.unjudged(offset, timestamp_ms=message.timestamp()[1])
            return
        dead = message.topic() == self._dlq
        first = expected.account.outcome(offset, dead=dead, timestamp_ms=message.timestamp()[1])
        name = found.get(names.REQUEST_ID if dead else "ce_causationid")
        if first and isinstance(name, bytes):
            self.repeated_ids.add(name)
        if self._with_cost:
            stated = found.get(names.COST) if dead else _stated_cost(message.value())
            self.spending.add(_integer(stated), wasted=dead or not first)


def request_id(message: Message) -> str | None:
    """A request's id as far as it can be told: `ce_id`, or `id` of a JSON object; None if it can't be."""
    try:
        stated = dict(message.headers() or ()).get("ce_id")
        if isinstance(stated, bytes):
            return stated.decode()
        value = json.loads(message.value() or b"")
    except (SystemError, ValueError, RecursionError):
        return None
    stated = value.get("id") if isinstance(value, dict) else None
    return stated if isinstance(stated, str) else None


def _stated_cost(value: bytes | None) -> object:
    """`cost_micro_usd` of a result; None where it isn't known, or the value is not JSON (Avro)."""
    try:
        result = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    return result.get("cost_micro_usd") if isinstance(result, dict) else None


def _integer(stated: object) -> int | None:
    if isinstance(stated, bytes):
        return int(stated) if stated.isdigit() and len(stated) < 20 else None
    return stated if type(stated) is int else None
