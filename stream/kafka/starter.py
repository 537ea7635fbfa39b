"""Finds where reading of newly assigned partitions starts, on a thread that may wait for the broker.

It gathers what `core.starting` judges by (commits, log bounds, topic ids, decisions, and, where a commit is missing or
foreign, whether outcomes exist already) and carries out what people accepted.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException

from stream.core import headers as names
from stream.core.offsets import topic_hash
from stream.core.starting import Accepted, PartitionFacts, Search, Start, Stopped, judge
from stream.kafka import decisions, reading
from stream.kafka.assignment import TopicPartition
from stream.kafka.group_offsets import GroupOffsets
from stream.settings import Settings

_ACCEPTANCES = ("accept_gap", "accept_rerun")


class Starter:
    """Judges partitions. Blocking; belongs to one thread.

    topic_ids: of the request topics as they are now. outcome_topics: every topic that results or dead letters of this
    group may be on. accept: what this worker was told on its command line to accept, (kind, partition).
    """

    def __init__(
        self,
        settings: Settings,
        topic_ids: Callable[[], Mapping[str, str | None]],
        outcome_topics: Sequence[str],
        accept: Iterable[tuple[str, TopicPartition]] = (),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._offsets = GroupOffsets(settings)
        self._topic_ids = topic_ids
        self._outcome_topics = list(dict.fromkeys(outcome_topics))
        self._accept = set(accept)
        self._now_ms = now_ms

    def judge(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Start | Stopped]:
        """Where each starts, as far as their brokers answer. Raises KafkaException, DependencyError or ConfigError when
        none can be asked."""
        made = decisions.read_all(self._settings)
        accepted = self._acceptances(made)
        outcomes = _Lazy(self._outcomes)
        return {
            partition: self._judged(facts, accepted, outcomes)
            for partition, facts in self._facts(partitions, made, outcomes).items()
        }

    def close(self) -> None:
        """Give the connection back."""
        self._offsets.close()

    def _facts(
        self, partitions: Sequence[TopicPartition], made: Sequence[decisions.Decision], outcomes: "_Lazy"
    ) -> dict[TopicPartition, PartitionFacts]:
        committed = self._offsets.committed(partitions)
        ids = self._topic_ids()
        is_first = any(committed[partition][0] is None for partition in partitions)
        starts = self._latest_starts(made, outcomes) if is_first and self._settings.worker.start == "latest" else {}
        facts = {}
        silent: KafkaException | None = None
        for partition in partitions:
            offset, metadata = committed[partition]
            try:
                low, high = self._offsets.log(partition)
            except KafkaException as error:  # a partition without a leader must not hold back the others
                silent = error
                continue
            hashed = topic_hash(ids.get(partition.topic), partition.topic)
            start = min(starts.get(partition, low), high)
            facts[partition] = PartitionFacts(
                partition.topic, partition.partition, hashed, offset, metadata, low, high, start
            )
        if silent is not None and not facts:
            raise silent
        return facts

    def _latest_starts(self, made: Sequence[decisions.Decision], outcomes: "_Lazy") -> dict[TopicPartition, int]:
        """The end of each partition when the group's first worker came; nothing for a group that began otherwise, and
        whose commits are lost: what it hasn't done yet must not be skipped."""
        found = self._recorded_starts(made)
        if found is None and self._is_new(outcomes):
            self._record_latest()
        if found is None:  # recorded just now, or by another of the group's first workers meanwhile
            found = self._recorded_starts(decisions.read_all(self._settings))
        return found or {}

    def _is_new(self, outcomes: "_Lazy") -> bool:
        """Whether the group has neither committed nor published anything of these topics."""
        spans = reading.spans(self._settings, self._settings.topics.requests)
        committed = self._offsets.committed([TopicPartition(span.topic, span.partition) for span in spans])
        return all(offset is None for offset, _ in committed.values()) and not outcomes()

    def _recorded_starts(self, made: Sequence[decisions.Decision]) -> dict[TopicPartition, int] | None:
        """What the earliest such decision says; None if there is none."""
        group = self._settings.kafka.group_id
        for decision in made:
            if decision.kind == "start_latest" and decision.scope.get("group") == group:
                ids = self._topic_ids()
                try:
                    ranges = [decisions.OffsetRange.from_json(each) for each in decision.scope["partitions"]]
                except (KeyError, TypeError, ValueError, AttributeError):
                    continue  # not one of ours: nobody can stop the fleet by a malformed decision
                return {
                    TopicPartition(r.topic, r.partition): r.from_offset
                    for r in ranges
                    if r.topic_id == ids.get(r.topic)
                }
        return None

    def _record_latest(self) -> None:
        ids = self._topic_ids()
        spans = reading.spans(self._settings, self._settings.topics.requests, reading.LATEST)
        ends = [decisions.OffsetRange(s.topic, ids.get(s.topic), s.partition, s.end, s.end).as_json() for s in spans]
        scope = {"group": self._settings.kafka.group_id, "partitions": ends}
        why = 'the group had no commit and [worker] start = "latest"'
        self._decide("start_latest", scope, why)

    def _acceptances(self, made: Sequence[decisions.Decision]) -> list[tuple[Accepted, int]]:
        """What people accepted for this group's partitions, as long as the topic is still the same, and when."""
        ids = self._topic_ids()
        accepted = []
        for decision in made:
            if decision.kind not in _ACCEPTANCES or decision.scope.get("group") != self._settings.kafka.group_id:
                continue
            try:
                r = decisions.OffsetRange.from_json(decision.scope)
            except ValueError:
                continue
            if r.topic_id == ids.get(r.topic):
                each = Accepted(decision.kind, r.topic, r.partition, r.from_offset, r.to_offset)
                accepted.append((each, decision.at_ms))
        return accepted

    def _judged(
        self, facts: PartitionFacts, acceptances: Sequence[tuple[Accepted, int]], outcomes: "_Lazy"
    ) -> Start | Stopped:
        """The verdict; where the command line accepts what would stop it, with that decision recorded first."""
        partition = TopicPartition(facts.topic, facts.partition)
        accepted = still_accepted(acceptances, partition, outcomes)
        while True:
            reached = verdict(facts, accepted, outcomes)
            wanted = reached.accept if isinstance(reached, Stopped) else None
            if not isinstance(reached, Stopped) or wanted is None or (wanted.kind, partition) not in self._accept:
                return reached
            self._accept.discard((wanted.kind, partition))
            topic_id = self._topic_ids().get(wanted.topic)
            lost = decisions.OffsetRange(wanted.topic, topic_id, wanted.partition, wanted.from_offset, wanted.to_offset)
            self._decide(wanted.kind, lost.as_json() | {"group": self._settings.kafka.group_id}, reached.detail)
            accepted = [*accepted, wanted]

    def _decide(self, kind: str, scope: Mapping[str, Any], why: str) -> None:
        decision = decisions.Decision(self._now_ms(), decisions.by_whom(), kind, scope, why)
        decisions.append(self._settings, decision)

    def _outcomes(self) -> "dict[TopicPartition, Outcomes]":
        """What results and dead letters of this group exist, by the partition of their requests.

        Reads those topics whole: it is asked only where a commit is missing or foreign.
        """
        found: dict[TopicPartition, Outcomes] = {}
        ids = self._topic_ids()
        for record in reading.read_all(self._settings, self._outcome_topics):
            headers = record.headers
            if names.text(headers, names.SOURCE_GROUP) != self._settings.kafka.group_id:
                continue
            topic = names.text(headers, names.SOURCE_TOPIC)
            number, offset = names.integer(headers, names.SOURCE_PARTITION), names.integer(headers, names.SOURCE_OFFSET)
            topic_id = names.text(headers, names.SOURCE_TOPIC_ID)
            if topic is None or number is None or offset is None or topic_id != (ids.get(topic) or topic_id):
                continue
            partition = TopicPartition(topic, number)
            before = found.get(partition, _NONE)
            found[partition] = Outcomes(max(before.highest, offset), max(before.latest_ms, record.timestamp_ms))
        return found


def verdict(
    facts: PartitionFacts, accepted: Sequence[Accepted], outcomes: Callable[[], "Mapping[TopicPartition, Outcomes]"]
) -> Start | Stopped:
    """Where a partition starts, or why not. outcomes: asked only where it depends on them."""
    reached = judge(facts, accepted)
    if isinstance(reached, Search):
        exist = outcomes().get(TopicPartition(facts.topic, facts.partition), _NONE).highest >= reached.from_offset
        reached = judge(facts, accepted, outcomes_found=exist)
    if isinstance(reached, Search):
        raise TypeError("a search that was answered asked again")
    return reached


def still_accepted(
    acceptances: Iterable[tuple[Accepted, int]],
    partition: TopicPartition,
    outcomes: Callable[[], "Mapping[TopicPartition, Outcomes]"],
) -> list[Accepted]:
    """Those that hold for a partition, of (what was accepted, when).

    A re-run does until it has been run, or if it was accepted for less than what would be run again now. No outcome of
    a stopped partition comes before it is let go on, so one that is younger than the decision came of it.
    """

    def holds(accepted: Accepted, at_ms: int) -> bool:
        if (accepted.topic, accepted.partition) != (partition.topic, partition.partition):
            return False
        if accepted.kind != "accept_rerun":
            return True
        found = outcomes().get(partition, _NONE)
        return found.highest < accepted.to_offset and found.latest_ms < at_ms

    return [accepted for accepted, at_ms in acceptances if holds(accepted, at_ms)]


class Outcomes(NamedTuple):
    """The highest source offset of a partition's outcomes, and when the last of them was published; -1: none was."""

    highest: int
    latest_ms: int


_NONE = Outcomes(-1, -1)


class _Lazy:
    """Computes once, at the first call."""

    def __init__(self, compute: Callable[[], dict[TopicPartition, Outcomes]]) -> None:
        self._compute = compute
        self._value: dict[TopicPartition, Outcomes] | None = None

    def __call__(self) -> dict[TopicPartition, Outcomes]:
        if self._value is None:
            self._value = self._compute()
        return self._value
