"""Topics read for a proof: every committed record of some spans, as librdkafka hands it over, in little memory.

Promises: a span is read up to its end, over markers and aborted records, which are not given; a span whose end an open
transaction hides is given up after `patience_s` without progress, and said; so is a jump over records that retention
deleted meanwhile; a broker that falls silent ends it with DependencyError. No group is joined, nothing is committed.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.core.errors import ConfigError, DependencyError
from stream.kafka import clients
from stream.kafka.reading import Partition, Span
from stream.settings import Settings

PATIENCE_S = 45.0
"""How long an open transaction may hide an end: `transaction.timeout.ms` (15 s), the broker's scan and more."""

_BATCH = 500
_POLL_S = 0.2
_SILENCE_S = 4.0
_OURS = {
    "auto.offset.reset": "error",  # a jump over deleted records must not go unseen
    "queued.min.messages": 1_000,
    "queued.max.messages.kbytes": 4_096,
    "fetch.max.bytes": 1024 * 1024,
    "fetch.message.max.bytes": 32 * 1024,  # of each partition, compressed: what it unpacks to is held at once
    "fetch.wait.max.ms": 50,  # the end of a partition is told by an answer without records
}
_END = KafkaError._PARTITION_EOF  # noqa: SLF001  (how the library spells its own codes)
_DELETED = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
_GONE = {
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


@dataclass(frozen=True, slots=True)
class Scan:
    """How a scan went. `read`: records given. `hidden`: where reading came to in the spans that it could not finish."""

    read: int
    hidden: dict[Partition, int]


def scan(
    settings: Settings,
    spans: Iterable[Span],
    take: Callable[[Message], object],
    *,
    patience_s: float = PATIENCE_S,
    jumped: Callable[[Partition], object] = lambda place: None,
    progress: Callable[[int], object] = lambda offsets: None,
) -> Scan:
    """Give every committed record of the spans to `take`, those of a partition in order.

    jumped: told of a partition where records were deleted before they could be read; reading goes on at its log start.
    progress: told how many offsets more have been passed. Raises DependencyError, ConfigError.
    """
    left = {(span.topic, span.partition): span for span in spans if span.first < span.end}
    if not left:
        return Scan(0, {})
    consumer = clients.reader(settings, **_OURS)
    try:
        consumer.incremental_assign([TopicPartition(span.topic, span.partition, span.first) for span in left.values()])
        return _Scanning(settings, consumer, left, take, jumped, progress).run(patience_s)
    except KafkaException as error:
        raise clients.no_answer(consumer, error) from error
    finally:
        consumer.close()


class _Scanning:
    """One consumer's way through its spans."""

    def __init__(
        self,
        settings: Settings,
        consumer: Consumer,
        left: dict[Partition, Span],
        take: Callable[[Message], object],
        jumped: Callable[[Partition], object],
        progress: Callable[[int], object],
    ) -> None:
        self._settings, self._consumer, self._left = settings, consumer, left
        self._take, self._jumped, self._progress = take, jumped, progress
        self._came_to = {place: span.first for place, span in left.items()}
        self._read = 0

    def run(self, patience_s: float) -> Scan:
        moved_s = asked_s = time.monotonic()
        while self._left:
            before = sum(self._came_to.values())
            for message in self._messages():
                self._note(message)
            now_s = time.monotonic()
            passed = sum(self._came_to.values()) - before
            if passed:
                self._progress(passed)
                moved_s = asked_s = now_s
            elif now_s - moved_s > patience_s:
                break
            elif now_s - asked_s > _SILENCE_S:
                clients.metadata(self._consumer, clients.BROKER_WAIT_S - _SILENCE_S, next(iter(self._left))[0])
                asked_s = time.monotonic()
        return Scan(self._read, {place: self._came_to[place] for place in self._left})

    def _messages(self) -> list[Message]:
        """What is there, as soon as anything is: `consume` alone would wait out its whole time-out."""
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]

    def _note(self, message: Message) -> None:
        place = (message.topic() or "", _number(message.partition()))
        span = self._left.get(place)
        error = message.error()
        if error is not None and error.code() != _END:
            self._failed(place, span, error)
        elif span is not None:
            offset = _number(message.offset())
            if error is None and offset < span.end:
                self._take(message)
                self._read += 1
            # The end of a partition stands behind markers and aborted records, which are never given.
            self._reached(span, offset if error is not None else offset + 1)

    def _reached(self, span: Span, offset: int) -> None:
        self._came_to[span.topic, span.partition] = min(offset, span.end)
        if offset >= span.end:
            del self._left[span.topic, span.partition]
            self._consumer.pause([TopicPartition(span.topic, span.partition)])

    def _failed(self, place: Partition, span: Span | None, error: KafkaError) -> None:
        if error.code() == _DELETED and span is not None:
            self._jumped(place)
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=clients.BROKER_WAIT_S)
            self._consumer.incremental_unassign([TopicPartition(*place)])
            self._consumer.incremental_assign([TopicPartition(*place, low)])
            self._reached(span, low)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise ConfigError(f"Kafka does not let you read {place[0]}: the principal needs the ACL READ on it.")
        elif error.code() in _GONE:
            raise DependencyError(f"Topic {place[0]} went away while it was being read.")
        elif error.fatal():
            raise clients.no_answer(self._consumer, KafkaException(error))


def _number(value: int | None) -> int:
    return -1 if value is None else value
