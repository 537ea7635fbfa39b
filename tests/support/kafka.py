"""A real Kafka for tests: the fixtures, and writing topics with nothing but confluent-kafka."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream.kafka.local import LocalKafka, free_port
from stream.kafka.local_libs import ensure_libs
from tests.support.ledger_check import Sent
from tests.support.proxy import KafkaProxy
from tests.support.topic_reading import read_all
from tests.support.waiting import wait_until

__all__ = ["Topics", "Unsent", "broker", "create_topic", "kafka", "own_kafka", "produce", "proxy", "read_all", "topics"]

TEST_PROPERTIES = {
    "message.max.bytes": str(16 * 1024 * 1024),
    # so that what takes minutes in production shows within seconds
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "500",
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of a fresh set of topics, and how many partitions requests, results and dead letters have."""

    requests: str
    results: str
    dlq: str
    audit: str
    decisions: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """A record to write. partition=None: by key. id: its request id; None: it has none that could be read."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None
    id: str | None = None


def broker(data_dir: Path, **properties: str) -> LocalKafka:
    """A broker for tests, not started, with a second listener behind 127.0.0.1:`proxy_port`."""
    return LocalKafka(ensure_libs(), data_dir, proxy_port=free_port(), properties=TEST_PROPERTIES | properties)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """The one broker of the whole session. A test that stops or kills it takes `own_kafka` instead."""
    with broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that the test may stop, kill and restart (3 s to start)."""
    with broker(tmp_path / "kafka") as running:
        yield running


@pytest.fixture
def proxy(kafka: LocalKafka) -> Iterator[KafkaProxy]:
    """A way to the session's broker on which things can go wrong; clients use `proxy.bootstrap_servers`."""
    assert kafka.proxy_port is not None
    with KafkaProxy(kafka.proxied_port, kafka.proxy_port) as running:
        yield running


@pytest.fixture
def topics(kafka: LocalKafka) -> Callable[..., Topics]:
    """Makes fresh topics on the session's broker: `topics(partitions=6)`."""

    def make(partitions: int = 4) -> Topics:
        return create_topics(kafka.bootstrap_servers, partitions)

    return make


def create_topics(bootstrap_servers: str, partitions: int = 4) -> Topics:
    """A set of topics with names of its own."""
    run = uuid.uuid4().hex[:8]
    made = Topics(*(f"{run}.{name}" for name in ("requests", "results", "dlq", "audit", "decisions")), partitions)
    for name in (made.requests, made.results, made.audit):
        create_topic(bootstrap_servers, name, partitions)
    roomier = int(TEST_PROPERTIES["message.max.bytes"]) + 256 * 1024  # as `topics create` has it
    create_topic(bootstrap_servers, made.dlq, partitions, {"max.message.bytes": str(roomier)})
    create_topic(bootstrap_servers, made.decisions, 1)
    return made


def create_topic(
    bootstrap_servers: str, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """A topic, ready to be written to when this returns."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 3})
    admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))])[name].result(10)

    def ready() -> bool:
        known = admin.list_topics(name, timeout=10).topics[name]
        return len(known.partitions) == partitions and all(p.leader >= 0 for p in known.partitions.values())

    wait_until(ready, 10, f"topic {name} has leaders")


def produce(bootstrap_servers: str, topic: str, records: Iterable[Unsent], deadline_s: float = 30) -> list[Sent]:
    """Write records and wait for their acknowledgements: the ground truth, in the order given."""
    acknowledged: dict[int, Sent] = {}
    refused: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 3,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "sticky.partitioning.linger.ms": 0,  # spreads records without a key
            "linger.ms": 5,
            "message.max.bytes": 64 * 1024 * 1024,
        }
    )
    unsent = list(records)
    for number, record in enumerate(unsent):

        def report(error: KafkaError | None, message: Message, number: int = number) -> None:
            if error is not None:
                refused.append(error)
                return
            sent = unsent[number]
            acknowledged[number] = Sent(topic, message.partition(), message.offset(), sent.key, sent.id)

        where = {} if record.partition is None else {"partition": record.partition}
        producer.produce(topic, record.value, record.key, headers=list(record.headers), on_delivery=report, **where)
        producer.poll(0)
    producer.flush(deadline_s)
    assert not refused, f"{topic} refused {len(refused)} records: {refused[0]}"
    assert len(acknowledged) == len(unsent), f"{topic} acknowledged only {len(acknowledged)} of {len(unsent)} records"
    return [acknowledged[number] for number in range(len(unsent))]
