"""A confluent_kafka.Consumer over the model broker: classic protocol, cooperative, callbacks inside `poll`.

Member id and generation change in the background, as librdkafka's thread does it, before the callbacks are served; a
partition that left the group without us is reported by `on_lost`, and only then the group is joined again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from stream.core.records import Record
from stream.kafka.assignment import TopicPartition
from tests.support import simulated_threading
from tests.support.model_broker import Broker
from tests.support.model_group import SESSION_S, Refused
from tests.support.simulated_link import Link, Pending, failure
from tests.support.simulated_time import Process

HEARTBEAT_S = 0.5
_COMMIT_S = 10.0

Rebalanced = Callable[[Any, list[Position]], None]


class SimulatedMessage:
    """A confluent_kafka.Message."""

    def __init__(self, partition: TopicPartition, record: Record | None, end: int | None = None) -> None:
        """end: None for a record, else that of the partition, which is an event."""
        self._partition = partition
        self._record = record
        self._end = end

    def error(self) -> KafkaError | None:
        return None if self._end is None else KafkaError(KafkaError._PARTITION_EOF)

    def offset(self) -> int | None:
        return self._end if self._record is None else self._record.offset

    def topic(self) -> str:
        return self._partition.topic

    def partition(self) -> int:
        return self._partition.partition

    def __getattr__(self, name: str) -> Callable[[], Any]:
        if name == "timestamp":
            return lambda: (1, self._record.timestamp_ms)  # type: ignore[union-attr]
        value = getattr(self._record, name)
        return lambda: value


class _Fetch:
    """How reading one assigned partition stands. told: the end that was reported last."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.told: int | None = None
        self.paused = False


class SimulatedConsumer:
    """See the module."""

    def __init__(self, process: Process, broker: Broker, on_commit: Callable[[Any, list[Position]], None]) -> None:
        self._process = process
        self._broker = broker
        self._on_commit = on_commit
        self._link = Link(process, broker)
        self._fetching: dict[TopicPartition, _Fetch] = {}
        self._callbacks: deque[Callable[[], None]] = deque()
        self._answered: deque[Callable[[], None]] = deque()
        self._member = ""
        self._generation = -1
        self._joining = False
        self._losing = False
        self._closed = False
        self._beating = False
        self._calling_back = False
        self._confirmed_s = 0.0

    def subscribe(
        self, topics: list[str], *, on_assign: Rebalanced, on_revoke: Rebalanced, on_lost: Rebalanced
    ) -> None:
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost
        self._broker.on_append.append(self._appended)
        self._confirmed_s = self._process.time()
        self._join()
        self._process.call_later(HEARTBEAT_S, self._beat)

    # Reading.

    def poll(self, timeout_s: float) -> SimulatedMessage | None:
        self._process.check_alive()
        if self._serve_callbacks():
            return None
        message = self._next()
        if message is None:
            simulated_threading.idle(simulated_threading.IDLE_S)
            message = None if self._serve_callbacks() else self._next()
        return message

    def consume(self, count: int, timeout_s: float) -> list[SimulatedMessage]:
        messages: list[SimulatedMessage] = []
        most = self._process.world.rand.choice((0, 1, 5, count))
        while len(messages) < most and (message := self._next()):
            messages.append(message)
        return messages

    def pause(self, positions: Iterable[Position]) -> None:
        for fetch in self._fetches(positions):
            fetch.paused = True

    def resume(self, positions: Iterable[Position]) -> None:
        for fetch in self._fetches(positions):
            fetch.paused = False

    def seek(self, position: Position) -> None:
        (fetch,) = self._fetches([position])
        fetch.position, fetch.told = position.offset, None

    def incremental_assign(self, positions: Iterable[Position]) -> None:
        for position in positions:
            fetch = self._fetching[_partition(position)] = _Fetch()
            fetch.position = position.offset

    def incremental_unassign(self, positions: Iterable[Position]) -> None:
        for position in positions:
            del self._fetching[_partition(position)]

    # The group.

    def consumer_group_metadata(self) -> bytes:
        return (
            b"CGMDv2:" + self._generation.to_bytes(4, "big", signed=True) + b"group\0" + self._member.encode() + b"\0\0"
        )

    def commit(self, *, offsets: Sequence[Position], asynchronous: bool) -> list[Position] | None:
        commits = {_partition(p): (p.offset, p.metadata) for p in offsets}
        member, generation = self._member, self._generation
        asked = self._link.send("commit", lambda: self._broker.commit(commits, member, generation))
        if asynchronous:
            asked.then(lambda: self._committed(asked, list(offsets)))
            return None
        try:
            self._link.wait(asked, _COMMIT_S)
        except Refused as refused:
            raise failure(refused.code) from refused
        return list(offsets)

    def close(self) -> None:
        self._process.check_alive()
        self._closed = True
        self._broker.on_append.remove(self._appended)
        self._callbacks.clear()
        if self._fetching:
            (self._on_lost if self._losing else self._on_revoke)(self, _positions(self._fetching))
        if self._member:
            member = self._member
            self._link.send("leave", lambda: self._broker.group.leave(member))

    # Inside: what librdkafka's own thread does.

    def _join(self) -> None:
        if self._closed or self._joining:
            return
        self._joining = True
        owned, member = list(self._fetching), self._member
        later = self._process.call_later

        def joined(member_id: str, generation: int, assigned: list[TopicPartition]) -> None:
            later(0.005, self._joined, member_id, generation, assigned)

        asked = self._link.send("join", lambda: self._broker.group.join(member, owned, joined))
        asked.then(lambda: self._not_joined(asked))

    def _not_joined(self, asked: Pending) -> None:
        if isinstance(asked.answer, Refused):
            self._joining = False
            self._lost()

    def _joined(self, member_id: str, generation: int, assigned: list[TopicPartition]) -> None:
        """The answer to a join: who we are now, and what we shall have."""
        if self._closed:
            self._link.send("leave", lambda: self._broker.group.leave(member_id))
            return
        self._joining = False
        self._member, self._generation = member_id, generation
        self._confirmed_s = self._process.time()
        gone = [p for p in self._fetching if p not in assigned]
        new = [p for p in assigned if p not in self._fetching]
        self._callbacks.append(lambda: self._take_over(gone, new, generation))
        self._process.poke()

    def _take_over(self, gone: list[TopicPartition], new: list[TopicPartition], generation: int) -> None:
        gone = [p for p in gone if p in self._fetching]
        if gone:
            self._on_revoke(self, _positions(gone))
        self._on_assign(self, _positions(new))
        if gone and self._member:
            self._join()

    def _beat(self) -> None:
        if self._closed:
            return
        self._process.call_later(HEARTBEAT_S, self._beat)
        if not self._member or self._joining or self._losing:
            return
        if self._process.time() - self._confirmed_s > SESSION_S:
            self._lost()
            return
        if self._beating:
            return
        self._beating = True
        member, generation, sent_s = self._member, self._generation, self._process.time()
        asked = self._link.send("heartbeat", lambda: self._broker.group.heartbeat(member, generation))
        asked.then(lambda: self._beaten(asked, generation, sent_s))

    def _beaten(self, asked: Pending, generation: int, sent_s: float) -> None:
        self._beating = False
        if generation != self._generation or self._closed:
            return
        if not isinstance(asked.answer, Exception):
            self._confirmed_s = max(self._confirmed_s, sent_s)
        elif not isinstance(asked.answer, Refused) or asked.answer.code == KafkaError.REBALANCE_IN_PROGRESS:
            if not self._callbacks and not self._calling_back:
                self._join()
        else:
            self._lost()

    def _lost(self) -> None:
        """The group went on without us: nothing we had is ours."""
        if not self._losing:
            self._losing = True
            self._member = ""
            self._callbacks.append(self._let_go_of_the_lost)
            self._process.poke()

    def _let_go_of_the_lost(self) -> None:
        self._callbacks.clear()
        if self._fetching:
            self._on_lost(self, _positions(self._fetching))
        self._losing = False
        self._join()

    def _committed(self, asked: Pending, offsets: list[Position]) -> None:
        error = asked.answer
        if isinstance(error, Refused):
            error = KafkaError(error.code)
        elif isinstance(error, KafkaException):
            error = error.args[0]
        else:
            error = None
        self._answered.append(lambda: self._on_commit(error, offsets))
        self._process.poke()

    def _serve_callbacks(self) -> bool:
        """Call what is due; whether anything was."""
        served = bool(self._callbacks or self._answered)
        while self._answered:
            self._answered.popleft()()
        while self._callbacks:
            self._calling_back = True
            self._callbacks.popleft()()
            self._calling_back = False
        return served

    # Inside: fetching.

    def _appended(self) -> None:
        process = self._process
        process.world.push(process.world.now_s + 0.003, process, process.poke)

    def _next(self) -> SimulatedMessage | None:
        """The next record of some partition that isn't paused; or that its end was reached."""
        if not self._broker.up:
            return None
        partitions = list(self._fetching)
        self._process.world.rand.shuffle(partitions)
        for partition in partitions:
            fetch, log = self._fetching[partition], self._broker.requests[partition]
            while not fetch.paused and fetch.position is not None and fetch.position < len(log):
                record = log[fetch.position]
                fetch.position += 1
                if fetch.position + 2 < len(log) and self._broker.skips(fetch.position):
                    fetch.position += 1  # two at least: one alone is taken for a marker
                elif record is not None:
                    return SimulatedMessage(partition, record)
            if not fetch.paused and fetch.position is not None and fetch.told != fetch.position:
                fetch.told = fetch.position
                if fetch.position >= len(log):
                    return SimulatedMessage(partition, None, len(log))
        return None

    def _fetches(self, positions: Iterable[Position]) -> list[_Fetch]:
        try:
            return [self._fetching[_partition(p)] for p in positions]
        except KeyError as error:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION)) from error


def _partition(position: Any) -> TopicPartition:
    return TopicPartition(position.topic, position.partition)


def _positions(partitions: Iterable[TopicPartition]) -> list[Position]:
    return [Position(p.topic, p.partition) for p in partitions]
