"""Topics read from one place to another, once, for people and for proofs: no group is joined, nothing is committed.

Promises: every committed record of the span is given once, those of a partition in order, aborted ones never; reading
ends at the end that was there when it began (or goes on, where asked to follow); it never hangs: a broker that is
silent for `BROKER_WAIT_S` ends it with DependencyError.
"""

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.core.errors import ConfigError, DependencyError
from stream.core.records import Record
from stream.kafka import clients
from stream.kafka.messages import record_from
from stream.settings import Settings

_BATCH = 500
_POLL_S = 0.25
_SILENCE_S = 4.0
"""Without a record or an end of partition for so long, the broker is asked whether it is there."""

TRANSACTION_WAIT_S = 30.0
"""How long an open transaction may hide the end of a topic (`transaction.timeout.ms` and the broker's scan)."""

_UNKNOWN = {
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  (how the library spells its own codes)
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading starts in each partition.

    number: the offset for "offset", milliseconds since 1970 for "time" (the first record not older), else unused.
    """

    at: Literal["earliest", "latest", "offset", "time"] = "earliest"
    number: int = 0


EARLIEST = Start()
LATEST = Start("latest")


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition: `first` up to, not including, `end`; empty where they are the same."""

    topic: str
    partition: int
    first: int
    end: int


def spans(
    settings: Settings,
    topics: Iterable[str],
    start: Start = EARLIEST,
    *,
    uncommitted: bool = False,
    optional: Collection[str] = (),
) -> list[Span]:
    """What these topics hold now from `start` on, partition by partition.

    uncommitted: up to the high watermark, also where an open transaction hides the records before it; else up to the
    last stable offset. optional: topics that are left out if they aren't there; a missing one of the others raises
    ConfigError. Raises DependencyError.
    """
    isolation = "read_uncommitted" if uncommitted else "read_committed"
    consumer = clients.reader(settings, **{"isolation.level": isolation})
    try:
        partitions = _partitions(consumer, settings, list(dict.fromkeys(topics)), optional)
        firsts = _times(consumer, partitions, start.number) if start.at == "time" else {}
        return [_span(consumer, each, start, firsts) for each in partitions]
    except KafkaException as error:
        raise clients.no_answer(consumer, error) from error
    finally:
        consumer.close()


def read(settings: Settings, wanted: Sequence[Span], *, follow: bool = False) -> Generator[Record, None, None]:
    """The records of these spans, as they come; with `follow` also all that are written later, without end.

    Close the generator to stop early. Raises DependencyError when the broker falls silent, or when a transaction that
    stays open hides the end for `TRANSACTION_WAIT_S`.
    """
    open_spans = {(span.topic, span.partition): span for span in wanted if follow or span.first < span.end}
    if not open_spans:
        return
    # The broker holds a fetch back that finds nothing new, and with it the news that a partition has ended.
    consumer = clients.reader(settings, **{"fetch.wait.max.ms": 500 if follow else 20})
    try:
        consumer.assign([TopicPartition(span.topic, span.partition, span.first) for span in open_spans.values()])
        yield from _Reading(settings, consumer, open_spans, follow).records()
    except KafkaException as error:
        raise clients.no_answer(consumer, error) from error
    finally:
        consumer.close()


def read_all(settings: Settings, topics: Iterable[str], start: Start = EARLIEST) -> Generator[Record, None, None]:
    """Every committed record these topics hold now, from `start` on. Raises as `spans` and `read` do."""
    return read(settings, spans(settings, topics, start))


class _Reading:
    """One consumer's way through its spans."""

    def __init__(self, settings: Settings, consumer: Consumer, open_spans: dict[Partition, Span], follow: bool) -> None:
        self._settings, self._consumer, self._follow = settings, consumer, follow
        self._open = open_spans
        self._progress_s = self._asked_s = time.monotonic()

    def records(self) -> Iterator[Record]:
        while self._open:
            messages = self._messages()
            for message in messages:
                error = message.error()
                if error is None:
                    yield from self._taken(record_from(message))
                else:
                    self._noted(message, error)
            if not messages:
                self._make_sure_of_the_broker()

    def _messages(self) -> list[Message]:
        """What is there, as soon as anything is: `consume` alone would wait out its whole time-out."""
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]

    def _taken(self, record: Record) -> Iterator[Record]:
        self._progress_s = time.monotonic()
        span = self._open.get((record.topic, record.partition))
        if span is None:
            return
        if self._follow or record.offset < span.end:
            yield record
        if not self._follow and record.offset >= span.end - 1:
            self._close(span)

    def _noted(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._progress_s = time.monotonic()
            span = self._open.get((message.topic() or "", _number(message.partition())))
            # The last offsets may be transaction markers: no record ever shows them, only the end of the partition.
            if span is not None and not self._follow and _number(message.offset()) >= span.end:
                self._close(span)
        elif error.code() in _UNKNOWN:
            raise DependencyError(f"Topic {message.topic()} went away while it was being read.")
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise ConfigError(f"Kafka does not let you read {message.topic()}: the principal needs the ACL READ on it.")
        elif error.fatal():
            raise clients.no_answer(self._consumer, KafkaException(error))

    def _close(self, span: Span) -> None:
        del self._open[span.topic, span.partition]
        self._consumer.pause([TopicPartition(span.topic, span.partition)])

    def _make_sure_of_the_broker(self) -> None:
        now_s = time.monotonic()
        if now_s - max(self._progress_s, self._asked_s) < _SILENCE_S:
            return
        clients.metadata(self._consumer, clients.BROKER_WAIT_S - _SILENCE_S, next(iter(self._open))[0])
        self._asked_s = time.monotonic()
        if not self._follow and now_s - self._progress_s > TRANSACTION_WAIT_S:
            hidden = ", ".join(f"{topic}:{partition}" for topic, partition in sorted(self._open))
            raise DependencyError(
                f"The end of {hidden} could not be read within {TRANSACTION_WAIT_S:.0f} s. "
                "A transaction is open there, or the partition has no leader: look at it with kafka-transactions.sh."
            )


def _partitions(
    consumer: Consumer, settings: Settings, topics: Sequence[str], optional: Collection[str]
) -> list[Partition]:
    metadata = clients.metadata(consumer)
    there = [name for name in topics if name in metadata.topics and metadata.topics[name].error is None]
    missing = [name for name in topics if name not in there and name not in optional]
    if missing:
        raise ConfigError(
            f"There is no topic {', '.join(missing)} at {settings.kafka.bootstrap_servers}. "
            "Is the name in [topics] right? llm-stream topics create makes what is missing."
        )
    return [(name, number) for name in there for number in sorted(metadata.topics[name].partitions)]


def _span(consumer: Consumer, partition: Partition, start: Start, firsts: Mapping[Partition, int]) -> Span:
    low, high = consumer.get_watermark_offsets(TopicPartition(*partition), timeout=clients.BROKER_WAIT_S)
    by_start: Mapping[str, Callable[[], int]] = {
        "earliest": lambda: low,
        "latest": lambda: high,
        "offset": lambda: start.number,
        "time": lambda: firsts.get(partition, high),
    }
    first = min(max(by_start[start.at](), low), high)
    return Span(*partition, first, high)


def _times(consumer: Consumer, partitions: Sequence[Partition], at_ms: int) -> dict[Partition, int]:
    """Each partition's first offset with a record not older; those that have none are left out."""
    asked = [TopicPartition(*each, at_ms) for each in partitions]
    answers = consumer.offsets_for_times(asked, timeout=clients.BROKER_WAIT_S)
    return {(each.topic, each.partition): each.offset for each in answers if each.error is None and each.offset >= 0}


def _number(value: int | None) -> int:
    return -1 if value is None else value
