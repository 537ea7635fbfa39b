"""Commits that only a member of the group may make (at least once), asked for by another thread.

From the poll loop they are sent asynchronously, and `poll` serves their answers: a broker that answers a minute late
must not silence the loop for that minute. Inside a rebalance callback nothing is polled, so there they are waited for;
those still unanswered when a callback begins fail, and their askers ask again. An offset that is committed twice does
no harm.
"""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from stream.kafka.assignment import TopicPartition

Commit = tuple[TopicPartition, int, str]
"""A partition, the offset to commit and its metadata."""

OnCommit = Callable[[KafkaError | None, list[Position]], None]
"""librdkafka's `on_commit`, called inside `poll`: what became of an asynchronous commit."""

_Asked = tuple[Sequence[Commit], "Future[None]"]


class MemberCommits:
    """See the module. All but `ask` is called on the intake's thread."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._sent: list[_Asked] = []

    def ask(self, commits: Sequence[Commit]) -> "Future[None]":
        """Have them committed; the future fails with KafkaException."""
        answer: Future[None] = Future()
        self._asked.put((commits, answer))
        return answer

    def send(self, consumer: Consumer) -> None:
        """Send what was asked; the answers come by `answered`."""
        for commits, answer in self._taken():
            try:
                consumer.commit(offsets=_positions(commits), asynchronous=True)
            except KafkaException as error:
                answer.set_exception(error)
            else:
                self._sent.append((commits, answer))

    def carry_out(self, consumer: Consumer) -> None:
        """Send what was asked, and wait for each answer."""
        for commits, answer in self._taken():
            try:
                _settle(answer, None, consumer.commit(offsets=_positions(commits), asynchronous=False) or [])
            except KafkaException as error:
                answer.set_exception(error)

    def answered(self, error: KafkaError | None, positions: list[Position]) -> None:
        """An answer. One that nobody waits for any more says nothing."""
        told = {(p.topic, p.partition, p.offset) for p in positions}
        for asked in self._sent:
            if {(p.topic, p.partition, offset) for p, offset, _ in asked[0]} == told:
                self._sent.remove(asked)
                _settle(asked[1], error, positions)
                return

    def interrupt(self) -> None:
        """The answers to what was sent won't be heard, or not soon."""
        sent, self._sent = self._sent, []
        for _, answer in sent:
            answer.set_exception(KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS)))

    def _taken(self) -> list[_Asked]:
        taken: list[_Asked] = []
        while True:
            try:
                taken.append(self._asked.get_nowait())
            except queue.Empty:
                return taken


def _positions(commits: Sequence[Commit]) -> list[Position]:
    return [Position(p.topic, p.partition, offset, metadata) for p, offset, metadata in commits]


def _settle(answer: "Future[None]", error: KafkaError | None, positions: Sequence[Position]) -> None:
    refusals = [refused for refused in (error, *(position.error for position in positions)) if refused]
    if refusals:
        answer.set_exception(KafkaException(refusals[0]))
    else:
        answer.set_result(None)
