"""Records and ends that a poll read before a rebalance inside of it belong to the epoch before it."""

import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as Position

from stream.core.records import Record
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.intake import Intake
from tests.support.waiting import wait_until

STAYS, MOVES = TopicPartition("r", 0), TopicPartition("r", 1)


class Message:
    """A record at offset 5 of a partition."""

    def __init__(self, partition: TopicPartition) -> None:
        self._partition = partition

    def error(self) -> None: ...

    def topic(self) -> str:
        return self._partition.topic

    def partition(self) -> int:
        return self._partition.partition

    def offset(self) -> int:
        return 5

    def leader_epoch(self) -> int:
        return 0

    def key(self) -> None: ...

    def value(self) -> bytes:
        return b"{}"

    def headers(self) -> None: ...

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_800_000_000_000


class Consumer:
    """Its first poll assigns two partitions; the second reads one record of each, and while it looks for more,
    `meanwhile` happens."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.meanwhile: Callable[[], None] | None = None
        self.callbacks: dict[str, Any] = {}
        self._messages: list[Message] = []

    def subscribe(self, topics: Any, **callbacks: Any) -> None:
        self.callbacks = callbacks

    def poll(self, timeout_s: float) -> Message | None:
        threading.Event().wait(0.001)
        if "assigned" not in self.did:
            self.did.append("assigned")
            self.callbacks["on_assign"](self, [Position("r", 0), Position("r", 1)])
            return None
        if self.meanwhile is None:
            return None
        self._messages = [Message(MOVES)]
        return Message(STAYS)

    def consume(self, count: int, timeout_s: float) -> list[Message]:
        assert self.meanwhile is not None
        meanwhile, self.meanwhile = self.meanwhile, None
        meanwhile()
        self.did.append("polled")
        return self._messages

    def incremental_assign(self, positions: list[Position]) -> None:
        self.did += [f"assign {p.partition}@{p.offset}" for p in positions]

    def incremental_unassign(self, positions: list[Position]) -> None: ...

    def pause(self, positions: list[Position]) -> None: ...

    def resume(self, positions: list[Position]) -> None: ...

    def consumer_group_metadata(self) -> bytes:
        return b""

    def commit(self, offsets: Any, asynchronous: bool) -> None:
        self.did.append("commit")

    def close(self) -> None: ...


class Owner:
    """Remembers what it is told; `on_revoked` is what it does to let go."""

    def __init__(self) -> None:
        self.epochs: dict[TopicPartition, int] = {}
        self.read: list[int] = []
        self.on_revoked: Callable[[threading.Event], None] = threading.Event.set

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        self.epochs |= dict(partitions)

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        self.read += [record.partition for record in batch]
        taken()

    def revoked(self, partitions: Any, lost: bool, released: threading.Event) -> None:
        self.on_revoked(released)

    def trouble(self, error: KafkaError) -> None: ...


class Setup:
    def __init__(self) -> None:
        self.consumer, self.assignment, self.owner = Consumer(), Assignment(), Owner()
        self.intake = Intake(lambda *_: self.consumer, ["r"], self.assignment, self.owner)  # type: ignore[arg-type, return-value]

    def poll_while(self, meanwhile: Callable[[], None]) -> None:
        self.intake.start()
        wait_until(lambda: len(self.owner.epochs) == 2, 5, "both are assigned")
        self.consumer.meanwhile = meanwhile
        wait_until(lambda: self.owner.read, 5, "what was read is handed over")
        self.intake.stop()
        self.intake._thread.join(5)


def test_what_was_read_of_a_partition_that_went_and_came_back_is_dropped() -> None:
    setup = Setup()

    def rebalance() -> None:
        setup.consumer.callbacks["on_revoke"](setup.consumer, [Position("r", 1)])
        setup.consumer.callbacks["on_assign"](setup.consumer, [Position("r", 1)])

    setup.poll_while(rebalance)
    assert setup.owner.read == [STAYS.partition]


def test_inside_a_callback_offsets_are_committed_and_no_partition_begins() -> None:
    setup = Setup()

    def let_go(released: threading.Event) -> None:
        setup.owner.on_revoked = threading.Event.set
        setup.intake.begin(STAYS, setup.owner.epochs[STAYS], 3)
        setup.intake.commit([]).add_done_callback(lambda _: released.set())

    setup.owner.on_revoked = let_go
    setup.poll_while(lambda: setup.consumer.callbacks["on_revoke"](setup.consumer, [Position("r", 1)]))
    in_the_callback = setup.consumer.did[: setup.consumer.did.index("polled")]
    assert "commit" in in_the_callback
    assert "assign 0@3" not in in_the_callback
