"""`lag` on a real Kafka: unfinished records, not offsets, whatever stands in the log."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.core.errors import DependencyError
from stream.kafka.accounting.lag import READ_IN_ALL, PartitionLag, lag
from stream.kafka.local import LocalKafka, free_port
from stream.settings import Settings
from tests.support.hand_made_worker import HandMadeWorker, settings_for
from tests.support.kafka import Topics, Unsent, produce

GROUP = "invoices"


@dataclass
class Scene:
    """Fresh topics of one partition, and a worker to commit."""

    kafka: LocalKafka
    topics: Topics
    worker: HandMadeWorker
    settings: Settings

    def send(self, number: int) -> None:
        produce(self.kafka.bootstrap_servers, self.topics.requests, [Unsent(b"{}", partition=0)] * number)

    def send_in_transactions(self, number: int, producer: Producer) -> None:
        """One transaction each, so that every second offset is a marker."""
        for _ in range(number):
            producer.begin_transaction()
            producer.produce(self.topics.requests, b"{}", partition=0)
            producer.commit_transaction(10)

    def measured(self) -> PartitionLag:
        (partition,) = lag(self.settings).partitions
        return partition


@pytest.fixture
def scene(kafka: LocalKafka, topics: Callable[..., Topics]) -> Iterator[Scene]:
    made = topics(partitions=1)
    worker = HandMadeWorker(kafka.bootstrap_servers, made, GROUP)
    yield Scene(kafka, made, worker, settings_for(kafka.bootstrap_servers, made, GROUP))
    worker.close()


def test_everything_is_behind_before_the_first_commit(scene: Scene) -> None:
    scene.send(5)
    found = scene.measured()
    assert (found.committed, found.log_end, found.records, found.exact) == (None, 5, 5, True)
    assert found.oldest_ms is not None
    assert abs(found.oldest_ms - time.time() * 1_000) < 60_000


def test_finished_records_past_the_commit_do_not_count(scene: Scene) -> None:
    scene.send(10)
    scene.worker.attempt(3, done=[5, 6, 9])
    found = scene.measured()
    assert (found.committed, found.records) == (3, 4)


def test_a_transactional_topic_at_rest_has_no_lag(scene: Scene) -> None:
    producer = scene.worker.transactional()
    scene.send_in_transactions(3, producer)
    scene.worker.attempt(5)  # behind the last record, before its marker
    found = scene.measured()
    assert (found.committed, found.log_end, found.records, found.exact) == (5, 6, 0, True)
    assert found.oldest_ms is None


def test_markers_and_aborted_records_are_no_records(scene: Scene) -> None:
    producer = scene.worker.transactional()
    scene.send_in_transactions(3, producer)
    producer.begin_transaction()
    producer.produce(scene.topics.requests, b"{}", partition=0)
    producer.flush()
    producer.abort_transaction(10)
    scene.worker.attempt(1)
    assert scene.measured().records == 2


def test_records_behind_an_open_transaction_are_told_apart(scene: Scene) -> None:
    scene.send(2)
    producer = scene.worker.transactional(timeout_ms=60_000)
    producer.begin_transaction()
    producer.produce(scene.topics.requests, b"{}", partition=0)
    producer.flush()
    scene.send(3)
    found = scene.measured()
    producer.abort_transaction(10)
    assert (found.log_end, found.records, found.hidden_offsets) == (2, 2, 4)


def test_a_commit_inside_an_open_transaction_is_not_waited_for(scene: Scene) -> None:
    scene.send(10)
    scene.worker.attempt(4)
    producer = scene.worker.transactional(timeout_ms=60_000)
    producer.begin_transaction()
    scene.worker.hold(producer, 8)
    started_s = time.monotonic()
    found = scene.measured()
    took_s = time.monotonic() - started_s
    producer.abort_transaction(10)
    assert (found.committed, found.records) == (4, 6)
    assert took_s < 5


def test_a_backlog_too_long_to_read_is_an_upper_bound(scene: Scene) -> None:
    scene.send(READ_IN_ALL + 500)
    scene.worker.attempt(0, done=[7])
    found = scene.measured()
    assert (found.records, found.exact) == (READ_IN_ALL + 499, False)


def test_a_partition_whose_records_were_deleted_says_that_it_is_stopped(scene: Scene) -> None:
    scene.send(10)
    scene.worker.attempt(3)
    admin = AdminClient({"bootstrap.servers": scene.kafka.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(scene.topics.requests, 0, 6)]).values():
        future.result(10)
    found = scene.measured()
    assert found.records == 4
    assert "--accept-gap" in str(found.stopped)


def test_a_broker_that_is_not_there_is_told_within_15_seconds(topics: Callable[..., Topics]) -> None:
    started_s = time.monotonic()
    with pytest.raises(DependencyError, match="No Kafka broker answered"):
        lag(settings_for(f"127.0.0.1:{free_port()}", topics(partitions=1), GROUP))
    assert time.monotonic() - started_s < 15
