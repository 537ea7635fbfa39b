"""Topics made, altered and judged on a real Kafka."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from stream.core.errors import ConfigError, DependencyError
from stream.kafka import admin, clients
from stream.kafka.local import LocalKafka, free_port
from stream.kafka.topics import Alteration, TopicFacts, adjusted, alterations, findings, wanted
from stream.settings import Settings
from tests.support.kafka import create_topic
from tests.support.topic_settings import settings_for
from tests.support.waiting import wait_until

TOPIC_ID_CHARACTERS = 22


@pytest.fixture
def mock_cluster() -> Iterator[Settings]:
    """librdkafka's own mock cluster, with one topic."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    [broker] = producer.list_topics(timeout=10).brokers.values()
    producer.produce("llm.requests", b"x")
    assert producer.flush(10) == 0
    yield Settings.model_validate({"kafka": {"bootstrap_servers": f"127.0.0.1:{broker.port}"}})
    producer.flush(0)


def made(settings: Settings) -> list[str]:
    """Make all topics, and wait until the broker shows them as they are wanted."""
    rows = wanted(settings, brokers=1)
    names = admin.create(settings, rows)
    client = clients.admin(settings)

    def all_there() -> bool:
        facts = admin.topic_facts(client, names, 10)
        return len(facts) == len(names) and not alterations(rows, facts)

    wait_until(all_there, 10, "the topics are there")
    return names


def test_topics_as_create_makes_them_pass_their_own_check(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers)
    names = made(settings)
    topology = admin.describe(settings, names)
    rows = adjusted(wanted(settings, brokers=1), topology.topics)
    assert [each for each in findings(rows, topology, transactional=True) if each.level != "ok"] == []


def test_making_topics_twice_makes_them_once(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers)
    assert len(made(settings)) == 6
    assert admin.create(settings, wanted(settings, brokers=1)) == []


def test_the_facts_of_a_topic_are_told_and_a_missing_one_is_left_out(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers)
    made(settings)
    name = settings.topics.requests[0]
    facts = admin.topic_facts(clients.admin(settings), [name, "nobody-made-this"], 10)
    assert list(facts) == [name]
    assert (facts[name].partitions, facts[name].max_message_bytes) == (4, 8 * 1024 * 1024)
    assert facts[name].cleanup_policy == "delete"
    assert len(facts[name].topic_id or "") == TOPIC_ID_CHARACTERS


def test_the_mock_cluster_tells_partitions_only_and_at_once(mock_cluster: Settings):
    facts = admin.topic_facts(clients.admin(mock_cluster), ["llm.requests", "llm.nothing"], 10)
    assert list(facts) == ["llm.requests"]
    assert (facts["llm.requests"].partitions, facts["llm.requests"].topic_id) == (4, None)


def test_an_existing_topic_is_altered_to_what_is_wanted(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers)
    rows = wanted(settings, brokers=1)
    name = settings.topics.dlq
    create_topic(kafka.bootstrap_servers, name, 2, {"cleanup.policy": "compact"})
    client = clients.admin(settings)
    [change] = alterations(rows, admin.topic_facts(client, [name], 10))
    admin.apply(settings, [change])

    def as_wanted() -> TopicFacts | None:
        facts = admin.topic_facts(client, [name], 10)
        return None if alterations(rows, facts) else facts[name]

    assert wait_until(as_wanted, 10, "the change is seen").partitions == 4


def test_a_refused_change_names_the_topic_and_the_reason(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers)
    made(settings)
    name = settings.topics.results
    with pytest.raises(ConfigError, match=name):
        admin.apply(settings, [Alteration(name, {"retention.ms": "soon"})])


def test_a_replication_factor_that_the_cluster_has_not_is_refused_with_the_reason(kafka: LocalKafka):
    settings = settings_for(kafka.bootstrap_servers, replication_factor=3)
    with pytest.raises(ConfigError, match=r"[Rr]eplication"):
        admin.create(settings, wanted(settings, brokers=1))


def test_no_broker_is_said_with_the_address(unused_broker: str):
    settings = settings_for(unused_broker)
    with pytest.raises(DependencyError, match=unused_broker):
        admin.describe(settings, ["x"], timeout_s=0.5)


@pytest.fixture
def unused_broker() -> str:
    """An address on which nobody listens."""
    return f"127.0.0.1:{free_port()}"
