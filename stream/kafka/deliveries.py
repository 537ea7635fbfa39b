"""Handing outcomes to a producer, and hearing what became of each."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.core.records import Outgoing
from stream.kafka.attempts import Ending, Parcel, Result

REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  (librdkafka's local codes are spelt with an underscore)
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    }
)
"""What a broker says of a record it will never take as it is: the rest of the attempt must not wait for it."""


class Deliveries:
    """What became of each outcome's records, as delivery reports tell: by the outcome's index.

    refused: the broker will never take them as they are. failed: they were not delivered for another reason.
    """

    def __init__(self) -> None:
        self.refused: dict[int, str] = {}
        self.failed: dict[int, KafkaError] = {}

    def report(self, index: int) -> Callable[[KafkaError | None, Message], None]:
        """The callback for the records of one outcome."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                return
            if error.code() in REFUSALS:
                self.refused[index] = error.str()
            else:
                self.failed[index] = error

        return delivered

    def refusal(self) -> Ending:
        """How an attempt ended of which some outcomes were refused."""
        reasons = "; ".join(sorted(set(self.refused.values())))
        return Ending(Result.REFUSED, reasons, frozenset(self.refused))


def produce_all(producer: Producer, parcels: Sequence[Parcel], deliveries: Deliveries) -> None:
    """Hand every record to the producer; one it refuses by itself is noted like a broker's refusal."""
    for index, parcel in enumerate(parcels):
        report = deliveries.report(index)
        for record in parcel.records:
            _produce(producer, record, report, deliveries, index)


def _produce(
    producer: Producer,
    record: Outgoing,
    report: Callable[[KafkaError | None, Message], None],
    deliveries: Deliveries,
    index: int,
) -> None:
    place: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
    headers: Any = list(record.headers)
    while True:
        try:
            producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=report, **place)
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            if error.args[0].code() not in REFUSALS:
                raise
            deliveries.refused[index] = error.args[0].str()
            return
        else:
            return
