"""One partition while it is ours: what was read of it, what runs, what waits, and why it doesn't move.

Owned by the event loop; nothing here does I/O.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from stream.core.offsets import OffsetTracker
from stream.core.ordering import KeyOrder
from stream.core.pipeline import Prepared
from stream.core.records import Record
from stream.core.starting import Stopped
from stream.kafka.assignment import TopicPartition
from stream.kafka.slots import HeldSlot

WAITING_BYTES = 16 * 1024 * 1024
"""How much may wait per partition, records and what we keep about them together, before reading it pauses."""

OVERHEAD_BYTES = 1_024
"""What a waiting request takes beside its bytes, roughly."""


class Phase(Enum):
    """How a partition stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Item:
    """One request on its way: read, waiting or running."""

    partition: "Partition"
    record: Record
    size: int
    prepared: Prepared | None = None


@dataclass(slots=True, eq=False)
class Partition:
    """An epoch of a partition. `uncommitted` counts outcomes that wait for their commit."""

    id: TopicPartition
    epoch: int
    keyed: bool
    waiting_limit: int = WAITING_BYTES
    phase: Phase = Phase.STARTING
    tracker: OffsetTracker | None = None
    stop: Stopped | None = None
    pauses: set[str] = field(default_factory=lambda: {"starting"})
    keys: KeyOrder[Item] = field(default_factory=KeyOrder)
    beyond: deque[Item] = field(default_factory=deque)
    running: dict[int, "tuple[asyncio.Task[Any], HeldSlot]"] = field(default_factory=dict)
    waiting: int = 0
    waiting_bytes: int = 0
    uncommitted: int = 0
    topic_id: str | None = None
    """Of the topic it was judged with; None if the broker knows no ids. Neither a commit nor an outcome may carry what
    was done for it under a later topic's name."""
    topic_hash: bytes = b""
    """What stands for it in commits."""
    cancelled: set[int] = field(default_factory=set)
    """Offsets whose tasks we cancelled ourselves."""
    given_up: int = 0
    """How many of these had a call in the air."""
    draining_since_s: float | None = None
    """When its drain began (the loop's time): at the worker's stop, or else when it was taken back."""
    out_of_range: str = ""
    doubted: set[tuple[int, int]] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """Nothing of it is waiting, running or uncommitted."""
        return not (self.waiting or self.running or self.uncommitted)

    def share(self, limit_bytes: int) -> None:
        """Wait with at most so much (and never more than `WAITING_BYTES`)."""
        self.waiting_limit = min(limit_bytes, WAITING_BYTES)

    def item(self, record: Record) -> Item:
        """Take a record in: from now on it waits."""
        item = Item(self, record, record.size_bytes + OVERHEAD_BYTES)
        self.waiting += 1
        self.waiting_bytes += item.size
        return item

    def leaves(self, item: Item) -> None:
        """It waits no longer: it starts, or it is finished without a call."""
        self.waiting -= 1
        self.waiting_bytes -= item.size

    def returns(self, item: Item) -> None:
        """It had started and must wait again."""
        self.waiting += 1
        self.waiting_bytes += item.size

    def enters(self, item: Item) -> bool:
        """Let it into the window; whether it is ready, or waits for its key."""
        return self.keys.add(item.record.key if self.keyed else None, item)

    def after(self, item: Item) -> Item | None:
        """The request that becomes ready because this one is finished."""
        return self.keys.finished(item.record.key if self.keyed else None)

    def forget_waiting(self) -> None:
        """Let go of everything that isn't running: others will read it again."""
        self.keys = KeyOrder()
        self.beyond.clear()
        self.waiting = self.waiting_bytes = 0

    def cancel(self, *, only_waiting: bool) -> None:
        """Cancel what runs; with `only_waiting` just what has no call in the air."""
        for offset, (task, slot) in self.running.items():
            if slot.held and only_waiting:
                continue
            self.given_up += slot.held and offset not in self.cancelled
            self.cancelled.add(offset)
            task.cancel()

    def full(self) -> bool:
        """Whether too much waits; once paused, reading goes on at half of the limit."""
        limit = self.waiting_limit // 2 if "bytes" in self.pauses else self.waiting_limit
        return self.waiting_bytes > limit
