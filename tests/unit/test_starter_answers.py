"""Where partitions start is found out for those whose brokers answer; the others hold nobody back."""

from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.core.starting import Start
from stream.kafka import starter as starter_module
from stream.kafka.assignment import TopicPartition
from stream.kafka.starter import Starter
from stream.settings import Settings

PARTITIONS = [TopicPartition("llm.requests", number) for number in range(3)]


class Offsets:
    """Answers for every partition but those without a leader."""

    def __init__(self, leaderless: Sequence[int]) -> None:
        self._leaderless = leaderless

    def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[None, None]]:
        return dict.fromkeys(partitions, (None, None))

    def log(self, partition: TopicPartition) -> tuple[int, int]:
        if partition.partition in self._leaderless:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, 0


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Starter:
    monkeypatch.setattr(starter_module.decisions, "read_all", lambda _: [])
    starter = Starter(Settings(), lambda: {"llm.requests": "id"}, [])
    monkeypatch.setattr(starter, "_outcomes", dict)
    return starter


def test_a_partition_without_a_leader_holds_back_nobody_else(starter: Starter) -> None:
    starter._offsets = Offsets([1])  # type: ignore[assignment]
    verdicts = starter.judge(PARTITIONS)
    assert verdicts.keys() == {PARTITIONS[0], PARTITIONS[2]}
    assert all(isinstance(verdict, Start) for verdict in verdicts.values())


def test_where_nobody_answers_that_is_an_error(starter: Starter) -> None:
    starter._offsets = Offsets([0, 1, 2])  # type: ignore[assignment]
    with pytest.raises(KafkaException):
        starter.judge(PARTITIONS)
