"""When each outcome became visible: a read_committed reader that watches the topics while workers run."""

import contextlib
import threading
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from tests.support.ledger_check import Source, seen


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
                        self._note(message)

    def _note(self, message: Message) -> None:
        source = seen(message).source
        if source is not None:
            self.first_seen_s.setdefault(source, time.monotonic())
