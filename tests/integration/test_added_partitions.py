"""Partitions that are added to a topic while a worker runs: who looked at the topic before sees them too."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from stream.kafka.assignment import TopicPartition
from stream.kafka.gaps import GapReader
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.local import LocalKafka
from stream.settings import Settings
from tests.support.in_process_worker import MakeTopics, settings_for
from tests.support.kafka import Topics, Unsent, produce
from tests.support.waiting import wait_until


@pytest.fixture
def mine(topics: MakeTopics) -> Topics:
    return topics(partitions=1)


@pytest.fixture
def settings(kafka: LocalKafka, mine: Topics, tmp_path: Path) -> Settings:
    return settings_for(kafka.bootstrap_servers, mine, tmp_path)


def add(kafka: LocalKafka, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    client.create_partitions([NewPartitions(topic, 2)])[topic].result(10)
    wait_until(lambda: len(client.list_topics(topic, timeout=5).topics[topic].partitions) == 2, 10, "the partition")
    produce(kafka.bootstrap_servers, topic, [Unsent(b"x", b"k", partition=1)] * 3)


def test_where_an_added_partition_starts_and_ends_is_found_out_at_once(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    offsets = GroupOffsets(settings)
    assert offsets.log(TopicPartition(mine.requests, 0)) == (0, 0)
    add(kafka, mine.requests)
    assert offsets.log(TopicPartition(mine.requests, 1)) == (0, 3)
    offsets.close()


def test_gaps_of_an_added_partition_are_looked_into(kafka: LocalKafka, mine: Topics, settings: Settings) -> None:
    produce(kafka.bootstrap_servers, mine.requests, [Unsent(b"x", b"k", partition=0)])
    reader = GapReader(settings)
    assert not reader.holds_no_record(TopicPartition(mine.requests, 0), 0, 1)
    add(kafka, mine.requests)
    assert not reader.holds_no_record(TopicPartition(mine.requests, 1), 0, 3)
    reader.close()
