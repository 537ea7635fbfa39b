"""Epochs per partition, and the member id inside the group's metadata."""

import pytest

from stream.kafka.assignment import Assignment, TopicPartition, member_of

HERE, THERE = TopicPartition("requests", 0), TopicPartition("requests", 1)


def metadata(generation: int, member: str) -> bytes:
    """As librdkafka lays it out."""
    return b"CGMDv2:" + generation.to_bytes(4, "big", signed=True) + b"group\0" + member.encode() + b"\0\0"


def test_an_epoch_lives_from_its_beginning_to_its_end() -> None:
    assignment = Assignment()
    epoch = assignment.begin(HERE)
    assert assignment.live(HERE, epoch)
    assignment.end(HERE)
    assert not assignment.live(HERE, epoch)


def test_a_partition_that_comes_back_has_a_new_epoch() -> None:
    assignment = Assignment()
    first = assignment.begin(HERE)
    assignment.end(HERE)
    second = assignment.begin(HERE)
    assert not assignment.live(HERE, first)
    assert assignment.live(HERE, second)


def test_a_partitions_epoch_does_not_change_when_another_moves() -> None:
    assignment = Assignment()
    epoch = assignment.begin(HERE)
    assignment.begin(THERE)
    assignment.end(THERE)
    assert assignment.live(HERE, epoch)


def test_ending_an_old_epoch_leaves_the_new_one_alone() -> None:
    assignment = Assignment()
    old = assignment.begin(HERE)
    new = assignment.begin(HERE)
    assignment.end(HERE, old)
    assert assignment.live(HERE, new)


def test_ending_what_never_began_is_nothing() -> None:
    Assignment().end(HERE)


@pytest.mark.parametrize("generation", [-1, 0, 1, 2**31 - 1])
def test_the_member_id_is_found_whatever_bytes_the_generation_has(generation: int) -> None:
    assert member_of(metadata(generation, "worker-7")) == "worker-7"


@pytest.mark.parametrize("nobody", [b"", b"garbage", metadata(-1, ""), b"CGMDv2:", b"CGMDv2:\0\0\0\1group"])
def test_whoever_is_no_member_has_an_empty_id(nobody: bytes) -> None:
    assert member_of(nobody) == ""
