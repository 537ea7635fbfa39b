"""Where logs begin and end, and what a group has committed: asked of the broker, without joining anything."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not exported by its stubs

from stream.core.errors import ConfigError
from stream.kafka import admin, clients
from stream.kafka.accounting.claims import Claim, claim
from stream.kafka.reading import Partition
from stream.kafka.topics import TopicFacts
from stream.settings import Settings

_ASK_AGAIN = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,  # noqa: SLF001  (how the library spells its own codes)
}
_NO_COORDINATOR = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
"""A new cluster, or one whose brokers restart, appoints it within seconds."""

_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_SHORT_S = 1.0


def existing(settings: Settings, names: Iterable[str]) -> dict[str, TopicFacts]:
    """The facts of those of these topics that are there. Raises DependencyError."""
    return admin.topic_facts(clients.admin(settings), names, clients.BROKER_WAIT_S)


def topics_there(settings: Settings, names: Iterable[str]) -> dict[str, TopicFacts]:
    """The facts of these topics. Raises ConfigError for one that isn't there, DependencyError."""
    wanted = list(dict.fromkeys(names))
    found = existing(settings, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ConfigError(
            f"There is no topic {', '.join(missing)} at {settings.kafka.bootstrap_servers}. "
            "Is the name in [topics] right? `llm-stream topics create` makes what is missing."
        )
    return found


def partitions_of(topics: Mapping[str, TopicFacts], names: Iterable[str]) -> list[Partition]:
    """Every partition of these topics."""
    return [(name, number) for name in dict.fromkeys(names) for number in range(topics[name].partitions)]


class Watermarks:
    """Asks where the logs of partitions begin and end. Each answer is of the moment it was asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AdminClient = clients.admin(settings)

    def starts(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Log starts."""
        return self._asked(partitions, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """High watermarks, open transactions included."""
        return self._asked(partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED)

    def stable_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Last stable offsets: what a read_committed consumer can read to."""
        return self._asked(partitions, _LATEST, IsolationLevel.READ_COMMITTED)

    def at_time(self, partitions: Iterable[Partition], time_ms: int) -> dict[Partition, int | None]:
        """The first offset whose record is not older; None if every record is."""
        found = self._asked(partitions, OffsetSpec.for_timestamp(time_ms), IsolationLevel.READ_UNCOMMITTED)
        return {place: offset if offset >= 0 else None for place, offset in found.items()}

    def _asked(
        self, partitions: Iterable[Partition], spec: OffsetSpec, isolation: IsolationLevel
    ) -> dict[Partition, int]:
        left = set(partitions)
        found: dict[Partition, int] = {}
        give_up_s = time.monotonic() + clients.BROKER_WAIT_S
        while left:
            futures = self._client.list_offsets(
                {TopicPartition(*place): spec for place in left},
                isolation_level=isolation,
                request_timeout=clients.BROKER_WAIT_S,
            )
            for place, future in futures.items():
                try:
                    found[place.topic, place.partition] = future.result().offset
                except KafkaException as error:
                    if error.args[0].code() not in _ASK_AGAIN or time.monotonic() > give_up_s:
                        raise clients.no_answer(self._client, error) from error
            left -= found.keys()
            if left:
                time.sleep(0.1)
        return found


def claims(
    settings: Settings,
    partitions: Iterable[Partition],
    topics: Mapping[str, TopicFacts],
    *,
    stable: bool = True,
    patience_s: float,
    waiting: Callable[[int], None] = lambda partitions: None,
) -> dict[Partition, Claim]:
    """What the group has committed, read by a consumer of it that never subscribes.

    stable: wait for open transactions that hold a partition's offset, in all `patience_s`; what is held longer is
    `unread`. Else the last stable commit, at once. waiting: told how many partitions are held.
    """
    found: dict[Partition, Claim] = {}
    left = list(partitions)
    asked_s = time.monotonic()
    give_up_s = asked_s + patience_s
    consumer = _member_of_nothing(settings, stable=stable)
    try:
        while left:
            held = []
            for place in left:
                commit = _committed(settings, consumer, place, asked_s + clients.BROKER_WAIT_S)
                if commit is None:
                    held.append(place)
                else:
                    offset, metadata = commit
                    found[place] = claim(offset, metadata, place[0], topics[place[0]].topic_id)
            left = held
            if left and time.monotonic() > give_up_s:
                break
            if left:
                waiting(len(left))
    finally:
        consumer.close()
    return found | {place: Claim(None, fault="unread") for place in left}


def _member_of_nothing(settings: Settings, *, stable: bool) -> Consumer:
    config: dict[str, Any] = {
        "group.id": settings.kafka.group_id,
        "isolation.level": "read_committed" if stable else "read_uncommitted",
    }
    return clients.reader(settings, **config)


def _committed(
    settings: Settings, consumer: Consumer, place: Partition, coordinator_by_s: float
) -> tuple[int | None, str | None] | None:
    """One partition's commit; None while a transaction holds it. coordinator_by_s: until then (monotonic) the group may
    be without a coordinator.

    One at a time: asked for several, librdkafka answers only once none of them is held, which among many busy workers
    may never be so. Raises DependencyError, ConfigError.
    """
    try:
        answer = _answered(consumer, place, coordinator_by_s)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise ConfigError(
                f"Kafka does not let you read the offsets of group {settings.kafka.group_id}: "
                "the principal needs the ACL DESCRIBE on it."
            ) from error
        if error.args[0].code() not in _ASK_AGAIN | {KafkaError.UNSTABLE_OFFSET_COMMIT}:
            raise clients.no_answer(consumer, error) from error
        return None
    return (answer.offset, answer.metadata) if answer.offset >= 0 else (None, None)


def _answered(consumer: Consumer, place: Partition, coordinator_by_s: float) -> TopicPartition:
    while True:
        try:
            (answer,) = consumer.committed([TopicPartition(*place)], timeout=_SHORT_S)
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > coordinator_by_s:
                raise
            time.sleep(0.1)
        else:
            return answer
