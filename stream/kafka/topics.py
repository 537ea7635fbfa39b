"""Which topics the settings want, and how they compare with what is there. No I/O.

The rules that keep outcomes producible (design, "Never unproducible"): no compacted requests, results or dead letters;
a dead letter fits in its topic together with the original value; it goes to the partition number it came from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stream.settings import Settings

Kind = Literal["requests", "results", "dlq", "audit", "decisions", "control"]
Level = Literal["ok", "warning", "wrong"]

MIB = 1024 * 1024
REQUEST_MAX_BYTES = 8 * MIB
DLQ_HEADROOM_BYTES = 256 * 1024
"""What a dead letter's headers may need beside the original value."""

UNKNOWN_MAX_MESSAGE_BYTES = REQUEST_MAX_BYTES + DLQ_HEADROOM_BYTES
"""Assumed where the broker can't say: only librdkafka's mock cluster can't, and it enforces no limit."""

OFFSET_METADATA_BYTES = 4_096
"""The longest commit metadata we write is a done-map of 2.8 KB; Kafka's default limit is this."""

TRANSACTION_TIMEOUT_MS = 15_000
"""`transaction.timeout.ms` of a worker: brokers must allow it."""


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as `topics create` makes it. `config`: Kafka's topic settings, as text."""

    name: str
    kind: Kind
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What a broker says of a topic.

    topic_id: as Kafka's tools print it; None if the broker doesn't know topic ids.
    replication_factor: of the partition with the fewest replicas.
    config: the effective settings; empty if the broker can't say.
    """

    partitions: int
    topic_id: str | None
    max_message_bytes: int
    cleanup_policy: str
    replication_factor: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """What is there. `brokers`: each broker's effective settings, by its id."""

    topics: Mapping[str, TopicFacts]
    brokers: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `what` says what is there; `remedy` what to do, empty where all is well."""

    subject: str
    check: str
    level: Level
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Alteration:
    """How an existing topic would be made what is wanted. `partitions` is None where the number stays."""

    topic: str
    config: Mapping[str, str]
    partitions: int | None = None


def wanted(settings: Settings, brokers: int, results_topics: Iterable[str] = ()) -> list[WantedTopic]:
    """The topics of these settings, each name once, in the order of a request's way.

    brokers: how many the cluster has; the replication factor follows unless it is set.
    results_topics: results topics of single tasks, beside the shared one.
    """
    topics, hours = settings.topics, settings.topics.retention_hours
    factor = topics.replication_factor or max(1, min(3, brokers))
    many = topics.partitions
    dlq_bytes = REQUEST_MAX_BYTES + DLQ_HEADROOM_BYTES

    def topic(kind: Kind, name: str, partitions: int, hours_kept: int, max_bytes: int | None = None) -> WantedTopic:
        config = {"cleanup.policy": "delete", "retention.ms": str(_milliseconds(hours_kept))}
        if max_bytes is not None:
            config["max.message.bytes"] = str(max_bytes)
        if factor >= 3:
            config["min.insync.replicas"] = "2"
        return WantedTopic(name, kind, partitions, factor, config)

    rows = [
        *(topic("requests", name, many, hours.requests, REQUEST_MAX_BYTES) for name in topics.requests),
        *(topic("results", name, many, hours.results, REQUEST_MAX_BYTES) for name in (topics.results, *results_topics)),
        topic("dlq", topics.dlq, many, hours.dlq, dlq_bytes),
        topic("audit", topics.audit, many, hours.audit, REQUEST_MAX_BYTES),
        topic("decisions", topics.decisions, 1, hours.decisions),
        topic("control", topics.control, 1, hours.control),
    ]
    return list({row.name: row for row in rows}.values())


def _milliseconds(hours: int) -> int:
    return -1 if hours < 0 else hours * 3_600_000


def adjusted(rows: Sequence[WantedTopic], there: Mapping[str, TopicFacts], *, grown: bool = False) -> list[WantedTopic]:
    """The wanted topics, with the dead letter topic following the requests topics as they really are.

    grown: as the requests topics would be after `topics create --apply`, so that what is made now fits then too.
    """
    requests = [row for row in rows if row.kind == "requests"]
    partitions = [there[row.name].partitions for row in requests if row.name in there]
    sizes = [there[row.name].max_message_bytes for row in requests if row.name in there]
    planned = [row for row in requests if grown or row.name not in there]
    most = max(partitions + [row.partitions for row in planned])
    size = max(sizes + [REQUEST_MAX_BYTES for _ in planned])
    return [_following(row, most, size) if row.kind == "dlq" else row for row in rows]


def _following(row: WantedTopic, partitions: int, request_bytes: int) -> WantedTopic:
    config = {**row.config, "max.message.bytes": str(request_bytes + DLQ_HEADROOM_BYTES)}
    return WantedTopic(row.name, row.kind, partitions, row.replication_factor, config)


def alterations(rows: Sequence[WantedTopic], there: Mapping[str, TopicFacts]) -> list[Alteration]:
    """What `topics create --apply` would change. Never fewer partitions, never a smaller `max.message.bytes`."""
    found = []
    for row in rows:
        facts = there.get(row.name)
        if facts is None:
            continue
        config = {name: value for name, value in row.config.items() if _differs(name, value, facts.config.get(name))}
        partitions = row.partitions if facts.partitions < row.partitions else None
        if config or partitions:
            found.append(Alteration(row.name, config, partitions))
    return found


def _differs(name: str, value: str, seen: str | None) -> bool:
    if name == "max.message.bytes" and seen is not None:
        return int(seen) < int(value)
    return seen != value


def findings(rows: Sequence[WantedTopic], topology: Topology, *, transactional: bool) -> list[Finding]:
    """Everything looked at, good and bad, topic by topic and then broker by broker.

    rows: as `adjusted` gives them. transactional: whether workers use transactions.
    """
    found: list[Finding] = []
    for row in rows:
        facts = topology.topics.get(row.name)
        if facts is None:
            found.append(
                Finding(row.name, "exists", "wrong", "is not there", "llm-stream topics create makes what is missing")
            )
        else:
            found += [check(row, facts) for check, kinds in _TOPIC_CHECKS if row.kind in kinds]
    for number, config in topology.brokers.items():
        found += _broker_findings(f"broker {number}", config, transactional=transactional)
    return found


def _cleanup(row: WantedTopic, facts: TopicFacts) -> Finding:
    what = f"cleanup.policy={facts.cleanup_policy}"
    if "compact" in facts.cleanup_policy.split(","):
        remedy = "compaction removes records that are nobody's duplicates: llm-stream topics create --apply sets delete"
        return Finding(row.name, "cleanup", "wrong", what, remedy)
    return Finding(row.name, "cleanup", "ok", what)


def _size(row: WantedTopic, facts: TopicFacts) -> Finding:
    needed, seen = int(row.config["max.message.bytes"]), facts.max_message_bytes
    what = f"max.message.bytes={seen}"
    if seen >= needed:
        return Finding(row.name, "size", "ok", what)
    if row.kind == "dlq":
        remedy = f"a dead letter could not hold its request: needs {needed} (llm-stream topics create --apply)"
        return Finding(row.name, "size", "wrong", what, remedy)
    said = {
        "requests": f"larger requests can't be sent; topics create gives {needed}",
        "results": f"larger results become dead letters encode/too_large; topics create gives {needed}",
        "audit": f"larger copies are dropped and counted; topics create gives {needed}",
    }
    return Finding(row.name, "size", "warning", what, said[row.kind])


def _partitions(row: WantedTopic, facts: TopicFacts) -> Finding:
    what = "1 partition" if facts.partitions == 1 else f"{facts.partitions} partitions"
    if row.kind == "dlq" and facts.partitions < row.partitions:
        remedy = (
            f"dead letters go to the partition number they came from: needs {row.partitions} (topics create --apply)"
        )
        return Finding(row.name, "partitions", "wrong", what, remedy)
    if row.kind in ("decisions", "control") and facts.partitions != 1:
        remedy = "its records are read in one order: delete it if it is empty, then llm-stream topics create"
        return Finding(row.name, "partitions", "wrong", what, remedy)
    return Finding(row.name, "partitions", "ok", what)


def _retention(row: WantedTopic, facts: TopicFacts) -> Finding:
    seen = facts.config.get("retention.ms", row.config["retention.ms"])
    what = f"retention.ms={seen}"
    limited = seen != "-1" or facts.config.get("retention.bytes", "-1") != "-1"
    if row.kind == "decisions" and limited:
        remedy = "decisions are kept for ever: set retention.ms=-1 and retention.bytes=-1 (topics create --apply)"
        return Finding(row.name, "retention", "wrong", what, remedy)
    return Finding(row.name, "retention", "ok", what)


def _durability(row: WantedTopic, facts: TopicFacts) -> Finding:
    factor, in_sync = facts.replication_factor, int(facts.config.get("min.insync.replicas", "1"))
    what = f"{'1 replica' if factor == 1 else f'{factor} replicas'}, min.insync.replicas={in_sync}"
    if in_sync > factor:
        remedy = "nothing can be written to it: lower min.insync.replicas or add replicas"
        return Finding(row.name, "durability", "wrong", what, remedy)
    if facts.config.get("unclean.leader.election.enable") == "true":
        remedy = "a replica that lags may become leader and lose records: set unclean.leader.election.enable=false"
        return Finding(row.name, "durability", "warning", f"{what}, unclean leader election", remedy)
    if factor >= 3 and in_sync < 2:
        remedy = "an acknowledged record may be on one disk only: set min.insync.replicas=2 (topics create --apply)"
        return Finding(row.name, "durability", "warning", what, remedy)
    if factor < row.replication_factor:
        remedy = f"{row.replication_factor} replicas are wanted: add them with kafka-reassign-partitions.sh"
        return Finding(row.name, "durability", "warning", what, remedy)
    return Finding(row.name, "durability", "ok", what)


_ALL: frozenset[Kind] = frozenset({"requests", "results", "dlq", "audit", "decisions", "control"})

_TOPIC_CHECKS: tuple[tuple[Callable[[WantedTopic, TopicFacts], Finding], frozenset[Kind]], ...] = (
    (_partitions, _ALL),
    (_cleanup, _ALL),
    (_size, frozenset({"requests", "results", "dlq", "audit"})),
    (_retention, _ALL),
    (_durability, _ALL),
)


def _broker_findings(subject: str, config: Mapping[str, str], *, transactional: bool) -> list[Finding]:
    limits = [("offset.metadata.max.bytes", OFFSET_METADATA_BYTES, "the done-map of a commit would be refused")]
    if transactional:
        limits.append(
            ("transaction.max.timeout.ms", TRANSACTION_TIMEOUT_MS, "the worker's transactions would be refused")
        )
    found = []
    for name, least, consequence in limits:
        if name not in config:
            found.append(
                Finding(subject, name, "warning", "not told", "the broker doesn't say: check its configuration")
            )
        elif int(config[name]) < least:
            remedy = f"{consequence}: set {name} to at least {least} on every broker"
            found.append(Finding(subject, name, "wrong", f"{name}={config[name]}", remedy))
        else:
            found.append(Finding(subject, name, "ok", f"{name}={config[name]}"))
    return found
