"""The simulation finds a worker that breaks one rule of delivery. Each rule is broken by changing a line or two."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from stream.core.offsets import DoneMap, OffsetTracker
from stream.kafka import commits, holdings
from stream.kafka.assignment import Assignment
from stream.kafka.attempts import Ending, Result
from stream.kafka.commits import Commits
from stream.kafka.committer import TransactionalCommitter
from stream.kafka.holdings import Holdings
from stream.kafka.partition import Partition
from stream.kafka.plain_committer import PlainCommitter
from tests.support.model_broker import Broker
from tests.support.simulated_fleet import trouble_with
from tests.support.simulated_plan import FAMILIES

LIMIT = 120


def seed_that_finds_it(family: str) -> int | None:
    for seed in range(LIMIT):
        if trouble_with(FAMILIES[family](seed)):
            return seed
    return None


def marks_before_the_commit(self: Commits, batch: Any, real: Callable[..., Any] = Commits._attempt_for) -> Any:
    attempt = real(self, batch)
    for partition, done in batch.maps.items():
        if partition.tracker is not None:
            partition.tracker.acknowledge(done)
    return attempt


def forgets_the_map(
    self: Holdings, partition: Partition, done: DoneMap, real: Callable[..., None] = Holdings.begin
) -> None:
    real(self, partition, DoneMap(done.base))


def passes_unfinished_offsets(
    self: OffsetTracker, outcomes: Any, real: Callable[..., DoneMap] = OffsetTracker.plan
) -> DoneMap:
    outcomes = list(outcomes)
    return real(self, outcomes).advanced_to(max((offset for offset, _ in outcomes), default=0))


def believes_every_gap(self: OffsetTracker, offset: int) -> None:
    if offset > self.position:
        self._gaps.append((self.position, offset))
        self.position = offset


def takes_unknown_for(result: Result) -> Callable[..., Ending]:
    def resolved(self: TransactionalCommitter, attempt: Any, reason: str) -> Ending:
        self._opened()
        return Ending(result, reason)

    return resolved


def offsets_before_outcomes(
    self: PlainCommitter, attempt: Any, real: Callable[..., Ending] = PlainCommitter._attempted
) -> Ending:
    self._commit(attempt.offsets)
    return real(self, attempt)


async def at_once(*_: Any) -> None:
    """Doesn't wait."""


def does_not_wait(self: Broker, partitions: Sequence[Any]) -> dict[Any, Any]:
    return {partition: self.offsets.get(partition) for partition in partitions}


RULES: dict[str, tuple[str, Any, str, Callable[..., Any] | Callable[..., Awaitable[Any]]]] = {
    "an outcome of an ended epoch is dropped": ("restless", Commits, "_live", lambda *_: True),
    "an epoch ends when its partition is lost": ("restless", Assignment, "end", lambda *_: None),
    "a partition is released after its last attempt": ("restless", Commits, "released", at_once),
    "an empty member id commits nothing": ("restless", commits, "member_of", lambda _: "somebody"),
    "a lookup waits for open transactions": ("restless", Broker, "committed", does_not_wait),
    "a map marks what is committed, not what will be": ("drawn", Commits, "_attempt_for", marks_before_the_commit),
    "a restart skips what the map marks": ("drawn", Holdings, "begin", forgets_the_map),
    "a commit never passes an unfinished offset": ("drawn", OffsetTracker, "plan", passes_unfinished_offsets),
    "an unknown fate isn't a failure": (
        "drawn",
        TransactionalCommitter,
        "_resolved",
        takes_unknown_for(Result.ABORTED),
    ),
    "an unknown fate isn't a success": (
        "drawn",
        TransactionalCommitter,
        "_resolved",
        takes_unknown_for(Result.COMMITTED),
    ),
    "what reading passed over is looked into": ("drawn", OffsetTracker, "passed", believes_every_gap),
    "outcomes go before offsets": ("drawn", PlainCommitter, "_attempted", offsets_before_outcomes),
    "one request of a key at a time": (
        "drawn",
        holdings,
        "Partition",
        lambda id_, epoch, keyed: Partition(id_, epoch, False),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_worker_that_breaks_this_rule_is_found(rule: str) -> None:
    family, owner, name, broken = RULES[rule]
    with patch.object(owner, name, broken):
        assert seed_that_finds_it(family) is not None
