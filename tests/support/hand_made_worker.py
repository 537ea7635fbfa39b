"""Outcomes and commits written by hand, as a worker (right or wrong) would leave them; with confluent-kafka alone."""

import base64
import hashlib
import json
import struct
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.settings import Settings
from tests.support.kafka import Topics

Header = tuple[str, bytes]


def settings_for(bootstrap_servers: str, topics: Topics, group: str, **worker: object) -> Settings:
    """Settings of a command that looks at these topics."""
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": bootstrap_servers, "group_id": group},
            "topics": {
                "requests": [topics.requests],
                "results": topics.results,
                "dlq": topics.dlq,
                "audit": topics.audit,
                "decisions": topics.decisions,
            },
            "worker": worker,
        }
    )


def topic_id(bootstrap_servers: str, topic: str) -> str:
    """As Kafka's tools print it."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(10)
    return str(described.topic_id).replace("+", "-").replace("/", "_").rstrip("=")


def done_map(identity: str, base: int, done: Iterable[int] = (), epoch: int = -1) -> str:
    """Commit metadata after the contract: written here anew, so that a mistake in one encoder shows."""
    bits = sum(1 << offset - base for offset in done)
    body = hashlib.sha256(identity.encode()).digest()[:8] + struct.pack(">qi", base, epoch)
    body += bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return "ls1." + base64.b64encode(struct.pack(">I", zlib.crc32(body)) + body).decode()


@dataclass
class HandMadeWorker:
    """Publishes for one group, on one set of topics."""

    bootstrap_servers: str
    topics: Topics
    group: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.topic_id = topic_id(self.bootstrap_servers, self.topics.requests)
        self._idle = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.group})

    def source(self, at: int, inside: int = 0, **instead: str) -> list[Header]:
        """The headers that say which request an outcome is of."""
        values = {
            "group": self.group,
            "topic": self.topics.requests,
            "topic_id": self.topic_id,
            "partition": str(inside),
            "offset": str(at),
        }
        return [(f"llm.source.{name}", value.encode()) for name, value in (values | instead).items()]

    def transactional(self, timeout_ms: int = 15_000) -> Producer:
        """A producer whose transaction the caller begins and ends."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "transactional.id": f"{self.id}.{uuid.uuid4().hex}",
                "transaction.timeout.ms": timeout_ms,
                "retry.backoff.ms": 10,
            }
        )
        producer.init_transactions(10)
        return producer

    def result(self, producer: Producer, at: int, *, inside: int = 0, price: int | None = 10, **instead: str) -> None:
        """Produce a result of offset `at` of partition `inside`; `instead` replaces source headers."""
        value = json.dumps({"request_id": f"r{at}", "cost_micro_usd": price}).encode()
        producer.produce(self.topics.results, value, headers=self.source(at, inside, **instead))

    def dead_letter(self, producer: Producer, offset: int, partition: int = 0, cost: int = 3) -> None:
        """Produce a dead letter."""
        headers = [*self.source(offset, partition), ("llm.cost.micro_usd", str(cost).encode())]
        producer.produce(self.topics.dlq, b"{}", headers=headers, partition=partition)

    def map_of(self, base: int, done: Iterable[int] = (), partition: int = 0) -> TopicPartition:
        """What an attempt commits."""
        return TopicPartition(self.topics.requests, partition, base, metadata=done_map(self.topic_id, base, done))

    def attempt(
        self,
        base: int,
        results: Iterable[int] = (),
        dead: Iterable[int] = (),
        done: Iterable[int] = (),
        partition: int = 0,
        producer: Producer | None = None,
    ) -> None:
        """One transaction: outcomes and the commit of `base` with a map that marks `done`."""
        producer = producer or self.transactional()
        producer.begin_transaction()
        for offset in results:
            self.result(producer, offset, inside=partition)
        for offset in dead:
            self.dead_letter(producer, offset, partition)
        commit = [self.map_of(base, done, partition)]
        producer.send_offsets_to_transaction(commit, self._idle.consumer_group_metadata(), 10)
        producer.commit_transaction(10)

    def hold(self, producer: Producer, base: int, partition: int = 0) -> None:
        """Send a commit inside the producer's open transaction, and leave it open."""
        producer.send_offsets_to_transaction(
            [self.map_of(base, (), partition)], self._idle.consumer_group_metadata(), 10
        )

    def commit(self, offset: int, metadata: str | None = None, partition: int = 0) -> None:
        """A commit outside any transaction; without metadata, a right one."""
        text = done_map(self.topic_id, offset) if metadata is None else metadata
        where = TopicPartition(self.topics.requests, partition, offset, metadata=text)
        self._idle.commit(offsets=[where], asynchronous=False)

    def close(self) -> None:
        """Give back connections."""
        self._idle.close()
