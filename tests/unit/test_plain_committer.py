"""At least once: what becomes of an attempt in trouble."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from confluent_kafka import KafkaError

from stream.kafka import plain_committer
from stream.kafka.attempts import Ending, Result
from stream.kafka.plain_committer import PlainCommitter
from tests.support.attempts import HERE, MAP, attempt, trouble
from tests.support.scripted_producer import ScriptedProducer

TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)


class Bench:
    """An at-least-once committer; `commit_errors`: what committing offsets raises, in turn."""

    def __init__(self, *producers: ScriptedProducer, commit_errors: Sequence[Exception | None] = ()) -> None:
        self.producers = list(producers)
        self.commits: list[Any] = []
        self._errors = list(commit_errors)
        remaining = iter(producers)
        self.committer = PlainCommitter(lambda: next(remaining), self._commit)  # type: ignore[arg-type,return-value]

    def _commit(self, offsets: Any) -> None:
        self.commits.append(offsets)
        if self._errors and (error := self._errors.pop(0)):
            raise error


def test_offsets_follow_when_every_outcome_is_acknowledged() -> None:
    bench = Bench(ScriptedProducer({}))
    assert bench.committer.attempt(attempt()) == Ending(Result.COMMITTED)
    assert bench.producers[0].calls == ["produce", "flush"]
    assert bench.commits == [((HERE, 7, MAP),)]


def test_what_is_published_is_not_published_again() -> None:
    bench = Bench(ScriptedProducer({}), commit_errors=[trouble(KafkaError.ILLEGAL_GENERATION)])
    again = attempt(topics=("results", "dlq"))
    assert bench.committer.attempt(again).result is Result.ABORTED
    assert bench.committer.attempt(again).result is Result.COMMITTED
    assert bench.producers[0].produced == ["results", "dlq"]
    assert len(bench.commits) == 2


def test_no_offset_is_committed_while_an_outcome_is_refused() -> None:
    bench = Bench(ScriptedProducer({}, refuses=["dlq"]))
    ending = bench.committer.attempt(attempt(topics=("results", "dlq")))
    assert (ending.result, ending.refused) == (Result.REFUSED, frozenset({1}))
    assert bench.commits == []


def test_refusals_are_numbered_by_their_place_in_the_attempt() -> None:
    bench = Bench(ScriptedProducer({}, refuses=["dlq"]))
    mixed = attempt(topics=("results", "dlq"))
    mixed.parcels[0].published = True
    assert bench.committer.attempt(mixed).refused == frozenset({1})


def test_let_go_while_nothing_is_acknowledged_ends_the_attempt() -> None:
    stuck = ScriptedProducer({})
    stuck.undelivered = 1
    bench = Bench(stuck, ScriptedProducer({}))
    bench.committer.let_go()
    assert bench.committer.attempt(attempt()).result is Result.ABORTED
    assert bench.commits == []
    assert bench.committer.attempt(attempt()).result is Result.COMMITTED


def test_a_fate_is_never_unknown() -> None:
    assert Bench(ScriptedProducer({})).committer.resolve(attempt()).result is Result.ABORTED


def test_one_that_was_replaced_commits_no_offsets() -> None:
    bench = Bench(ScriptedProducer({}))
    bench.committer.replacement()
    assert bench.committer.attempt(attempt()).result is Result.ABORTED
    assert bench.commits == []


def test_an_audit_copy_that_is_refused_holds_up_no_offset() -> None:
    bench = Bench(ScriptedProducer({}, refuses=["audit"]))
    ending = bench.committer.attempt(attempt(topics=("results", "dlq"), copied=True))
    assert (ending.result, ending.copies_refused) == (Result.COMMITTED, frozenset({0, 1}))
    assert len(bench.commits) == 1


def test_an_audit_copy_that_times_out_holds_up_nothing_and_its_outcome_is_not_published_again() -> None:
    bench = Bench(ScriptedProducer({}, fails={"audit": TIMED_OUT}), ScriptedProducer({}))
    copied = attempt(copied=True)
    ending = bench.committer.attempt(copied)
    assert (ending.result, ending.copies_refused) == (Result.COMMITTED, frozenset({0}))
    assert copied.parcels[0].published
    assert len(bench.commits) == 1


def test_an_audit_copy_is_not_waited_for_when_its_outcome_is_acknowledged() -> None:
    bench = Bench(ScriptedProducer({}, silent=["audit"]), ScriptedProducer({}))
    with patch.object(plain_committer, "COPIES_WAIT_S", 0.0):
        ending = bench.committer.attempt(attempt(copied=True))
    assert (ending.result, ending.copies_refused) == (Result.COMMITTED, frozenset({0}))
    assert ending.reason == "an audit copy was not acknowledged in time"
    assert bench.committer.attempt(attempt()).result is Result.COMMITTED
    assert bench.producers[1].produced == ["results"]  # the first one still has the copy to send


def test_an_outcome_is_waited_for_also_when_its_copy_is_acknowledged() -> None:
    bench = Bench(ScriptedProducer({}, silent=["results"]))
    bench.committer.let_go()
    with patch.object(plain_committer, "COPIES_WAIT_S", 0.0):
        assert bench.committer.attempt(attempt(copied=True)).result is Result.ABORTED
    assert bench.commits == []


def test_a_copy_is_named_though_the_offsets_could_not_be_committed() -> None:
    refusing = ScriptedProducer({}, refuses=["audit"])
    bench = Bench(refusing, commit_errors=[trouble(KafkaError.ILLEGAL_GENERATION)])
    ending = bench.committer.attempt(attempt(copied=True))
    assert (ending.result, ending.copies_refused) == (Result.ABORTED, frozenset({0}))


def test_an_outcome_that_times_out_is_published_again_without_what_was_acknowledged() -> None:
    failing = ScriptedProducer({}, fails={"dlq": TIMED_OUT})
    bench = Bench(failing, ScriptedProducer({}))
    both = attempt(topics=("results", "dlq"))
    assert bench.committer.attempt(both).result is Result.ABORTED
    assert bench.committer.attempt(both).result is Result.COMMITTED
    assert bench.producers[1].produced == ["dlq"]


def test_a_producer_that_takes_no_records_is_replaced() -> None:
    """It may be dead for good, and would say the same for ever."""
    bench = Bench(ScriptedProducer({"produce": [trouble(KafkaError._FATAL)]}), ScriptedProducer({}))
    again = attempt()
    assert bench.committer.attempt(again).result is Result.ABORTED
    assert bench.committer.attempt(again).result is Result.COMMITTED
    assert bench.producers[1].produced == ["results"]
