"""When each outcome became visible: a read_committed reader that watches the topics while workers run."""

import contextlib
import threading
import time
import uuid
from collections import Counter

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.support.ledger_check import Source


class Watcher:
    """A thread; a context manager. `first_seen_s`: monotonic, by request; it lags a little, it is never early."""

    def __init__(self, bootstrap_servers: str, topics: list[str], partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"watcher-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 10,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(topic, p, 0) for topic in topics for p in range(partitions)])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.first_seen_s: dict[Source, float] = {}
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(KafkaException):
                for message in self._consumer.consume(500, 0.05):
                    if message.error() is None:
                        self._note(message.topic(), dict(message.headers() or ()))

    def _note(self, topic: str, headers: dict[str, bytes]) -> None:
        where = (headers[f"llm.source.{name}"].decode() for name in ("topic", "partition", "offset"))
        source_topic, partition, offset = where
        self.first_seen_s.setdefault((source_topic, int(partition), int(offset)), time.monotonic())
        self.outcomes[topic] += 1
