"""What librdkafka refuses outside of a rebalance is tried again: no partition is left in nobody's hands."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.intake import Intake
from tests.support.waiting import wait_until

PARTITION = TopicPartition("r", 0)


class Consumer:
    """Assigns one partition, and refuses as many assignments after that as it is told."""

    def __init__(self) -> None:
        self.refusals = 0
        self._on_assign: Callable[..., None] | None = None

    def subscribe(self, topics: Any, *, on_assign: Callable[..., None], on_revoke: Any, on_lost: Any) -> None:
        self._on_assign = on_assign

    def poll(self, timeout_s: float) -> None:
        if self._on_assign is not None:
            on_assign, self._on_assign = self._on_assign, None
            on_assign(self, [Position("r", 0)])
        threading.Event().wait(0.001)

    def incremental_assign(self, positions: list[Position]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))

    def incremental_unassign(self, positions: list[Position]) -> None: ...

    def pause(self, positions: list[Position]) -> None: ...

    def resume(self, positions: list[Position]) -> None: ...

    def consumer_group_metadata(self) -> bytes:
        return b""

    def close(self) -> None: ...


class Owner:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.troubles: list[str] = []

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        self.epochs += [epoch for _, epoch in partitions]

    def revoked(self, partitions: Any, lost: bool, released: threading.Event) -> None:
        released.set()

    def trouble(self, error: KafkaError) -> None:
        self.troubles.append(error.name())


@pytest.fixture
def reading() -> Iterator[tuple[Intake, Consumer, Assignment, Owner]]:
    consumer, assignment, owner = Consumer(), Assignment(), Owner()
    intake = Intake(lambda *_: consumer, ["r"], assignment, owner)  # type: ignore[arg-type, return-value]
    intake.start()
    wait_until(lambda: owner.epochs, 5, "the partition is assigned")
    yield intake, consumer, assignment, owner
    intake.stop()
    intake._thread.join(5)


def test_a_partition_that_cannot_be_assigned_again_at_once_is_assigned_later(reading: Any) -> None:
    intake, consumer, assignment, owner = reading
    consumer.refusals = 3
    assignment.end(PARTITION)
    intake.restart(PARTITION)
    wait_until(lambda: len(owner.epochs) == 2, 5, "it is judged again")
    assert owner.troubles == ["_STATE"] * 3
    assert assignment.live(PARTITION, owner.epochs[1])


def test_a_start_that_is_refused_is_judged_again(reading: Any) -> None:
    intake, consumer, assignment, owner = reading
    consumer.refusals = 1
    intake.begin(PARTITION, owner.epochs[0], 5)
    wait_until(lambda: len(owner.epochs) == 2, 5, "it is judged again")
    assert assignment.live(PARTITION, owner.epochs[1])
