"""Reading a topic to its end, with nothing but confluent-kafka: what the tests believe, not what our code says."""

import time
import uuid

from confluent_kafka import Consumer, IsolationLevel, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def read_all(
    bootstrap_servers: str, topic: str, deadline_s: float = 30, isolation: str = "read_committed"
) -> list[Message]:
    """All records below the high watermarks of this moment, per partition in order.

    A read_committed reader can't pass an open transaction: raises AssertionError if the end isn't reached in time.
    """
    starts, ends = _bounds(bootstrap_servers, topic)
    behind = {partition: end for partition, end in ends.items() if end > starts[partition]}
    records: list[Message] = []
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 3,
            "group.id": f"test-reader-{uuid.uuid4().hex}",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 10,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in behind])
        give_up_s = time.monotonic() + deadline_s
        while behind:
            if time.monotonic() > give_up_s:
                raise AssertionError(
                    f"{topic} can't be read to its end (an open transaction?), partition: end {behind}"
                )
            for message in consumer.consume(1_000, 0.05):
                _take(message, records, behind, ends)
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition(), record.offset()))


def _take(message: Message, records: list[Message], behind: dict[int, int], ends: dict[int, int]) -> None:
    """Keep a record below the end; note how far its partition has been read.

    Transaction markers are never delivered, so the last record may stand well before the end: the end-of-partition
    event carries the position behind them.
    """
    partition, offset = message.partition(), message.offset()
    error = message.error()
    if error is None:
        if offset < ends[partition]:
            records.append(message)
        offset += 1
    elif error.code() != KafkaError._PARTITION_EOF:
        raise AssertionError(f"{message.topic()}/{partition} can't be read: {error}")
    if offset >= ends[partition]:
        behind.pop(partition, None)


def _bounds(bootstrap_servers: str, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    """Log starts and high watermarks. READ_UNCOMMITTED: otherwise the answer stops at the first open transaction."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 3})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions

    def ask(spec: OffsetSpec) -> dict[int, int]:
        futures = admin.list_offsets(
            {TopicPartition(topic, partition): spec for partition in partitions},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=10,
        )
        return {place.partition: future.result().offset for place, future in futures.items()}

    return ask(OffsetSpec.earliest()), ask(OffsetSpec.latest())
