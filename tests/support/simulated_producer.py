"""A confluent_kafka.Producer over the model broker, with the behaviours that facts were collected about.

A call that times out is resumed by calling it again; a refused generation wants an abort; a stale epoch is `_FENCED`
and fatal; delivery reports come inside `flush`, `poll`, commit and abort.
"""

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream.core.records import Outgoing
from stream.kafka.assignment import TopicPartition, member_of
from tests.support.model_broker import Broker
from tests.support.model_group import Refused
from tests.support.simulated_link import Link, Pending, failure
from tests.support.simulated_threading import strand
from tests.support.simulated_time import Process

_STALE = {KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
_MESSAGE_TIMEOUT_S = 15.0
_LINGER_S = 0.005

Report = Callable[[Any, Any], None]


class SimulatedProducer:
    """See the module. transactional_id: None for a plain producer."""

    def __init__(self, process: Process, broker: Broker, transactional_id: str | None) -> None:
        process.check_alive()
        self._process = process
        self._broker = broker
        self._link = Link(process, broker)
        self._id = transactional_id
        self._epoch = -1
        self._undelivered: list[tuple[Pending, Report, float]] = []
        self._batch_in_the_air: Pending | None = None
        self._lingering: list[tuple[Outgoing, Pending]] = []
        self._abortable: KafkaError | None = None
        self._fatal: KafkaError | None = None
        self._resumable: tuple[str, Pending] | None = None

    # Transactions.

    def init_transactions(self, timeout_s: float) -> None:
        self._epoch = self._resume("init", lambda: self._broker.init_producer(self._own_id), timeout_s)

    def begin_transaction(self) -> None:
        self._process.check_alive()
        self._abortable = None

    def send_offsets_to_transaction(self, offsets: list[Any], metadata: bytes, timeout_s: float) -> None:
        self._raise_if_broken()
        commits = {TopicPartition(o.topic, o.partition): (o.offset, o.metadata) for o in offsets}
        member, generation = member_of(metadata), int.from_bytes(metadata[7:11], "big", signed=True)
        self._resume(
            "add_offsets",
            lambda: self._broker.add_offsets(self._own_id, self._epoch, commits, member, generation),
            timeout_s,
        )

    def commit_transaction(self, timeout_s: float) -> None:
        self._raise_if_broken()
        if self.flush(timeout_s):
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        self._raise_if_broken()
        self._resume("end", lambda: self._broker.end(self._own_id, self._epoch, commit=True), timeout_s)

    def abort_transaction(self, timeout_s: float) -> None:
        self._abortable = None
        if self._fatal:
            raise KafkaException(self._fatal)
        self._undelivered.clear()
        self._lingering.clear()
        if self._batch_in_the_air is not None:
            self._link.wait(self._batch_in_the_air, timeout_s)
        self._resume("abort", lambda: self._broker.end(self._own_id, self._epoch, commit=False), timeout_s)

    # Records.

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        headers: Any,
        on_delivery: Report,
        partition: int = -1,
    ) -> None:
        outgoing = Outgoing(topic, key, value, tuple(headers), None if partition < 0 else partition)
        pending = Pending()
        if not self._lingering:
            self._process.call_later(_LINGER_S, self._send_batch)
        self._lingering.append((outgoing, pending))
        self._undelivered.append((pending, on_delivery, self._process.time() + _MESSAGE_TIMEOUT_S))

    def _send_batch(self) -> None:
        """In order, as an idempotent producer does it; the next batch goes when this one is answered."""
        batch, self._lingering = self._lingering, []
        if self._batch_in_the_air is not None:
            self._lingering = batch
            return
        epoch = self._epoch
        asked = self._batch_in_the_air = self._link.send("produce", lambda: self._produced(epoch, batch))
        asked.then(lambda: self._batch_answered(batch, asked))

    def _produced(self, epoch: int, batch: list[tuple[Outgoing, Pending]]) -> list[Exception | None]:
        """At the broker."""
        answers: list[Exception | None] = []
        for outgoing, _ in batch:
            try:
                self._broker.produce(self._id, epoch, outgoing)
            except Refused as refused:
                answers.append(refused)
            else:
                answers.append(None)
        return answers

    def _batch_answered(self, batch: list[tuple[Outgoing, Pending]], asked: Pending) -> None:
        self._batch_in_the_air = None
        for (_, pending), answer in zip(batch, asked.value(), strict=True):
            pending.settle(answer)
        if self._lingering:
            self._send_batch()

    def poll(self, timeout_s: float) -> int:
        return self.flush(timeout_s)

    def flush(self, timeout_s: float) -> int:
        deadline_s = self._process.time() + timeout_s
        while True:
            self._serve_reports()
            left_s = deadline_s - self._process.time()
            if not self._undelivered or left_s <= 0:
                return len(self._undelivered)
            me = strand()
            self._undelivered[0][0].then(me.wake_soon)
            me.park(min(left_s, 1.0))

    # Inside.

    @property
    def _own_id(self) -> str:
        assert self._id is not None
        return self._id

    def _raise_if_broken(self) -> None:
        self._serve_reports()
        if error := self._fatal or self._abortable:
            raise KafkaException(error)

    def _serve_reports(self) -> None:
        self._process.check_alive()
        left = []
        for pending, report, expires_s in self._undelivered:
            if pending.done:
                answer = pending.answer
                report(self._delivery_error(answer) if isinstance(answer, Exception) else None, None)
            elif self._process.time() > expires_s:
                self._abortable = KafkaError(KafkaError._MSG_TIMED_OUT, txn_requires_abort=True)
                report(KafkaError(KafkaError._MSG_TIMED_OUT), None)
            else:
                left.append((pending, report, expires_s))
        self._undelivered = left

    def _delivery_error(self, answer: Exception) -> KafkaError:
        error = self._classified(answer).args[0]
        if self._fatal is None:
            self._abortable = KafkaError(error.code(), txn_requires_abort=True)
        return error  # type: ignore[no-any-return]

    def _resume(self, name: str, request: Callable[[], Any], timeout_s: float) -> Any:
        """Send a request, or wait on for the one that timed out before."""
        self._process.check_alive()
        if self._resumable is None or self._resumable[0] != name:
            self._resumable = (name, self._link.send(name, request))
        try:
            answer = self._link.wait(self._resumable[1], timeout_s)
        except Refused as refused:
            self._resumable = None
            raise self._classified(refused) from refused
        except KafkaException as error:
            if not error.args[0].retriable():
                self._resumable = None
                self._fatal = error.args[0] if error.args[0].fatal() else self._fatal
            raise
        self._resumable = None
        return answer

    def _classified(self, answer: Exception) -> KafkaException:
        if isinstance(answer, KafkaException):
            return answer
        assert isinstance(answer, Refused)
        if answer.code in _STALE:
            self._fatal = KafkaError(KafkaError._FENCED, fatal=True)
            return KafkaException(self._fatal)
        if answer.code in {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID}:
            self._abortable = KafkaError(answer.code, txn_requires_abort=True)
            return KafkaException(self._abortable)
        return failure(answer.code)
