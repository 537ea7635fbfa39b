"""Judges a simulated run by what the broker holds in the end, and by the ledger of calls. Knows nothing of the worker
but its wire formats."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from stream.core.offsets import DoneMap, decode_map, topic_hash
from stream.core.records import Outgoing
from stream.kafka.assignment import TopicPartition
from tests.support.model_broker import Broker
from tests.support.simulated_work import Call

TOPIC_HASH = topic_hash("id", "requests")
_THAWING_S = 10.0
"""How long after it was frozen, or expelled, a worker may not know yet that its partitions went on without it: it may
have to let go of an attempt first (two seconds), whose call to a broker is under way (five)."""

Place = tuple[TopicPartition, int]


@dataclass
class Excuse:
    """At this moment a process lost a partition (None: all), so that a request of it may be paid for again.

    frozen: not lost for sure, but the process woke up and may not know what others did meanwhile.
    """

    at_s: float
    process: str
    partition: str | None
    frozen: bool = False


def outcomes(broker: Broker) -> Iterator[Place]:
    """The requests whose outcome is visible, once for each, in the order of becoming so."""
    return (place for published in broker.shown if (place := _source(published.outgoing)))


def unfinished(broker: Broker) -> list[Place]:
    """The requests that the group's commits don't mark as finished."""
    return [
        (partition, record.offset)
        for partition, log in broker.requests.items()
        for record in log
        if record is not None and record.offset not in _done(broker, partition)
    ]


def findings(
    broker: Broker, calls: Sequence[Call], excuses: Iterable[Excuse], *, transactional: bool, ordered: Set[bytes | None]
) -> list[str]:
    """What is wrong, as sentences; nothing if all is well. ordered: the keys whose order is promised."""
    found = _lost_and_doubled(broker, transactional=transactional)
    found += _untruthful_maps(broker, transactional=transactional)
    found += _out_of_order(broker, ordered)
    return found + _paid_twice(broker, calls, list(excuses), transactional=transactional)


def _source(outgoing: Outgoing) -> Place | None:
    """Which request a result or dead letter is for."""
    if outgoing.topic not in {"results", "dlq"}:
        return None
    found = dict(outgoing.headers)
    partition, offset = found["llm.source.partition"], found["llm.source.offset"]
    assert partition is not None and offset is not None  # noqa: PT018
    return TopicPartition("requests", int(partition)), int(offset)


def _done(broker: Broker, partition: TopicPartition) -> DoneMap:
    committed = broker.offsets.get(partition)
    return decode_map(committed[1], committed[0], TOPIC_HASH) if committed else DoneMap(0)


def _lost_and_doubled(broker: Broker, *, transactional: bool) -> list[str]:
    counts: dict[Place, int] = {}
    for place in outcomes(broker):
        counts[place] = counts.get(place, 0) + 1
    found = [
        f"{p}:{offset}: an outcome without a request" for p, offset in counts if not _is_request(broker, p, offset)
    ]
    for partition, log in broker.requests.items():
        for record in filter(None, log):
            count = counts.get((partition, record.offset), 0)
            if count == 0:
                found.append(f"{partition}:{record.offset}: lost")
            elif count > 1 and transactional:
                found.append(f"{partition}:{record.offset}: {count} outcomes")
    return found


def _is_request(broker: Broker, partition: TopicPartition, offset: int) -> bool:
    log = broker.requests.get(partition, [])
    return offset < len(log) and log[offset] is not None


def _untruthful_maps(broker: Broker, *, transactional: bool) -> list[str]:
    """Each commit marks what has a visible outcome and nothing else (at least once: nothing that has none)."""
    found = []
    visible: dict[TopicPartition, set[int]] = {partition: set() for partition in broker.requests}
    shown = 0
    for number, commit in enumerate(broker.history):
        for published in broker.shown[shown : commit.shown]:
            if place := _source(published.outgoing):
                visible[place[0]].add(place[1])
        shown = commit.shown
        for partition, (offset, metadata) in commit.offsets.items():
            done = decode_map(metadata, offset, TOPIC_HASH)
            records = [record.offset for record in broker.requests[partition] if record is not None]
            marked = {each for each in records if each in done}
            if lies := sorted(marked - visible[partition]):
                found.append(f"commit {number} of {partition} marks {lies}, which have no outcome")
            if transactional and (silent := sorted(visible[partition] - marked)):
                found.append(f"commit {number} of {partition} does not mark {silent}, which have one")
    return found


def _out_of_order(broker: Broker, ordered: Set[bytes | None]) -> list[str]:
    """The first outcomes of a key become visible in the order of its requests."""
    found = []
    latest: dict[tuple[TopicPartition, bytes], int] = {}
    seen: set[Place] = set()
    for place in outcomes(broker):
        partition, offset = place
        record = broker.requests[partition][offset] if _is_request(broker, partition, offset) else None
        if record is None or record.key not in ordered or place in seen:
            continue
        seen.add(place)
        if offset < latest.get((partition, record.key), -1):
            found.append(f"{partition}:{offset}: visible after a later one of its key {record.key!r}")
        latest[partition, record.key] = offset
    return found


def _paid_twice(broker: Broker, calls: Sequence[Call], excuses: list[Excuse], *, transactional: bool) -> list[str]:
    """A request is paid for again only if who paid before has lost it, and (exactly once) nothing of it is visible."""
    places = {
        (record.value or b"").split(b" ")[0].decode(): (partition, record.offset)
        for partition, log in broker.requests.items()
        for record in filter(None, log)
    }
    visible_s = {place: p.visible_s for p in reversed(broker.shown) if (place := _source(p.outgoing))}
    moved = [(c.at_s, str(c.partition), 0.0 if c.member else _THAWING_S) for c in broker.group.changes]
    before: dict[str, Call] = {}
    found = []
    for call in calls:
        place = places[call.request_id]
        last, before[call.request_id] = before.get(call.request_id), call
        dazed = any(e.frozen and e.process == call.process and -1 < call.at_s - e.at_s < _THAWING_S for e in excuses)
        shown_s = visible_s.get(place)
        if transactional and not dazed and shown_s is not None and shown_s < call.at_s:
            found.append(f"{call.request_id}: paid for at {call.at_s:.3f} s, visible since {shown_s:.3f} s")
        if not call.owned and not dazed:  # one that wakes is told at the same moment as what waited at a gate
            found.append(f"{call.request_id}: paid for at {call.at_s:.3f} s by one that knew {place[0]} was lost")
        if dazed:
            before[call.request_id] = replace(call, failed=True)
        elif last is not None and not last.failed and not _lost(last, call, str(place[0]), excuses, moved):
            found.append(
                f"{call.request_id}: paid for at {last.at_s:.3f} s and again at {call.at_s:.3f} s, for no reason"
            )
    return found


def _lost(last: Call, now: Call, partition: str, excuses: list[Excuse], moved: list[tuple[float, str, float]]) -> bool:
    """Whether who paid last had lost the partition by now, or who pays now may not know yet that it was expelled.

    moved: when which partition changed hands, and for how long its owner may not know.
    """
    lost = any(
        not e.frozen
        and e.process == last.process
        and e.partition in {None, partition}
        and last.at_s <= e.at_s <= now.at_s
        for e in excuses
    )
    return lost or any(p == partition and last.at_s - unknown_s <= at_s <= now.at_s for at_s, p, unknown_s in moved)
