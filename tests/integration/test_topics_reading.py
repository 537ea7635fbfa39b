"""Topics read to their end, on a real Kafka: markers, aborted and open transactions, silence."""

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from stream.core.errors import ConfigError, DependencyError
from stream.kafka import clients, decisions, reading
from stream.kafka.decisions import Decision
from stream.kafka.local import LocalKafka
from stream.kafka.reading import LATEST, Start
from stream.settings import Settings
from tests.support.kafka import Topics, Unsent, produce
from tests.support.proxy import KafkaProxy
from tests.support.topic_settings import settings_for


@pytest.fixture
def settings(kafka: LocalKafka, topics: Callable[..., Topics]) -> Settings:
    return settings_for(kafka.bootstrap_servers, topics(partitions=3))


@pytest.fixture
def transactional(settings: Settings) -> Iterator[Producer]:
    """A transactional producer whose open transaction is aborted at the end."""
    producer = clients.producer(settings, **{"transactional.id": f"{settings.kafka.group_id}.test"})
    producer.init_transactions(10)
    yield producer
    producer.purge()


def values(settings: Settings, topic: str, start: Start = reading.EARLIEST) -> list[bytes | None]:
    return sorted((record.value for record in reading.read_all(settings, [topic], start)), key=str)


def write(settings: Settings, topic: str, *unsent: Unsent) -> None:
    produce(settings.kafka.bootstrap_servers, topic, unsent)


def test_every_record_is_read_once_with_its_bytes_as_they_are(settings: Settings):
    topic = settings.topics.results
    headers = (("a", b"\xff"), ("a", b"2"), ("n", None))
    write(settings, topic, Unsent(b"\xff", b"\xfe", headers, partition=1), Unsent(None, None, partition=2))
    first, second = sorted(reading.read_all(settings, [topic]), key=lambda record: record.partition)
    assert (first.partition, first.offset, first.key, first.value, first.headers) == (1, 0, b"\xfe", b"\xff", headers)
    assert (second.key, second.value, second.headers) == (None, None, ())
    assert first.leader_epoch is not None


def test_an_empty_topic_has_nothing_and_does_not_wait(settings: Settings):
    assert values(settings, settings.topics.results) == []


def test_aborted_records_are_not_read_and_markers_at_the_end_do_not_stop_reading(
    settings: Settings, transactional: Producer
):
    topic = settings.topics.results
    transactional.begin_transaction()
    transactional.produce(topic, b"kept", partition=0)
    transactional.commit_transaction(10)
    transactional.begin_transaction()
    transactional.produce(topic, b"aborted", partition=0)
    transactional.flush(10)
    transactional.abort_transaction(10)
    assert values(settings, topic) == [b"kept"]


def test_records_behind_an_open_transaction_are_left_out_at_once(settings: Settings, transactional: Producer):
    topic = settings.topics.results
    write(settings, topic, Unsent(b"before", partition=0))
    transactional.begin_transaction()
    transactional.produce(topic, b"open", partition=0)
    transactional.flush(10)
    write(settings, topic, Unsent(b"behind", partition=0))
    assert values(settings, topic) == [b"before"]
    transactional.commit_transaction(10)
    assert values(settings, topic) == [b"before", b"behind", b"open"]


def test_decisions_are_read_to_their_end_even_behind_a_transaction_that_is_just_ending(
    settings: Settings, transactional: Producer
):
    ours = decisions.outgoing(settings, Decision(1, "ops@host", "hold", {}))
    transactional.begin_transaction()
    transactional.produce(ours.topic, ours.value, ours.key, partition=0)
    transactional.flush(10)
    wanted = reading.spans(settings, [settings.topics.decisions], uncommitted=True)
    transactional.commit_transaction(10)
    assert len(list(reading.read(settings, wanted))) == 1


def test_reading_from_a_time_starts_at_the_first_record_that_is_not_older(settings: Settings):
    topic = settings.topics.results
    write(settings, topic, Unsent(b"old", partition=0))
    [old] = reading.read_all(settings, [topic])
    while time.time() * 1000 < old.timestamp_ms + 2:
        pass
    write(settings, topic, Unsent(b"new", partition=0), Unsent(b"also new", partition=1))
    assert values(settings, topic, Start("time", old.timestamp_ms + 1)) == [b"also new", b"new"]
    assert values(settings, topic, LATEST) == []


def test_an_offset_beyond_the_end_is_the_end(settings: Settings):
    topic = settings.topics.results
    write(settings, topic, *(Unsent(str(number).encode(), partition=0) for number in range(3)))
    assert values(settings, topic, Start("offset", 2)) == [b"2"]
    assert values(settings, topic, Start("offset", 99)) == []


def test_following_gives_what_is_written_later(settings: Settings):
    topic = settings.topics.results
    following = reading.read(settings, reading.spans(settings, [topic], LATEST), follow=True)
    write(settings, topic, Unsent(b"later"))
    assert next(following).value == b"later"
    following.close()


def test_a_missing_topic_is_named_and_an_optional_one_left_out(settings: Settings):
    with pytest.raises(ConfigError, match=r"no topic gone.*topics create"):
        reading.spans(settings, ["gone"])
    assert reading.spans(settings, ["gone"], optional=["gone"]) == []


def test_a_broker_that_falls_silent_ends_the_reading_in_time(
    settings: Settings, proxy: KafkaProxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clients, "BROKER_WAIT_S", 3.0)
    monkeypatch.setattr(reading, "_SILENCE_S", 1.0)
    topic = settings.topics.results
    behind_proxy = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": proxy.bootstrap_servers})}
    )
    write(settings, topic, Unsent(b"x", partition=0))
    following = reading.read(behind_proxy, reading.spans(behind_proxy, [topic]), follow=True)
    assert next(following).value == b"x"
    proxy.black_hole()
    started_s = time.monotonic()
    with pytest.raises(DependencyError, match="No Kafka broker answered"):
        next(following)
    assert time.monotonic() - started_s < 5


def test_a_decision_appended_is_read_back_with_its_offset(settings: Settings):
    written = decisions.append(settings, Decision(5, "ops@host", "hold", {"task": "greet"}, "why"))
    assert decisions.read_all(settings) == [written]
    assert written.offset == 0


def test_a_record_that_is_no_decision_is_passed_over_with_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    write(settings, settings.topics.decisions, Unsent(b"junk"))
    written = decisions.append(settings, Decision(5, "ops@host", "hold", {}))
    assert decisions.read_all(settings) == [written]
    assert f"{settings.topics.decisions}:0:0 is no decision" in caplog.text
