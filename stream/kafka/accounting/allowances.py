"""Which decisions allow what in a partition: accepted gaps, accepted re-runs, and where the group was told to start."""

from collections.abc import Iterable, Mapping
from typing import Any

from stream.kafka.accounting.accounts import Allowances, Rerun
from stream.kafka.decisions import Decision, OffsetRange
from stream.kafka.reading import Partition


def allowances(
    decisions: Iterable[Decision], group: str, partition: Partition, topic_id: str | None, *, doubles: bool = False
) -> Allowances:
    """What the decisions, oldest first, say of one partition of this group.

    Those about other groups, or about an earlier topic of that name, don't count: workers don't heed them either.

    doubles: the delivery is at_least_once.
    """
    gaps: list[range] = []
    reruns: list[Rerun] = []
    start: int | None = None
    for decision in decisions:
        ours = decision.scope.get("group") == group
        for each in _ranges(decision, partition, topic_id) if ours else ():
            if decision.kind == "accept_gap":
                gaps.append(range(each.from_offset, each.to_offset))
            elif decision.kind == "accept_rerun":
                reruns.append(Rerun(range(each.from_offset, each.to_offset), decision.at_ms))
            elif decision.kind == "start_latest" and start is None:
                start = each.from_offset
    return Allowances(tuple(gaps), tuple(reruns), start, doubles)


def _ranges(decision: Decision, partition: Partition, topic_id: str | None) -> list[OffsetRange]:
    """The ranges of this partition that a decision is about: its scope is one, or has a list of them."""
    several = decision.scope.get("partitions")
    scopes: list[Any] = several if isinstance(several, list) else [decision.scope]
    found = []
    for scope in scopes:
        if not isinstance(scope, Mapping) or (scope.get("topic"), scope.get("partition")) != partition:
            continue
        try:
            each = OffsetRange.from_json(scope)
        except ValueError:  # of another kind, which has no offsets
            continue
        if topic_id is None or each.topic_id in (None, topic_id):
            found.append(each)
    return found
