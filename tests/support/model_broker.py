"""Our own model of Kafka, as far as a worker can tell: logs, transactions and the offsets of one group.

Everything here happens at the broker, in one step; who asks, and what gets lost on the way, is the clients' matter
(`simulated_clients`). What real brokers do and this one knows: transaction markers take offsets, an ended transaction
takes a while to be visible, one that outlives its time-out is aborted with a new epoch, a new producer with the same id
ends the old one's transaction and fences it, offsets in an open transaction make `committed` wait, generations.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from confluent_kafka import KafkaError

from stream.core.records import Headers, Outgoing, Record
from stream.kafka.assignment import TopicPartition
from tests.support.model_group import Group, Refused
from tests.support.simulated_time import World

Committed = tuple[int, str]


class Away(Exception):  # noqa: N818
    """The broker can't say yet: ask again."""


class State(Enum):
    """How a transaction stands."""

    OPEN = "open"
    COMMITTING = "committing"
    ABORTING = "aborting"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(eq=False)
class Transaction:
    """One transaction of one producer."""

    id: str
    epoch: int
    state: State = State.OPEN
    records: list["Published"] = field(default_factory=list)
    offsets: dict[TopicPartition, Committed] = field(default_factory=dict)


@dataclass(eq=False)
class Published:
    """A record on results, dlq or audit. visible_s: since when a read_committed consumer sees it; None: it doesn't."""

    outgoing: Outgoing
    visible_s: float | None = None


@dataclass(frozen=True)
class Commit:
    """A change of the group's offsets. shown: how many records were visible by then."""

    shown: int
    offsets: dict[TopicPartition, Committed]


@dataclass
class _Producer:
    epoch: int = 0
    current: Transaction | None = None
    last: State = State.ABORTED


class Broker:
    """See the module.

    shown: records in the order in which they became visible. history: all commits of the group. trouble: what goes
    wrong with a request (`simulated_link`). refuses: whether a record is one that no topic takes. skips: whether a
    consumer that has come to an offset goes on a few records behind it, as librdkafka was seen to do.
    """

    def __init__(self, world: World, partitions: Iterable[TopicPartition], *, transaction_timeout_s: float) -> None:
        self.world = world
        self.up = True
        self.trouble: Callable[[str], str | None] = lambda _: None
        self.group = Group(world, partitions)
        self.requests: dict[TopicPartition, list[Record | None]] = {p: [] for p in self.group.partitions}
        self.published: list[Published] = []
        self.shown: list[Published] = []
        self.history: list[Commit] = []
        self.offsets: dict[TopicPartition, Committed] = {}
        self.refuses: Callable[[Outgoing], bool] = lambda _: False
        self.skips: Callable[[int], bool] = lambda _: False
        self.on_append: list[Callable[[], None]] = []
        self._producers: dict[str, _Producer] = {}
        self._timeout_s = transaction_timeout_s

    def reachable(self, up: bool) -> None:
        """Go away, or come back."""
        self.up = self.group.up = up

    # The request log.

    def append(self, partition: TopicPartition, key: bytes | None, value: bytes, headers: Headers = ()) -> Record:
        """A request, appended by somebody else's producer."""
        log = self.requests[partition]
        now_ms = 1_800_000_000_000 + round(self.world.now_s * 1000)
        record = Record(partition.topic, partition.partition, len(log), key, value, headers, now_ms, 0)
        log.append(record)
        for told in self.on_append:
            told()
        return record

    def append_gap(self, partition: TopicPartition, count: int) -> None:
        """Offsets that hold no record: transaction markers, what compaction removed."""
        self.requests[partition] += [None] * count

    # Producers.

    def init_producer(self, id_: str) -> int:
        """A new epoch; what an older one left open is aborted first."""
        producer = self._producers.setdefault(id_, _Producer())
        if (open_ := producer.current) is not None:
            if open_.state is State.OPEN:
                producer.epoch += 1
                self._end(producer, open_, State.ABORTING)
            raise Away
        producer.epoch += 1
        return producer.epoch

    def produce(self, id_: str | None, epoch: int, outgoing: Outgoing) -> None:
        """One record, in a transaction if there is an id."""
        if self.refuses(outgoing):
            raise Refused(KafkaError.MSG_SIZE_TOO_LARGE)
        published = Published(outgoing)
        if id_ is None:
            self._show([published])
        else:
            self._open(id_, epoch).records.append(published)
        self.published.append(published)

    def add_offsets(
        self, id_: str, epoch: int, offsets: dict[TopicPartition, Committed], member: str, generation: int
    ) -> None:
        """Offsets into a transaction."""
        transaction = self._open(id_, epoch)
        if member:  # a broker skips its check for an empty member id
            self.group.check_commit(member, generation)
        transaction.offsets |= offsets

    def end(self, id_: str, epoch: int, *, commit: bool) -> None:
        """Commit or abort; asking again for what happened already is fine."""
        producer = self._checked(id_, epoch)
        transaction = producer.current
        if transaction is not None and transaction.state is State.OPEN:
            self._end(producer, transaction, State.COMMITTING if commit else State.ABORTING)
            return
        state = transaction.state if transaction else producer.last
        if commit is not (state in {State.COMMITTING, State.COMMITTED}):
            raise Refused(KafkaError.INVALID_TXN_STATE)

    # Offsets.

    def commit(self, offsets: dict[TopicPartition, Committed], member: str, generation: int) -> None:
        """A member's own commit."""
        self.group.check_commit(member, generation)
        self._commit(offsets)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """What the group has committed. Raises Away while a transaction holds offsets of these."""
        wanted = list(partitions)
        for producer in self._producers.values():
            if producer.current is not None and not producer.current.offsets.keys().isdisjoint(wanted):
                raise Away
        return {partition: self.offsets.get(partition) for partition in wanted}

    # Inside.

    def _checked(self, id_: str, epoch: int) -> _Producer:
        producer = self._producers.get(id_)
        if producer is None or epoch != producer.epoch:
            raise Refused(KafkaError.INVALID_PRODUCER_EPOCH)
        return producer

    def _open(self, id_: str, epoch: int) -> Transaction:
        """The transaction that a record or offset goes into: begun by it, if none is open."""
        producer = self._checked(id_, epoch)
        if producer.current is None:
            transaction = producer.current = Transaction(id_, epoch)
            self.world.after(self._timeout_s, lambda: self._time_out(producer, transaction))
        elif producer.current.state is not State.OPEN:
            raise Away
        return producer.current

    def _time_out(self, producer: _Producer, transaction: Transaction) -> None:
        if not self.up:
            self.world.after(1.0, lambda: self._time_out(producer, transaction))
        elif producer.current is transaction and transaction.state is State.OPEN:
            producer.epoch += 1
            self._end(producer, transaction, State.ABORTING)

    def _end(self, producer: _Producer, transaction: Transaction, state: State) -> None:
        transaction.state = state
        self.world.after(self.world.rand.random() * 0.05, lambda: self._ended(producer, transaction))

    def _ended(self, producer: _Producer, transaction: Transaction) -> None:
        """The markers are written: it is visible, or gone."""
        producer.current = None
        if transaction.state is State.COMMITTING:
            transaction.state = State.COMMITTED
            self._show(transaction.records)
            self._commit(transaction.offsets)
        else:
            transaction.state = State.ABORTED
        producer.last = transaction.state

    def _show(self, records: list[Published]) -> None:
        for published in records:
            published.visible_s = self.world.now_s
        self.shown += records

    def _commit(self, offsets: dict[TopicPartition, Committed]) -> None:
        self.offsets |= offsets
        self.history.append(Commit(len(self.shown), offsets))
