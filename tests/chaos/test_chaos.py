"""Workers are killed, stopped and cut off while they share six partitions; nothing is lost, doubled or out of order.

KILLS (default 12) says how many of them are killed in the round, SEED (default 1) with which plan.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream.kafka.local import LocalKafka, free_port
from tests.chaos.plan import Round, rounds
from tests.chaos.play import play
from tests.chaos.stage import PARTITIONS, Stage
from tests.chaos.traffic import Wanted
from tests.support.fleet import SESSION_TIMEOUT_S, Fleet, Member
from tests.support.kafka import Topics, create_topics
from tests.support.ledger_check import Sent
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.topic_reading import read_all
from tests.support.waiting import wait_until

QUIET = Round(0, 1, (), (), (), "")
SETTLED_S = 60


@pytest.fixture
def stage(kafka: LocalKafka, proxy: KafkaProxy, tmp_path: Path) -> Iterator[Stage]:
    """Topics, a simulator that is well, a watcher and a fleet without members, on the session's broker."""
    made = Stage(kafka, proxy, tmp_path, QUIET, create_topics(kafka.bootstrap_servers, PARTITIONS))
    yield made
    made.close()


def until_settled(stage: Stage) -> None:
    stage.traffic.stop()
    wait_until(lambda: stage.everything_visible, SETTLED_S, lambda: f"outcomes of {len(stage.traffic.sent)} requests")


def until_working(*members: Member) -> None:
    for member in members:
        wait_until(lambda member=member: member.ready_for_s() >= 0, 60, lambda member=member: member.child.output)  # type: ignore[misc]


def assert_clean(stage: Stage, *members: Member) -> None:
    stage.leave(list(members))
    stage.check()
    assert stage.outcome.clean, "\n".join(stage.outcome.all_faults)


@pytest.mark.timeout(900)
def test_a_round_of_kills_stops_and_cuts_loses_and_doubles_nothing(own_kafka: LocalKafka, tmp_path: Path) -> None:
    for round_ in rounds(int(os.environ.get("SEED", "1")), int(os.environ.get("KILLS", "12"))):
        outcome = play(own_kafka, tmp_path / f"round-{round_.number}", round_)
        assert outcome.clean, "\n".join(outcome.all_faults)
        assert outcome.deaths.total() == len(round_.fates)


def test_a_transaction_that_outlives_its_time_out_is_published_once(stage: Stage, kafka: LocalKafka) -> None:
    """The broker aborts it after 15 s and fences its producer, which isn't proof of a second worker."""
    held = stage.fleet.start(failpoints="offsets_sent=sleep:18@3")
    until_working(held)
    stage.traffic.start()
    wait_until(lambda: len(stage.watcher.first_seen_s) > 300, SETTLED_S, "it was held, and went on")
    until_settled(stage)
    assert_clean(stage, held)
    visible, written = (
        sum(len(read_all(kafka.bootstrap_servers, topic, isolation=isolation)) for topic in stage.outcome_topics)
        for isolation in ("read_committed", "read_uncommitted")
    )
    assert visible < written  # what was aborted is still in the log


def test_a_commit_whose_answer_is_lost_is_not_done_again(stage: Stage) -> None:
    worker = stage.fleet.start()
    until_working(worker)
    for already in range(3):
        stage.proxy.lose_response(ApiKey.END_TXN)
        stage.traffic.write(30)
        wait_until(lambda already=already: stage.proxy.lost(ApiKey.END_TXN) > already, SETTLED_S, "a lost answer")  # type: ignore[misc]
    until_settled(stage)
    assert_clean(stage, worker)


def test_a_zombie_that_wakes_after_its_session_publishes_nothing_twice(stage: Stage) -> None:
    first, second = stage.fleet.start(), stage.fleet.start()
    until_working(first, second)
    stage.traffic.start()
    wait_until(lambda: len(stage.watcher.first_seen_s) > 50, SETTLED_S, "first outcomes")
    before = len(stage.watcher.first_seen_s)
    with stage.stopped(first):
        at_least = before + 30 * SESSION_TIMEOUT_S * 2
        wait_until(lambda: len(stage.watcher.first_seen_s) > at_least, SETTLED_S, "the other one takes over")
    until_settled(stage)
    assert_clean(stage, first, second)


def test_sigterm_finishes_what_is_in_flight_and_throws_nothing_away(stage: Stage) -> None:
    first, second = stage.fleet.start(), stage.fleet.start()
    until_working(first, second)
    stage.traffic.start()
    wait_until(lambda: len(stage.watcher.first_seen_s) > 50, SETTLED_S, "first outcomes")
    first.child.terminate()
    assert first.child.wait(60) == 0
    until_settled(stage)
    assert_clean(stage, second)
    assert stage.outcome.repeats.otherwise == stage.outcome.repeats.after_kills == 0


def test_sigterm_while_a_worker_waits_for_a_broker_ends_it_with_0(tmp_path: Path) -> None:
    topics = Topics("requests", "results", "dlq", "audit", "decisions", PARTITIONS)
    with Fleet(tmp_path, f"127.0.0.1:{free_port()}", "http://127.0.0.1:1", topics, "nobody") as fleet:
        waiting = fleet.start().child
        wait_until(lambda: "The worker waits" in waiting.output, 60, lambda: waiting.output)
        waiting.terminate()
        assert waiting.wait(10) == 0, waiting.output


@pytest.fixture(scope="module")
def settled(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A few requests with their outcomes, all well, and nobody who runs."""
    assert kafka.proxy_port is not None
    folder, topics = tmp_path_factory.mktemp("settled"), create_topics(kafka.bootstrap_servers, PARTITIONS)
    with KafkaProxy(kafka.proxied_port, kafka.proxy_port) as proxy:
        stage = Stage(kafka, proxy, folder, QUIET, topics)
        worker = stage.fleet.start()
        stage.traffic.write(20)
        until_settled(stage)
        assert_clean(stage, worker)
    yield stage
    stage.close()


def test_the_check_goes_red_when_a_request_has_no_outcome(settled: Stage) -> None:
    topic = settled.topics.requests
    never = (topic, 0, 999)
    settled.traffic.sent[never] = (Sent(topic, 0, 999, None, "never-answered"), Wanted(b"", None, "never-answered"))
    settled.check()
    del settled.traffic.sent[never]
    assert settled.outcome.ledger.lost == [f"{topic}/0@999 has no outcome"]
    assert not settled.outcome.clean


def test_the_check_goes_red_when_a_result_is_published_twice(settled: Stage, kafka: LocalKafka) -> None:
    (record, *_) = read_all(kafka.bootstrap_servers, settled.topics.results)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(settled.topics.results, record.value(), record.key(), headers=record.headers())
    producer.flush(10)
    settled.check()
    assert len(settled.outcome.ledger.doubled) == 1
    assert settled.outcome.all_faults[-1].startswith("reconcile ended with 1")
