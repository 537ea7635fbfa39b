"""Exactly once: publishes outcomes together with the offsets that finish them, in one transaction.

An `Attempt` ends in an `Ending`; nothing else comes out, but `FencedError`. Trouble is classified, never guessed away:
a time-out of commit or abort is asked again (it resumes); an error that wants an abort is aborted; anything else makes
a new producer, which ends the old one's transaction, and then the committed offsets tell whether the attempt landed.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Position

from stream.core.errors import FencedError
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Attempt, Ending, Result
from stream.kafka.deliveries import REFUSALS, Deliveries, produce_all
from stream.kafka.failpoints import reach

CALL_S = 5.0
"""How long one call to librdkafka may block: in between, the committer looks whether it was told to let go."""

LONGEST_SILENCE_S = 10.0
"""librdkafka keeps `CALL_S` to within a second, unless a call hangs for good."""

TRANSACTION_TIMEOUT_MS = 15_000
RENEW_AFTER_S = 2.0
"""How long after one renewal the next may be: brokers may come and go all the time."""
FENCED_AGAIN_S = 60.0

_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})  # noqa: SLF001


class Lookup(Protocol):
    """Reads what the group has committed."""

    def __call__(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int | None, str | None]]:
        """Offset and metadata of each; waits for open transactions. Raises KafkaException."""


class TransactionalCommitter:
    """Exactly once: outcomes and offsets in one transaction.

    make: a new transactional producer. lookup: for attempts whose fate is unknown. transactional_id: for messages.
    unanswered_at_s: when somebody with this id last gave up waiting for a new epoch (monotonic): that request may
    arrive late, and fence us.
    """

    def __init__(
        self,
        make: Callable[[], Producer],
        lookup: Lookup,
        transactional_id: str,
        unanswered_at_s: float | None = None,
    ) -> None:
        self._make = make
        self._lookup = lookup
        self._id = transactional_id
        self._producer: Producer | None = None
        self._asked_again = False
        """Whether a request of this attempt may have been sent twice, so that one may still be under way."""
        self._fenced_at_s: float | None = None
        self._began_s = 0.0
        self._unanswered_at_s = unanswered_at_s
        self._letting_go = threading.Event()
        self._doubted = threading.Event()
        self._renewed_s: float | None = None
        self._replaced = False
        self.beats = 0
        self.longest_silence_s = LONGEST_SILENCE_S

    def open(self) -> None:
        """At once, not at the first attempt: until its own open transaction is ended, a restarted worker would wait for
        the broker to time it out before it knows where to start."""
        try:
            if self._producer is None:
                self._opened()
        finally:
            self._letting_go.clear()

    def attempt(self, attempt: Attempt) -> Ending:
        try:
            return self._attempted(attempt)
        finally:
            self._letting_go.clear()  # at the end: one that is told before it begins must hear it too

    def resolve(self, attempt: Attempt) -> Ending:
        """A new producer ends the old one's transaction; then the committed offsets tell: the done-maps of this attempt
        stand there, for the partitions that only we commit, or they don't."""
        try:
            return self._resolved(attempt, "its fate was unknown")
        finally:
            self._letting_go.clear()

    def let_go(self) -> None:
        self._letting_go.set()

    def doubt(self) -> None:
        self._doubted.set()

    def replacement(self) -> "TransactionalCommitter":
        self._replaced = True
        self._letting_go.set()
        return TransactionalCommitter(self._make, self._lookup, self._id, unanswered_at_s=time.monotonic())

    def close(self) -> None:
        self._producer = None

    def _attempted(self, attempt: Attempt) -> Ending:
        deliveries = Deliveries()
        self._renew()
        producer = self._producer or self._opened()
        if producer is None:
            return Ending(Result.ABORTED, "let go before a broker answered")
        self._asked_again = False
        self._began_s = time.monotonic()
        try:
            self._transact(producer, attempt, deliveries)
        except KafkaException as error:
            return self._after(producer, error.args[0], attempt, deliveries)
        if self._asked_again:
            self._producer = None
        return Ending(Result.COMMITTED)

    def _renew(self) -> None:
        """Give the producer up if a broker went away meanwhile. librdkafka remembers the group's coordinator for long;
        when that broker left the cluster and came back, as in a restart, `send_offsets_to_transaction` waits for the
        one that is gone, for ever (ADR 14)."""
        now_s = time.monotonic()
        if self._doubted.is_set() and not _within(self._renewed_s, RENEW_AFTER_S, now_s):
            self._producer = None
            self._renewed_s = now_s

    def _opened(self) -> Producer | None:
        """A new producer, which ends what an earlier one with this id left open; asks on while no broker answers."""
        producer = self._made()
        while not self._letting_go.is_set():
            self.beats += 1
            try:
                producer.init_transactions(CALL_S)
            except KafkaException as error:
                failure = error.args[0]
                self._note_fenced(failure)
                if not _worth_another(failure):
                    raise
                if failure.code() not in _FENCED:
                    self._unanswered_at_s = time.monotonic()
                if not failure.retriable():
                    producer = self._made()
                time.sleep(0.2)
            else:
                if self._replaced:  # it has the newest epoch, but not the right to use it
                    return None
                self._producer = producer
                return producer
        return None

    def _made(self) -> Producer:
        self._doubted.clear()
        return self._make()

    def _transact(self, producer: Producer, attempt: Attempt, deliveries: Deliveries) -> None:
        reach("before_begin")
        producer.begin_transaction()
        reach("after_begin")
        produce_all(producer, attempt.parcels, deliveries)
        reach("produced")
        if deliveries.any_refused:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, txn_requires_abort=True))
        offsets = [Position(p.topic, p.partition, offset, metadata) for p, offset, metadata in attempt.offsets]
        self._until_answered(lambda: producer.send_offsets_to_transaction(offsets, attempt.metadata, CALL_S))
        reach("offsets_sent")
        self._until_answered(lambda: producer.commit_transaction(CALL_S))
        reach("committed")

    def _until_answered(self, call: Callable[[], object]) -> None:
        """Ask again while librdkafka says that asking again resumes, and nobody wants the partitions back."""
        while True:
            if self._replaced:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            self.beats += 1
            try:
                call()
            except KafkaException as error:
                failure = error.args[0]
                if not failure.retriable() or failure.txn_requires_abort() or self._letting_go.is_set():
                    raise
                self._asked_again = True
            else:
                return

    def _after(self, producer: Producer, error: KafkaError, attempt: Attempt, deliveries: Deliveries) -> Ending:
        """What became of an attempt that failed.

        A producer is given up, even when its transaction could be aborted, if a record of it was refused: its sequence
        numbers have a hole, and what it sends next is refused as "skipped sequence numbers". And if the failure wasn't
        a broker's answer: the request may still arrive, and would count as one of the next transaction (ADR 13). And if
        a topic is gone: it would believe for long that it is there, a new one asks.
        """
        aborted = error.txn_requires_abort() and self._aborted(producer)
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            deliveries.suspect_all(attempt.parcels, error)
        if not aborted or deliveries.any_refused or self._asked_again or error.code() < 0 or error.code() in REFUSALS:
            self._producer = None
        if aborted:
            return deliveries.refusal() if deliveries.any_refused else Ending(Result.ABORTED, error.str())
        if self._letting_go.is_set():
            return Ending(Result.UNKNOWN, error.str())
        self._note_fenced(error)
        ending = self._resolved(attempt, error.str())
        return deliveries.refusal() if ending.result is Result.ABORTED and deliveries.any_refused else ending

    def _aborted(self, producer: Producer) -> bool:
        """Abort the open transaction; whether that is certain."""
        try:
            self._until_answered(lambda: producer.abort_transaction(CALL_S))
        except KafkaException:
            return False
        return True

    def _resolved(self, attempt: Attempt, reason: str) -> Ending:
        if self._producer is None and self._opened() is None:
            return Ending(Result.UNKNOWN, reason)
        while not self._letting_go.is_set():
            self.beats += 1
            ours = [offset for offset in attempt.offsets if attempt.still_ours(offset[0])]
            try:
                found = self._lookup([partition for partition, _, _ in ours])
            except KafkaException as error:
                if not _worth_another(error.args[0]):
                    raise
                time.sleep(0.2)
                continue
            ours = [offset for offset in ours if attempt.still_ours(offset[0])]
            landed = _is_all_there(ours, found)
            return Ending(Result.COMMITTED if landed else Result.ABORTED, reason)
        return Ending(Result.UNKNOWN, reason)

    def _note_fenced(self, error: KafkaError) -> None:
        """Once may be a latecomer of our own past; twice in a minute is a second worker. It proves nothing where a
        transaction outlived its time-out, or a request of ours for a new epoch went unanswered in that minute."""
        now_s = time.monotonic()
        timed_out = now_s - self._began_s > TRANSACTION_TIMEOUT_MS / 1000
        if error.code() not in _FENCED or timed_out or _within(self._unanswered_at_s, FENCED_AGAIN_S, now_s):
            return
        if _within(self._fenced_at_s, FENCED_AGAIN_S, now_s):
            raise FencedError(
                f"Another worker uses the transactional id {self._id!r}: this one was fenced twice within a minute. "
                "Give each worker its own [kafka] transactional_id (empty is safe: it takes a free slot per host), or "
                "its own [worker] state_dir where hosts share a name."
            )
        self._fenced_at_s = now_s


def _is_all_there(
    ours: Sequence[tuple[TopicPartition, int, str]], found: Mapping[TopicPartition, tuple[int | None, str | None]]
) -> bool:
    """Whether an attempt's offsets are what is committed. A topic that was deleted took its commits with it, so what
    others have is enough: a transaction's offsets are committed together."""
    there = [offset for offset in ours if found[offset[0]][0] is not None]
    return bool(there) and all(found[partition] == (offset, text) for partition, offset, text in there)


def _within(then_s: float | None, seconds: float, now_s: float) -> bool:
    return then_s is not None and now_s - then_s < seconds


def _worth_another(error: KafkaError) -> bool:
    """Whether asking again later may help: brokers away, coordinator moving, a fence that `_note_fenced` let pass."""
    return bool(error.retriable()) or error.code() in _FENCED | _PASSING


_PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._STATE,  # noqa: SLF001
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
