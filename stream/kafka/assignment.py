"""What this worker owns right now, as seen by every thread: epochs per partition, and the group's metadata.

Only the intake thread assigns; an epoch ends when its partition is revoked or lost, not when others move. A completion
or an outcome of an ended epoch is dropped. The order that keeps commits safe: an attempt takes `metadata` first and
asks `live` after, and an epoch ends before newer metadata is published; so metadata of a new membership never carries
an outcome of an old one.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

_MAGIC = b"CGMDv2:"
_HEAD = len(_MAGIC) + 4


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


def member_of(metadata: bytes) -> str:
    """The member id inside the bytes of `consumer_group_metadata()`; empty if the consumer isn't a member.

    Layout (librdkafka, rdkafka_cgrp.c): magic `CGMDv2:`, generation (4 bytes), group id NUL, member id NUL, and whether
    an instance id follows. A broker skips its check of a commit with an empty member id: it must never be used.
    """
    if not metadata.startswith(_MAGIC):
        return ""
    parts = metadata[_HEAD:].split(b"\0")
    return parts[1].decode(errors="replace") if len(parts) > 2 else ""


class Assignment:
    """Shared by threads; every method is one step under the interpreter lock, none waits."""

    def __init__(self) -> None:
        self._epochs: dict[TopicPartition, int] = {}
        self._numbers = itertools.count(1)
        self.metadata = b""

    def begin(self, partition: TopicPartition) -> int:
        """A new epoch of a partition that was just assigned."""
        epoch = self._epochs[partition] = next(self._numbers)
        return epoch

    def end(self, partition: TopicPartition, epoch: int | None = None) -> None:
        """End a partition's epoch; with `epoch`, only if that is still the current one."""
        if epoch is None or self._epochs.get(partition) == epoch:
            self._epochs.pop(partition, None)

    def live(self, partition: TopicPartition, epoch: int) -> bool:
        """Whether this epoch of the partition is still ours."""
        return self._epochs.get(partition) == epoch

    def epochs(self) -> Mapping[TopicPartition, int]:
        """The current epochs, as they are now."""
        return self._epochs.copy()

    def owned(self, partition: TopicPartition) -> bool:
        """Whether any epoch of the partition is current."""
        return partition in self._epochs
