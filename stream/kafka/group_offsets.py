"""What the worker's group has committed, asked by a consumer that never joins it.

Answers wait for open transactions (`isolation.level=read_committed`), so what they say is final. Not safe for several
threads: each makes its own.
"""

from collections.abc import Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException
from confluent_kafka import TopicPartition as Position

from stream.kafka import clients
from stream.kafka.assignment import TopicPartition
from stream.settings import Settings

COMMITTED_TIMEOUT_S = 30.0
"""Longer than a dead worker's transaction may stay open (its time-out and the broker's scan)."""


class GroupOffsets:
    """Offsets and metadata of the group; log start and end of partitions. Connects at the first question."""

    def __init__(self, settings: Settings, timeout_s: float = COMMITTED_TIMEOUT_S) -> None:
        """timeout_s: how long one question may wait for open transactions."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._consumer: Consumer | None = None

    def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int | None, str | None]]:
        """Offset (None: no commit) and metadata of each. Raises KafkaException."""
        positions = [Position(p.topic, p.partition) for p in partitions]
        answers = self._asked().committed(positions, timeout=self._timeout_s) if positions else []
        for answer in answers:
            if answer.error:
                raise KafkaException(answer.error)
        return {
            TopicPartition(a.topic, a.partition): (None, None) if a.offset < 0 else (a.offset, a.metadata)
            for a in answers
            if a.offset >= 0 or a.offset == OFFSET_INVALID
        }

    def log(self, partition: TopicPartition) -> tuple[int, int]:
        """Log start and end (the last stable offset). Raises KafkaException."""
        try:
            return self._log(partition)
        except KafkaException as error:
            if error.args[0].code() not in clients.NOT_KNOWN_HERE:
                raise
        clients.learn(self._asked(), partition.topic)
        return self._log(partition)

    def close(self) -> None:
        """Give the connection back."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None

    def _log(self, partition: TopicPartition) -> tuple[int, int]:
        position = Position(partition.topic, partition.partition)
        low, high = self._asked().get_watermark_offsets(position, timeout=clients.BROKER_WAIT_S, cached=False)
        return low, high

    def _asked(self) -> Consumer:
        if self._consumer is None:
            self._consumer = clients.make(Consumer, clients.bystander_config(self._settings), polled=False)
        return self._consumer
