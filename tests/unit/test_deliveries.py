"""What became of outcomes and their audit copies, told apart."""

from confluent_kafka import KafkaError

from stream.core.records import Outgoing
from stream.kafka.attempts import Parcel, Result
from stream.kafka.deliveries import Deliveries, produce_all
from tests.support.attempts import attempt, trouble
from tests.support.scripted_producer import ScriptedProducer

TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)
DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


def parcel(topic: str, *, copied: bool = False) -> Parcel:
    copies = (Outgoing("audit", None, b"c", ()),) if copied else ()
    return Parcel((Outgoing(topic, None, b"v", ()), *copies))


def test_a_copy_that_was_not_delivered_is_no_failure_of_its_outcome() -> None:
    deliveries = Deliveries()
    deliveries.note(0, "audit", TIMED_OUT, copy=True)
    assert (deliveries.failed, deliveries.any_refused) == ({}, False)
    deliveries.leave_copies_out()
    assert deliveries.copies_refused == {0: "audit: Local: Message timed out"}


def test_copies_that_nothing_is_heard_of_are_left_out_with_those_that_failed() -> None:
    deliveries, producer = Deliveries(), ScriptedProducer({}, fails={"dlq": TIMED_OUT}, silent=["audit"])
    produce_all(producer, attempt(topics=("results", "dlq"), copied=True).parcels, deliveries)  # type: ignore[arg-type]
    assert (deliveries.unanswered, deliveries.copies_unanswered) == (2, {0, 1})
    producer.flush(0)
    assert (deliveries.unanswered, deliveries.copies_unanswered, list(deliveries.failed)) == (0, {0, 1}, [1])
    deliveries.leave_copies_out()
    assert list(deliveries.copies_refused) == [0, 1]


def test_what_the_client_refuses_by_itself_is_not_waited_for() -> None:
    too_large = trouble(KafkaError.MSG_SIZE_TOO_LARGE)
    deliveries, producer = Deliveries(), ScriptedProducer({"produce": [too_large, too_large]})
    produce_all(producer, attempt(copied=True).parcels, deliveries)  # type: ignore[arg-type]
    assert (deliveries.unanswered, deliveries.copies_unanswered) == (0, set())
    assert deliveries.refusal().copies_refused == deliveries.refusal().refused == frozenset({0})


def test_a_denial_that_names_no_topic_is_laid_to_the_copies_first() -> None:
    deliveries = Deliveries()
    deliveries.suspect_all([parcel("results", copied=True), parcel("dlq")], DENIED)
    ending = deliveries.refusal()
    assert (ending.result, ending.refused, ending.copies_refused) == (Result.REFUSED, frozenset(), frozenset({0}))


def test_without_copies_it_is_the_topics_if_there_is_but_one() -> None:
    deliveries = Deliveries()
    deliveries.suspect_all([parcel("results"), parcel("results")], DENIED)
    ending = deliveries.refusal()
    assert (ending.refused, ending.refusing_topics) == (frozenset({0, 1}), frozenset({"results"}))


def test_with_several_topics_each_outcome_is_suspected() -> None:
    deliveries = Deliveries()
    deliveries.suspect_all([parcel("results"), parcel("dlq")], DENIED)
    ending = deliveries.refusal()
    assert (ending.refused, ending.refusing_topics) == (frozenset({0, 1}), frozenset())
