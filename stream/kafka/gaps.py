"""Looks, with a reader of its own, whether offsets that were passed over hold records after all.

Blocking; belongs to one thread.
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream.kafka import assignment, clients
from stream.settings import Settings

PATIENCE_S = 30.0


class GapReader:
    """Reads ranges of partitions; connects at the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: Consumer | None = None

    def holds_no_record(self, partition: assignment.TopicPartition, start: int, end: int) -> bool:
        """Whether no committed record stands at `start` or after it, before `end`. Raises KafkaException."""
        if self._consumer is None:
            own = {"auto.offset.reset": "error", "fetch.wait.max.ms": 20}
            self._consumer = clients.make(Consumer, clients.reader_config(self._settings, **own), polled=False)
        clients.learn(self._consumer, partition.topic)
        position = TopicPartition(partition.topic, partition.partition, start)
        self._consumer.assign([position])
        try:
            return self._first_at(self._consumer) >= end
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Give the connection back."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None

    def _first_at(self, consumer: Consumer) -> int:
        """The offset of the first record, or the end of the partition where there is none."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(error)
            return int(message.offset() or 0)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
