"""What becomes of an attempt in trouble, case by case: never guessed, never published twice."""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.core.errors import FencedError
from stream.kafka import committer as committer_module
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Ending, Result
from stream.kafka.committer import TransactionalCommitter
from tests.support.attempts import HERE, MAP, attempt, trouble
from tests.support.scripted_producer import ScriptedProducer

THERE = TopicPartition("requests", 1)
TIMED_OUT = trouble(KafkaError._TIMED_OUT, retriable=True)
ABORTABLE = trouble(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
FATAL = trouble(KafkaError.UNKNOWN, fatal=True)
UNCLASSIFIED = trouble(KafkaError.UNKNOWN)
FENCED = trouble(KafkaError._FENCED, fatal=True)


Found = dict[TopicPartition, tuple[int, str]]


class Bench:
    """A committer whose producers are these, in turn, and whose group has committed `found`."""

    def __init__(
        self, *producers: ScriptedProducer, found: dict[TopicPartition, tuple[int, str]] | None = None
    ) -> None:
        self.producers = list(producers)
        self.found: Any = found or {}
        self.lookups: list[list[TopicPartition]] = []
        self.lookup_errors: list[KafkaException] = []
        self._made = 0
        self.committer = TransactionalCommitter(self._make, self._lookup, "group.host.0")  # type: ignore[arg-type]

    def _make(self) -> ScriptedProducer:
        self._made += 1
        return self.producers[self._made - 1]

    def _lookup(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int | None, str | None]]:
        self.lookups.append(list(partitions))
        if self.lookup_errors:
            raise self.lookup_errors.pop(0)
        return {partition: self.found.get(partition, (None, None)) for partition in partitions}

    def attempt(self, **changes: Any) -> Ending:
        return self.committer.attempt(attempt(**changes))


LANDED = {HERE: (7, MAP)}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module.time, "sleep", lambda _: None)


def test_an_attempt_publishes_outcomes_and_offsets_with_their_maps_in_one_transaction() -> None:
    producer = ScriptedProducer({})
    assert Bench(producer).attempt(topics=("results", "dlq")) == Ending(Result.COMMITTED)
    assert producer.calls == ["init", "begin", "produce", "produce", "offsets", "commit"]
    assert producer.produced == ["results", "dlq"]
    assert producer.offsets == [("requests", 0, 7, MAP)]
    assert producer.metadata == b"member"


def test_one_producer_serves_many_attempts() -> None:
    bench = Bench(ScriptedProducer({}))
    assert [bench.attempt().result for _ in range(3)] == [Result.COMMITTED] * 3
    assert bench.producers[0].calls.count("init") == 1


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_a_time_out_is_asked_again_for_that_resumes_it(step: str) -> None:
    producer = ScriptedProducer({step: [TIMED_OUT, TIMED_OUT, None]})
    assert Bench(producer).attempt().result is Result.COMMITTED
    assert producer.calls.count(step) == 3
    assert "abort" not in producer.calls


@pytest.mark.parametrize("step", ["produce", "offsets", "commit"])
def test_an_error_that_wants_an_abort_is_aborted_and_the_producer_kept(step: str) -> None:
    bench = Bench(ScriptedProducer({step: [ABORTABLE]}))
    assert bench.attempt().result is Result.ABORTED
    assert bench.attempt().result is Result.COMMITTED
    assert bench.producers[0].calls.count("abort") == 1
    assert bench.lookups == []


@pytest.mark.parametrize(
    "script",
    [
        {"offsets": [TIMED_OUT]},
        {"commit": [TIMED_OUT]},
        {"produce": [ABORTABLE], "abort": [TIMED_OUT]},
        {"commit": [trouble(KafkaError._MSG_TIMED_OUT, txn_requires_abort=True)]},
    ],
    ids=["offsets asked again", "commit asked again", "abort asked again", "no broker's answer"],
)
def test_a_producer_that_may_have_a_request_under_way_is_given_up(script: dict[str, list[Exception | None]]) -> None:
    """It could arrive late, and count as one of the next transaction (ADR 13)."""
    bench = Bench(ScriptedProducer(script), ScriptedProducer({}))
    assert bench.attempt().result in {Result.COMMITTED, Result.ABORTED}
    assert bench.attempt().result is Result.COMMITTED
    assert bench.producers[1].calls[0] == "init"


def test_an_abort_that_times_out_is_asked_again() -> None:
    bench = Bench(ScriptedProducer({"commit": [ABORTABLE], "abort": [TIMED_OUT, None]}))
    assert bench.attempt().result is Result.ABORTED
    assert bench.lookups == []


def test_an_abort_that_fails_is_resolved_by_a_new_producer() -> None:
    first, second = ScriptedProducer({"commit": [ABORTABLE], "abort": [FATAL]}), ScriptedProducer({})
    bench = Bench(first, second)
    assert bench.attempt().result is Result.ABORTED
    assert second.calls == ["init"]
    assert bench.lookups == [[HERE]]


@pytest.mark.parametrize("error", [FATAL, UNCLASSIFIED, FENCED], ids=["fatal", "unclassified", "fenced"])
@pytest.mark.parametrize(
    ("found", "result"),
    [
        (LANDED, Result.COMMITTED),
        ({HERE: (6, MAP)}, Result.ABORTED),
        ({HERE: (7, "ls1.other")}, Result.ABORTED),
        ({}, Result.ABORTED),
    ],
    ids=["landed", "older offset", "other map", "no commit"],
)
def test_after_any_other_error_a_new_producer_and_the_committed_offsets_tell(
    error: KafkaException, found: Found, result: Result
) -> None:
    first, second = ScriptedProducer({"commit": [error]}), ScriptedProducer({})
    bench = Bench(first, second, found=found)
    assert bench.attempt().result is result
    assert second.calls == ["init"]


def test_the_offsets_are_asked_for_only_after_the_old_transaction_was_ended() -> None:
    order: list[str] = []
    first, second = ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({})
    bench = Bench(first, second, found=LANDED)
    second.init_transactions = lambda _: order.append("init")  # type: ignore[method-assign]
    bench.committer._lookup = lambda partitions: (order.append("lookup"), LANDED)[1]  # type: ignore[assignment,return-value]
    bench.attempt()
    assert order == ["init", "lookup"]


def test_only_partitions_that_are_still_ours_can_tell() -> None:
    bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}), found=LANDED | {THERE: (99, "theirs")})
    ending = bench.attempt(partitions=(HERE, THERE), still_ours=lambda partition: partition == HERE)
    assert ending.result is Result.COMMITTED
    assert bench.lookups == [[HERE]]


def test_if_none_is_ours_any_more_nothing_counts_as_committed() -> None:
    bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}), found=LANDED)
    assert bench.attempt(still_ours=lambda _: False).result is Result.ABORTED


def test_a_partition_whose_topic_was_deleted_meanwhile_does_not_tell() -> None:
    """Kafka drops the commits of a deleted topic: those of the others were made by the same transaction."""
    gone = TopicPartition("deleted", 0)
    for found, result in ((LANDED, Result.COMMITTED), ({HERE: (6, MAP)}, Result.ABORTED), ({}, Result.ABORTED)):
        bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}), found=found)
        assert bench.attempt(partitions=(HERE, gone)).result is result


def test_a_partition_lost_during_the_lookup_does_not_tell() -> None:
    asked: list[TopicPartition] = []

    def ours_until_asked(partition: TopicPartition) -> bool:
        asked.append(partition)
        return len(asked) == 1

    bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}), found=LANDED)
    assert bench.attempt(still_ours=ours_until_asked).result is Result.ABORTED


def test_a_lookup_waits_for_brokers_that_are_away() -> None:
    bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}), found=LANDED)
    bench.lookup_errors = [trouble(KafkaError._ALL_BROKERS_DOWN), trouble(KafkaError.UNSTABLE_OFFSET_COMMIT)]
    assert bench.attempt().result is Result.COMMITTED


def test_a_lookup_that_will_never_be_allowed_is_not_asked_for_ever() -> None:
    bench = Bench(ScriptedProducer({"commit": [FATAL]}), ScriptedProducer({}))
    bench.lookup_errors = [trouble(KafkaError.GROUP_AUTHORIZATION_FAILED)]
    with pytest.raises(KafkaException):
        bench.attempt()


def test_a_producer_that_finds_no_broker_asks_on() -> None:
    producer = ScriptedProducer({"init": [TIMED_OUT, trouble(KafkaError._TRANSPORT, retriable=True), None]})
    assert Bench(producer).attempt().result is Result.COMMITTED
    assert producer.calls.count("init") == 3


def test_a_producer_that_will_never_be_allowed_ends_the_worker() -> None:
    bench = Bench(ScriptedProducer({"init": [trouble(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True)]}))
    with pytest.raises(KafkaException):
        bench.attempt()


def test_fenced_once_may_be_our_own_time_out_and_is_survived() -> None:
    bench = Bench(ScriptedProducer({"offsets": [FENCED]}), ScriptedProducer({}))
    assert bench.attempt().result is Result.ABORTED
    assert bench.attempt().result is Result.COMMITTED


def test_fenced_twice_within_a_minute_is_a_second_worker() -> None:
    bench = Bench(ScriptedProducer({"offsets": [FENCED]}), ScriptedProducer({"offsets": [FENCED]}))
    assert bench.attempt().result is Result.ABORTED
    with pytest.raises(FencedError, match=r"'group\.host\.0'.*transactional_id"):
        bench.attempt()


def test_fenced_again_after_an_hour_is_another_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(committer_module.time, "monotonic", lambda: now_s)
    bench = Bench(*(ScriptedProducer({"offsets": [FENCED]}) for _ in range(2)), ScriptedProducer({}))
    assert bench.attempt().result is Result.ABORTED
    now_s = 3_600.0
    assert bench.attempt().result is Result.ABORTED


def test_fenced_twice_by_ones_own_requests_for_an_epoch_is_no_second_worker() -> None:
    """One that went unanswered may arrive late, and then it takes the epoch of the producer that came after it."""
    producers = (
        ScriptedProducer({"offsets": [FENCED]}),
        ScriptedProducer({"init": [TIMED_OUT, None], "offsets": [FENCED]}),
        ScriptedProducer({}),
    )
    bench = Bench(*producers)
    assert [bench.attempt().result for _ in range(3)] == [Result.ABORTED, Result.ABORTED, Result.COMMITTED]


def test_a_transaction_that_outlived_its_time_out_is_no_second_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(committer_module.time, "monotonic", lambda: now_s[0])

    class Frozen(ScriptedProducer):
        def begin_transaction(self) -> None:
            now_s[0] += 20

    bench = Bench(ScriptedProducer({"offsets": [FENCED]}), Frozen({"offsets": [FENCED]}), ScriptedProducer({}))
    assert [bench.attempt().result for _ in range(3)] == [Result.ABORTED, Result.ABORTED, Result.COMMITTED]


class _LetGo(ScriptedProducer):
    """Its commit times out for ever; the partitions are wanted back meanwhile."""

    committer: TransactionalCommitter

    def commit_transaction(self, timeout_s: float) -> None:
        self.calls.append("commit")
        self.committer.let_go()
        raise TIMED_OUT


def let_go(found: Found | None = None) -> tuple[Bench, _LetGo]:
    stuck = _LetGo({})
    bench = Bench(stuck, ScriptedProducer({}), found=found)
    stuck.committer = bench.committer
    return bench, stuck


def test_an_attempt_that_is_let_go_of_ends_with_its_fate_unknown() -> None:
    bench, stuck = let_go()
    assert bench.attempt().result is Result.UNKNOWN
    assert stuck.calls.count("commit") == 1
    assert bench.lookups == []


@pytest.mark.parametrize(("found", "result"), [(LANDED, Result.COMMITTED), ({}, Result.ABORTED)])
def test_an_unknown_fate_is_found_out_afterwards_by_a_new_producer(found: Found, result: Result) -> None:
    bench, _ = let_go(found)
    bench.attempt()
    assert bench.committer.resolve(attempt()).result is result
    assert bench.producers[1].calls == ["init"]


def test_being_told_to_let_go_counts_for_one_attempt_only() -> None:
    bench, _ = let_go()
    bench.attempt()
    bench.committer.resolve(attempt())
    assert bench.attempt().result is Result.COMMITTED


def test_let_go_before_a_broker_answered_nothing_was_begun() -> None:
    producer = ScriptedProducer({"init": [TIMED_OUT] * 3})
    bench = Bench(producer)
    bench.committer.let_go()
    assert bench.attempt().result is Result.ABORTED
    assert "begin" not in producer.calls


def test_records_that_the_broker_refuses_are_named_and_nothing_of_the_attempt_is_visible() -> None:
    wants_abort = trouble(KafkaError.MSG_SIZE_TOO_LARGE, txn_requires_abort=True)
    producer = ScriptedProducer({"commit": [wants_abort]}, refuses=["dlq"])
    ending = Bench(producer).attempt(topics=("results", "dlq", "results", "dlq"))
    assert (ending.result, ending.refused) == (Result.REFUSED, frozenset({1, 3}))
    assert producer.calls[-1] == "abort"


def test_records_that_the_client_refuses_by_itself_are_named_too() -> None:
    producer = ScriptedProducer({"produce": [None, trouble(KafkaError.MSG_SIZE_TOO_LARGE), None]})
    ending = Bench(producer).attempt(topics=("results",) * 3)
    assert (ending.result, ending.refused) == (Result.REFUSED, frozenset({1}))
    assert "commit" not in producer.calls


def test_a_refused_audit_copy_is_told_apart_from_its_outcome() -> None:
    wants_abort = trouble(KafkaError.MSG_SIZE_TOO_LARGE, txn_requires_abort=True)
    bench = Bench(ScriptedProducer({"commit": [wants_abort]}, refuses=["audit"]))
    ending = bench.attempt(topics=("results", "dlq"), copied=True)
    assert (ending.result, ending.refused, ending.copies_refused) == (Result.REFUSED, frozenset(), frozenset({0, 1}))
    assert ending.reason.startswith("audit: ")


def test_a_topic_that_is_gone_is_named_and_one_that_refuses_a_record_is_not() -> None:
    gone = trouble(KafkaError.UNKNOWN_TOPIC_OR_PART)
    too_large = trouble(KafkaError.MSG_SIZE_TOO_LARGE)
    ending = Bench(ScriptedProducer({"produce": [gone, too_large]})).attempt(topics=("dlq", "results"))
    assert (ending.refused, ending.refusing_topics) == (frozenset({0, 1}), frozenset({"dlq"}))


def test_a_topic_that_is_gone_as_the_transaction_begins_costs_the_producer_which_believes_in_it() -> None:
    gone = trouble(KafkaError.UNKNOWN_TOPIC_OR_PART, txn_requires_abort=True)
    bench = Bench(ScriptedProducer({"commit": [gone]}), ScriptedProducer({}))
    assert bench.attempt().result is Result.ABORTED
    assert bench.attempt().result is Result.COMMITTED
    assert bench.producers[1].calls[0] == "init"


def test_a_topic_that_we_may_not_write_makes_each_outcome_a_suspect_for_nobody_says_which_it_is() -> None:
    denied = trouble(KafkaError.TOPIC_AUTHORIZATION_FAILED, txn_requires_abort=True)
    bench = Bench(ScriptedProducer({"commit": [denied]}))
    ending = bench.attempt(topics=("results", "dlq"))
    assert (ending.result, ending.refused, ending.refusing_topics) == (Result.REFUSED, frozenset({0, 1}), frozenset())


@pytest.mark.parametrize("hangs_in", ["init", "begin", "offsets", "commit"])
def test_one_that_was_replaced_goes_no_further_when_its_call_comes_back(hangs_in: str) -> None:
    class Hangs(ScriptedProducer):
        def _step(self, name: str) -> None:
            super()._step(name)
            if name == hangs_in:
                replaced.append(bench.committer.replacement())

    replaced: list[TransactionalCommitter] = []
    bench = Bench(Hangs({}), ScriptedProducer({}))
    assert bench.attempt().result is not Result.COMMITTED or hangs_in == "commit"
    after = bench.producers[0].calls[bench.producers[0].calls.index(hangs_in) + 1 :]
    assert not {"begin", "offsets", "commit"}.intersection(after)
    assert replaced[0].attempt(attempt()).result is Result.COMMITTED


def test_a_replacement_does_not_take_a_latecomer_of_the_one_that_hung_for_a_second_worker() -> None:
    bench = Bench(*[ScriptedProducer({"commit": [FENCED]}) for _ in range(3)], ScriptedProducer({}))
    other = bench.committer.replacement()
    assert [other.attempt(attempt()).result for _ in range(2)] == [Result.ABORTED] * 2


def test_after_a_broker_went_away_the_next_attempt_is_a_new_producers() -> None:
    bench = Bench(ScriptedProducer({}), ScriptedProducer({}))
    bench.attempt()
    bench.committer.doubt()
    assert [bench.attempt().result for _ in range(2)] == [Result.COMMITTED] * 2
    assert [producer.calls.count("commit") for producer in bench.producers] == [1, 2]


def test_a_producer_is_not_renewed_with_every_attempt_while_brokers_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(committer_module.time, "monotonic", lambda: now_s[0])
    bench = Bench(*(ScriptedProducer({}) for _ in range(3)))
    for _ in range(3):
        bench.attempt()
        bench.committer.doubt()
    assert [producer.calls.count("commit") for producer in bench.producers] == [1, 2, 0]
    now_s[0] += committer_module.RENEW_AFTER_S
    bench.attempt()
    assert bench.producers[2].calls.count("commit") == 1


def test_a_full_queue_of_the_producer_is_waited_for() -> None:
    producer = ScriptedProducer({"produce": [BufferError(), BufferError(), None]})
    assert Bench(producer).attempt().result is Result.COMMITTED
    assert producer.calls.count("poll") == 2
