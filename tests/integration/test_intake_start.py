"""Reading starts where it is told to, whatever the broker answers late."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from stream.core.records import Record
from stream.kafka import clients
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.intake import Intake
from stream.kafka.local import LocalKafka
from tests.support.kafka import Topics, Unsent, produce
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.topic_settings import settings_for
from tests.support.waiting import wait_until_async

LATE_S = 1.0


class Beginner:
    """An owner that begins each partition at offset 5 as soon as it has it, and keeps what comes."""

    def __init__(self) -> None:
        self.intake: Intake
        self.offsets: dict[int, list[int]] = {}

    def has_come_to(self, end: int) -> bool:
        return [offsets[-1] + 1 for offsets in self.offsets.values()] == [end, end]

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        for record in batch:
            self.offsets.setdefault(record.partition, []).append(record.offset)
        taken()

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        for partition, epoch in partitions:
            self.intake.begin(partition, epoch, 5)

    def revoked(self, partitions: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        released.set()

    def reached_end(self, partition: TopicPartition, offset: int) -> None: ...

    def __getattr__(self, name: str) -> Any:
        def trouble(*what: object) -> None:
            raise AssertionError(f"{name}: {[each.str() if isinstance(each, KafkaError) else each for each in what]}")

        return trouble


async def test_a_late_answer_about_the_logs_end_does_not_move_the_start(
    kafka: LocalKafka, proxy: KafkaProxy, topics: Callable[..., Topics]
) -> None:
    made, end = topics(partitions=2), 30
    produce(kafka.bootstrap_servers, made.requests, [Unsent(b"{}", partition=n % 2) for n in range(60)])
    settings, owner = settings_for(proxy.bootstrap_servers, made), Beginner()
    proxy.delay(LATE_S, ApiKey.LIST_OFFSETS)
    config = clients.member_config(settings)
    owner.intake = Intake(lambda *_: clients.make(Consumer, config), [made.requests], Assignment(), owner)
    owner.intake.start()
    try:
        until_s = time.monotonic() + 2 * LATE_S
        while time.monotonic() < until_s:
            produce(kafka.bootstrap_servers, made.requests, [Unsent(b"{}", partition=n) for n in range(2)])
            end += 1
            await wait_until_async(partial(owner.has_come_to, end), 30, lambda: str(owner.offsets))
    finally:
        owner.intake.stop()
        assert await owner.intake.left(20)
    assert owner.offsets == {0: list(range(5, end)), 1: list(range(5, end))}


class Forgiving(Beginner):
    """One that expects trouble, and notes it."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[KafkaError] = []

    def trouble(self, error: KafkaError) -> None:
        self.troubles.append(error)


class RefusesOneStart(Consumer):
    """A consumer that refuses, once, to read from where it is told to."""

    refusals = 1

    def incremental_assign(self, positions: Any) -> None:
        if self.refusals and positions[0].offset == 5:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))
        super().incremental_assign(positions)


async def test_a_refused_start_begins_the_partition_again(kafka: LocalKafka, topics: Callable[..., Topics]) -> None:
    """It must not stand paused for ever while everybody thinks that it reads."""
    made, owner = topics(partitions=1), Forgiving()
    produce(kafka.bootstrap_servers, made.requests, [Unsent(b"{}") for _ in range(10)])
    config = clients.member_config(settings_for(kafka.bootstrap_servers, made))
    owner.intake = Intake(lambda *_: clients.make(RefusesOneStart, config), [made.requests], Assignment(), owner)
    owner.intake.start()
    try:
        await wait_until_async(lambda: owner.offsets.get(0) == [5, 6, 7, 8, 9], 30, lambda: str(owner.offsets))
        assert [error.code() for error in owner.troubles] == [KafkaError._STATE]
    finally:
        owner.intake.stop()
        await owner.intake.left(10)
