"""What a committer is given in tests, and what librdkafka answers it."""

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException

from stream.core.records import Outgoing
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Attempt, Parcel

HERE = TopicPartition("requests", 0)
MAP = "ls1.map"


def trouble(code: int, **flags: bool) -> KafkaException:
    """What librdkafka raises."""
    return KafkaException(KafkaError(code, **flags))


def attempt(
    topics: Sequence[str] = ("results",),
    partitions: Sequence[TopicPartition] = (HERE,),
    still_ours: Callable[[TopicPartition], bool] = lambda _: True,
    *,
    copied: bool = False,
) -> Attempt:
    """An outcome for each topic, and an offset for each partition. copied: each outcome has an audit copy."""
    copies = (Outgoing("audit", b"k", b"c", ()),) if copied else ()
    parcels = tuple(Parcel((Outgoing(topic, b"k", b"v", ()), *copies)) for topic in topics)
    return Attempt(parcels, tuple((partition, 7, MAP) for partition in partitions), b"member", still_ours)
