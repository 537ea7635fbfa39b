"""`reconcile` on a real Kafka, whose topics a hand-made worker has filled: every verdict where it belongs."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from stream.core.errors import ConfigError
from stream.kafka import decisions
from stream.kafka.accounting.accounts import Verdict
from stream.kafka.accounting.reconcile import reconcile
from stream.kafka.accounting.scan import Scan, scan
from stream.kafka.decisions import Decision
from stream.kafka.local import LocalKafka
from stream.kafka.reading import Span
from tests.support.hand_made_worker import HandMadeWorker, settings_for
from tests.support.kafka import Topics, Unsent, produce
from tests.support.reconcile_scene import GROUP, Scene, counts, made_scene, only


@pytest.fixture
def scene(kafka: LocalKafka, topics: Callable[..., Topics]) -> Iterator[Scene]:
    with made_scene(kafka, topics(partitions=1)) as made:
        yield made


def test_results_and_dead_letters_of_committed_transactions_balance(scene: Scene) -> None:
    scene.worker.attempt(4, results=range(3), dead=[3])
    scene.worker.attempt(4, results=[6, 8], done=[6, 8])
    scene.worker.attempt(10, results=[4, 5, 7], dead=[9])
    report = scene.check()
    assert counts(report) == {"settled": 10}
    assert (only(report).results, only(report).dead_letters) == (8, 2)
    assert report.balanced
    assert report.records == 20


def test_unfinished_requests_are_pending(scene: Scene) -> None:
    scene.worker.attempt(4, results=[*range(4), 6], done=[6])
    report = scene.check()
    assert counts(report) == {"settled": 5, "pending": 5}
    assert only(report).offsets[Verdict.PENDING] == (4, 5, 7, 8, 9)
    assert only(report).oldest_pending_ms is not None
    assert report.balanced


def test_a_request_that_a_commit_passes_over_is_missing_and_named(scene: Scene) -> None:
    scene.worker.attempt(10, results=[*range(7), 8, 9])
    report = scene.check()
    assert only(report).offsets[Verdict.MISSING] == (7,)
    assert report.names == {(scene.topics.requests, 0, 7): "inv-7"}
    assert report.failed


def test_an_outcome_of_an_aborted_transaction_is_none(scene: Scene) -> None:
    scene.worker.attempt(9, results=range(9))
    producer = scene.worker.transactional()
    producer.begin_transaction()
    scene.worker.result(producer, 9)
    producer.flush()
    producer.abort_transaction(10)
    scene.worker.commit(10)
    assert only(scene.check()).offsets[Verdict.MISSING] == (9,)


def test_a_result_and_a_dead_letter_of_one_request_are_a_double(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10), dead=[2])
    report = scene.check()
    assert only(report).offsets[Verdict.DOUBLED] == (2,)
    assert report.names == {(scene.topics.requests, 0, 2): "inv-2"}
    assert report.failed


def test_the_same_double_under_at_least_once_is_told_and_is_no_failure(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10), dead=[2])
    scene.settings = settings_for(scene.kafka.bootstrap_servers, scene.topics, GROUP, delivery="at_least_once")
    report = scene.check()
    assert counts(report) == {"settled": 9, "doubled_allowed": 1}
    assert report.balanced


def test_outcomes_of_transaction_markers_other_topic_ids_and_the_future_are_orphaned(scene: Scene) -> None:
    producer = scene.worker.transactional()
    producer.begin_transaction()
    producer.produce(scene.topics.requests, b"{}", partition=0)
    producer.commit_transaction(10)  # request 10, and a marker at 11
    scene.worker.attempt(12, results=range(12))
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    scene.worker.result(plain, 3, topic_id="AAAAAAAAAAAAAAAAAAAAAA")
    scene.worker.result(plain, 500)
    plain.flush()
    report = scene.check()
    assert only(report).offsets[Verdict.ORPHANED] == (3, 11, 500)
    assert counts(report) == {"settled": 11, "orphaned": 3}


def test_outcomes_of_other_groups_and_foreign_records_are_left_out(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10))
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    scene.worker.result(plain, 3, group="another")
    plain.produce(scene.topics.results, b"hello")
    scene.worker.result(plain, 0, topic="llm.other-requests")
    plain.flush()
    report = scene.check()
    assert counts(report) == {"settled": 10}
    assert (report.foreign, report.other_topics) == (1, 1)
    assert report.balanced
    assert report.other_groups == {"another": 1}


def test_under_a_mistyped_group_nothing_is_balanced_and_the_right_one_is_named(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10))
    report = reconcile(settings_for(scene.kafka.bootstrap_servers, scene.topics, "invoises"))
    assert (report.unheard_of, report.failed, report.balanced) == (True, False, False)
    assert report.other_groups == {GROUP: 10}


@pytest.mark.parametrize("instead", [{"offset": "four"}, {"partition": "77"}])
def test_an_outcome_of_ours_that_names_no_request_fails_the_check(scene: Scene, instead: dict[str, str]) -> None:
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    scene.worker.result(plain, 0, **instead)
    plain.flush()
    report = scene.check()
    assert report.nameless == 1
    assert report.failed


def test_a_correction_is_no_double(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(9), dead=[9])
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    headers = [*scene.worker.source(9), ("llm.corrects", b"0:0")]
    plain.produce(scene.topics.results, b"{}", headers=headers)
    plain.flush()
    report = scene.check()
    assert counts(report) == {"settled": 10}
    assert report.corrections == 1
    assert report.balanced


def test_an_open_transaction_on_results_makes_missing_unprovable_and_ends(scene: Scene) -> None:
    scene.worker.attempt(9, results=range(9))
    producer = scene.worker.transactional(timeout_ms=60_000)
    producer.begin_transaction()
    scene.worker.result(producer, 9)
    producer.flush()
    scene.worker.commit(10)
    report = scene.check(patience_s=1.0)
    assert counts(report) == {"settled": 9, "unprovable": 1}
    assert report.hidden == (f"{scene.topics.results}:0",)
    assert not report.failed
    assert not report.balanced
    producer.commit_transaction(10)
    assert scene.check().balanced


def test_a_commit_that_an_open_transaction_holds_is_waited_for_and_then_unprovable(scene: Scene) -> None:
    scene.worker.attempt(9, results=range(9))
    producer = scene.worker.transactional(timeout_ms=60_000)
    producer.begin_transaction()
    scene.worker.hold(producer, 10)
    report = scene.check(patience_s=1.0)
    assert counts(report) == {"settled": 9, "unprovable": 1}
    ending = threading.Timer(1.5, producer.abort_transaction)
    ending.start()
    report = scene.check(patience_s=20.0)
    ending.join()
    assert counts(report) == {"settled": 9, "pending": 1}


def test_what_retention_of_results_took_is_unprovable_and_not_missing(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10))
    scene.delete_before(scene.topics.results, 8)
    report = scene.check()
    assert counts(report) == {"settled": 2, "unprovable": 8}
    assert not report.failed
    assert not report.balanced


def test_missing_requests_younger_than_what_retention_took_are_missing_still(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(10))
    scene.delete_before(scene.topics.results, 8)
    late_ms = time.time_ns() // 1_000_000 + 120_000
    producer = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    producer.produce(scene.topics.requests, b"{}", partition=0, timestamp=late_ms)
    producer.flush()
    scene.worker.commit(11)
    assert only(scene.check()).offsets[Verdict.MISSING] == (10,)


def test_requests_deleted_before_they_were_finished_stop_the_partition_until_the_gap_is_accepted(scene: Scene) -> None:
    scene.worker.attempt(4, results=range(4))
    scene.delete_before(scene.topics.requests, 7)
    report = scene.check()
    assert report.failed
    assert "offsets 4 to 6 were deleted" in str(only(report).stopped)
    scope = {"group": GROUP, "topic": scene.topics.requests, "topic_id": scene.worker.topic_id, "partition": 0}
    accepted = scope | {"from_offset": 4, "to_offset": 7}
    decisions.append(scene.settings, Decision(0, "ops@example.com", "accept_gap", accepted, "known outage"))
    report = scene.check()
    assert only(report).stopped is None
    assert counts(report) == {"gap": 3, "pending": 3}
    assert report.balanced


def test_a_lost_commit_with_earlier_outcomes_stops_the_partition(scene: Scene) -> None:
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    scene.worker.result(plain, 0)
    plain.flush()
    report = scene.check()
    assert "has no commit" in str(only(report).stopped)
    assert report.failed


def test_a_wiped_or_damaged_map_stops_the_partition(scene: Scene) -> None:
    scene.worker.attempt(4, results=[*range(4), 6], done=[6])
    scene.worker.commit(4, metadata="")
    assert "without a done-map" in str(only(scene.check()).stopped)
    scene.worker.commit(4, metadata="ls1.AAAA")
    assert "damaged" in str(only(scene.check()).stopped)


def test_an_accepted_rerun_is_shown_and_is_no_double(scene: Scene) -> None:
    scene.worker.attempt(10, results=[*range(10), 4, 5])
    scope = {"group": GROUP, "topic": scene.topics.requests, "topic_id": scene.worker.topic_id, "partition": 0}
    accepted = scope | {"from_offset": 4, "to_offset": 10}
    decisions.append(scene.settings, Decision(0, "ops@example.com", "accept_rerun", accepted))
    report = scene.check()
    assert only(report).offsets[Verdict.RERUN] == (4, 5)
    assert report.balanced


def test_aborted_and_open_transactions_of_requests_are_no_requests(scene: Scene) -> None:
    producer = scene.worker.transactional(timeout_ms=60_000)
    producer.begin_transaction()
    producer.produce(scene.topics.requests, b"{}", partition=0)
    producer.flush()
    producer.abort_transaction(10)
    producer.begin_transaction()
    producer.produce(scene.topics.requests, b"{}", partition=0)
    producer.flush()
    scene.worker.attempt(12, results=range(10))
    report = scene.check()
    producer.abort_transaction(10)
    assert counts(report) == {"settled": 10}
    assert report.balanced


def test_only_requests_of_the_time_asked_for_are_judged(scene: Scene) -> None:
    base_ms = time.time_ns() // 1_000_000 + 1_000_000
    producer = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    for each in range(3):
        producer.produce(scene.topics.requests, b"{}", partition=0, timestamp=base_ms + 1_000 * each)
        producer.flush()
    scene.worker.attempt(13, results=[*range(5), 12])
    report = scene.check(from_ms=base_ms, to_ms=base_ms + 2_000)
    assert counts(report) == {"missing": 2}
    assert only(report).offsets[Verdict.MISSING] == (10, 11)
    assert counts(scene.check(to_ms=1)) == {}


def test_costs_are_added_up_and_what_was_wasted_is_told(scene: Scene) -> None:
    scene.worker.attempt(10, results=range(8), dead=[8, 9])
    plain = Producer({"bootstrap.servers": scene.kafka.bootstrap_servers})
    scene.worker.result(plain, 0, price=100)
    scene.worker.result(plain, 1, price=None)
    plain.flush()
    spending = scene.check(with_cost=True).spending
    assert spending is not None
    assert (spending.spent_micro_usd, spending.wasted_micro_usd, spending.unknown) == (186, 106, 1)


def test_several_partitions_and_request_topics_are_judged_each_on_its_own(
    kafka: LocalKafka, topics: Callable[..., Topics]
) -> None:
    one, two = topics(partitions=2), topics(partitions=1)
    settings = settings_for(kafka.bootstrap_servers, one, GROUP)
    both = settings.topics.model_copy(update={"requests": [one.requests, two.requests]})
    settings = settings.model_copy(update={"topics": both})
    worker = HandMadeWorker(kafka.bootstrap_servers, one, GROUP)
    for topic, partition in ((one.requests, 0), (one.requests, 1), (two.requests, 0)):
        produce(kafka.bootstrap_servers, topic, [Unsent(b"{}", partition=partition)] * 5)
    worker.attempt(5, results=range(5), partition=0)
    worker.attempt(5, results=range(4), partition=1)
    worker.close()
    report = reconcile(settings)
    assert [(each.topic, each.partition) for each in report.partitions] == [
        (one.requests, 0),
        (one.requests, 1),
        (two.requests, 0),
    ]
    assert [each.verdicts[Verdict.SETTLED] for each in report.partitions] == [5, 4, 0]
    assert report.partitions[1].offsets[Verdict.MISSING] == (4,)
    assert report.partitions[2].verdicts[Verdict.PENDING] == 5


def test_a_live_worker_is_never_accused_and_never_believed_too_early(scene: Scene) -> None:
    """Requests arrive and are settled out of order all the time; whatever moment a check begins at, it balances."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        producer = scene.worker.transactional()
        base = 0
        try:
            while not stop.is_set():
                scene.send(20)
                late = base + 3
                first = [offset for offset in range(base, base + 20) if offset != late]
                scene.worker.attempt(late, results=first, done=range(late + 1, base + 20), producer=producer)
                scene.worker.attempt(base + 20, dead=[late], producer=producer)
                base += 20
        except BaseException as error:
            failures.append(error)
            raise

    working = threading.Thread(target=work)
    working.start()
    try:
        for _ in range(8):
            report = scene.check()
            assert not report.failed, counts(report)
            assert report.proven, counts(report)
    finally:
        stop.set()
        working.join(30)
    assert not failures
    assert scene.check().total(Verdict.SETTLED) > 10


def test_a_topic_that_is_not_there_is_named(scene: Scene) -> None:
    absent = scene.settings.topics.model_copy(update={"dlq": "nowhere.dlq"})
    with pytest.raises(ConfigError, match=r"nowhere\.dlq"):
        reconcile(scene.settings.model_copy(update={"topics": absent}))


def test_a_request_of_5_mb_is_read_like_any_other(scene: Scene) -> None:
    produce(scene.kafka.bootstrap_servers, scene.topics.requests, [Unsent(os.urandom(5_000_000), partition=0)])
    scene.worker.attempt(11, results=range(11))
    assert counts(scene.check()) == {"settled": 11}


def test_a_scan_that_retention_overtakes_goes_on_at_the_log_start_and_says_so(scene: Scene) -> None:
    scene.delete_before(scene.topics.requests, 6)
    read: list[int | None] = []
    jumps: list[tuple[str, int]] = []
    span = Span(scene.topics.requests, 0, 2, 10)
    done = scan(scene.settings, [span], lambda message: read.append(message.offset()), jumped=jumps.append)
    assert read == [6, 7, 8, 9]
    assert jumps == [(scene.topics.requests, 0)]
    assert done == Scan(4, {})
