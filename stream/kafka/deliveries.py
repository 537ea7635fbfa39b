"""Handing outcomes to a producer, and hearing what became of each."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.core.records import Outgoing
from stream.kafka.attempts import Ending, Parcel, Result

_ABOUT_THE_TOPIC = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  (librdkafka's local codes are spelt with an underscore)
    }
)
REFUSALS = _ABOUT_THE_TOPIC | {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
}
"""What a broker says of a record it will never take as it is: the rest of the attempt must not wait for it."""


class Deliveries:
    """What became of each outcome's records, as delivery reports tell: by the outcome's index.

    refused: the broker will never take the outcome as it is. failed: it was not delivered for another reason.
    refusing_topics: topics of outcomes that take nothing, whatever the record. copies_refused, copies_failed: so it is
    with audit copies. unanswered: how many outcomes nothing is known of yet. copies_unanswered: whose copies.
    """

    def __init__(self) -> None:
        self.refused: dict[int, str] = {}
        self.failed: dict[int, KafkaError] = {}
        self.copies_refused: dict[int, str] = {}
        self.copies_failed: dict[int, str] = {}
        self.unanswered = 0
        self.copies_unanswered: set[int] = set()
        self.refusing_topics: frozenset[str] = frozenset()

    @property
    def any_refused(self) -> bool:
        """Whether anything was, be it a copy."""
        return bool(self.refused or self.copies_refused)

    def report(self, index: int, topic: str, *, copy: bool) -> Callable[[KafkaError | None, Message | None], None]:
        """The callback for one record of an outcome, which is on its way from now on."""

        def delivered(error: KafkaError | None, _: Message | None) -> None:
            if copy:
                self.copies_unanswered.discard(index)
            else:
                self.unanswered -= 1
            if error is not None:
                self.note(index, topic, error, copy=copy)

        if copy:
            self.copies_unanswered.add(index)
        else:
            self.unanswered += 1
        return delivered

    def note(self, index: int, topic: str, error: KafkaError, *, copy: bool) -> None:
        """One record of an outcome was not delivered."""
        reason = f"{topic}: {error.str()}"
        never = error.code() in REFUSALS
        if copy:
            (self.copies_refused if never else self.copies_failed)[index] = reason
        elif never:
            self.refused[index] = reason
            if error.code() in _ABOUT_THE_TOPIC:
                self.refusing_topics |= {topic}
        else:
            self.failed[index] = error

    def leave_copies_out(self) -> None:
        """Outside a transaction: copies that failed, or that nothing was heard of, count as refused."""
        unheard = dict.fromkeys(self.copies_unanswered, "an audit copy was not acknowledged in time")
        self.copies_refused = unheard | self.copies_failed | self.copies_refused

    def suspect_all(self, parcels: Sequence[Parcel], error: KafkaError) -> None:
        """A topic was refused as the transaction began, before any record was sent, and the answer doesn't say which:
        the audit copies' first, if there are any; else the outcomes', if that is one; else each must be tried alone."""
        if self.any_refused:
            return
        self.copies_refused = {n: error.str() for n, parcel in enumerate(parcels) if len(parcel.records) > 1}
        if self.copies_refused:
            return
        self.refused = dict.fromkeys(range(len(parcels)), error.str())
        topics = frozenset(record.topic for parcel in parcels for record in parcel.records)
        self.refusing_topics = topics if len(topics) == 1 else frozenset()

    def reasons(self) -> str:
        """Why the broker refused what it refused, each topic and reason once."""
        return "; ".join(sorted({*self.refused.values(), *self.copies_refused.values()}))

    def refusal(self) -> Ending:
        """How an attempt ended of which something was refused."""
        return Ending(
            Result.REFUSED,
            self.reasons(),
            frozenset(self.refused),
            self.refusing_topics,
            frozenset(self.copies_refused),
        )


def produce_all(producer: Producer, parcels: Sequence[Parcel], deliveries: Deliveries) -> None:
    """Hand every record to the producer; one it refuses by itself is noted like a broker's refusal."""
    for index, parcel in enumerate(parcels):
        for place, record in enumerate(parcel.records):
            _produce(producer, record, deliveries, index, copy=place > 0)


def _produce(producer: Producer, record: Outgoing, deliveries: Deliveries, index: int, *, copy: bool) -> None:
    place: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
    headers: Any = list(record.headers)
    report = deliveries.report(index, record.topic, copy=copy)
    while True:
        try:
            producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=report, **place)
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            if error.args[0].code() not in REFUSALS:
                raise
            report(error.args[0], None)
            return
        else:
            return
