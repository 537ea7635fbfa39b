"""Offsets committed as a member of the group: asked on one thread, sent and answered on the other."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from stream.kafka.assignment import TopicPartition
from stream.kafka.member_commits import Commit, MemberCommits

FIRST: list[Commit] = [(TopicPartition("r", 0), 7, "map"), (TopicPartition("r", 1), 3, "")]
SECOND: list[Commit] = [(TopicPartition("r", 0), 9, "map")]


class Consumer:
    """Notes what it is to commit, and how."""

    def __init__(self, *, failure: KafkaError | None = None, refusal: KafkaError | None = None) -> None:
        self.failure = failure
        self.refusal = refusal
        self.sent: list[list[Position]] = []
        self.waited: list[list[Position]] = []

    def commit(self, offsets: list[Position], asynchronous: bool) -> Any:
        if self.failure:
            raise KafkaException(self.failure)
        (self.sent if asynchronous else self.waited).append(offsets)
        return None if asynchronous else [Refused(position, self.refusal) for position in offsets]


class Refused:
    """A position as an answer has it."""

    def __init__(self, position: Position, error: KafkaError | None) -> None:
        self.topic, self.partition, self.offset = position.topic, position.partition, position.offset
        self.error = error


def code_of(future: Any) -> int:
    (error,) = future.exception(0).args
    return int(error.code())


def test_an_answer_ends_the_wait_of_its_own_asker_only() -> None:
    commits, consumer = MemberCommits(), Consumer()
    first, second = commits.ask(FIRST), commits.ask(SECOND)
    commits.send(consumer)  # type: ignore[arg-type]
    assert not first.done()
    assert [(p.offset, p.metadata) for p in consumer.sent[0]] == [(7, "map"), (3, "")]
    commits.answered(None, consumer.sent[1])
    assert second.done()
    assert not first.done()
    commits.answered(None, list(reversed(consumer.sent[0])))
    assert first.result(0) is None


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_refusal_is_told_of_the_whole_and_of_one_partition(asynchronous: bool) -> None:
    refusal = KafkaError(KafkaError.ILLEGAL_GENERATION)
    commits, consumer = MemberCommits(), Consumer(refusal=refusal)
    asked = commits.ask(FIRST)
    if asynchronous:
        commits.send(consumer)  # type: ignore[arg-type]
        commits.answered(None, [Refused(position, refusal) for position in consumer.sent[0]])  # type: ignore[misc]
        whole = commits.ask(FIRST)
        commits.send(consumer)  # type: ignore[arg-type]
        commits.answered(refusal, consumer.sent[1])
        assert code_of(whole) == KafkaError.ILLEGAL_GENERATION
    else:
        commits.carry_out(consumer)  # type: ignore[arg-type]
    assert code_of(asked) == KafkaError.ILLEGAL_GENERATION


def test_what_librdkafka_does_not_even_send_fails() -> None:
    commits, consumer = MemberCommits(), Consumer(failure=KafkaError(KafkaError._STATE))
    sent = commits.ask(FIRST)
    commits.send(consumer)  # type: ignore[arg-type]
    carried_out = commits.ask(FIRST)
    commits.carry_out(consumer)  # type: ignore[arg-type]
    assert code_of(sent) == code_of(carried_out) == KafkaError._STATE


def test_a_rebalance_ends_the_waits_for_answers_that_only_a_poll_would_bring() -> None:
    commits, consumer = MemberCommits(), Consumer()
    before = commits.ask(FIRST)
    commits.send(consumer)  # type: ignore[arg-type]
    commits.interrupt()
    again = commits.ask(FIRST)
    commits.carry_out(consumer)  # type: ignore[arg-type]
    assert code_of(before) == KafkaError.REBALANCE_IN_PROGRESS
    assert again.result(0) is None
    assert len(consumer.sent) == len(consumer.waited) == 1


def test_a_late_answer_that_nobody_waits_for_any_more_is_passed_over() -> None:
    commits, consumer = MemberCommits(), Consumer()
    before = commits.ask(FIRST)
    commits.send(consumer)  # type: ignore[arg-type]
    commits.interrupt()
    commits.answered(None, consumer.sent[0])
    commits.answered(None, [])
    assert code_of(before) == KafkaError.REBALANCE_IN_PROGRESS
