"""Where reading starts: nothing skipped, nothing paid for twice, unless a person accepted it."""

from dataclasses import replace

import pytest

from stream.core.offsets import DoneMap, encode_map, topic_hash
from stream.core.starting import PartitionFacts, Search, Start, StopCause, Stopped, judge

TOPIC = topic_hash("id", "requests")
FRESH = PartitionFacts("requests", 0, TOPIC, None, None, low=10, high=100, start=10)
OURS = replace(FRESH, committed=50, metadata=encode_map(DoneMap(50, 0b110, 2), TOPIC))


def stopped(facts: PartitionFacts, found: bool | None = None) -> Stopped:
    verdict = judge(facts, (), found)
    assert isinstance(verdict, Stopped)
    return verdict


def test_a_commit_of_ours_is_read_on_from() -> None:
    assert judge(OURS) == Start(DoneMap(50, 0b110, 2), commit_first=False)


def test_a_new_group_first_looks_for_earlier_outcomes_and_commits_its_start() -> None:
    assert judge(FRESH) == Search(10)
    assert judge(FRESH, (), outcomes_found=False) == Start(DoneMap(10), commit_first=True)


def test_a_lost_commit_with_earlier_outcomes_stops() -> None:
    stop = stopped(FRESH, found=True)
    assert stop.cause is StopCause.EARLIER_OUTCOMES
    assert "--accept-rerun requests:0" in stop.remedy


def test_wiped_metadata_is_searched_from_the_committed_offset() -> None:
    assert judge(replace(OURS, metadata="")) == Search(50)


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (replace(OURS, low=60), StopCause.RETENTION_GAP),
        (replace(OURS, high=40), StopCause.PAST_END),
        (replace(OURS, high=52), StopCause.PAST_END),
        (replace(OURS, metadata="ls1.AAAAAAAA"), StopCause.DAMAGED_MAP),
        (replace(OURS, metadata="ls9.AAAAAAAA"), StopCause.NEWER_MAP),
        (replace(OURS, topic_hash=topic_hash("new", "requests")), StopCause.OTHER_TOPIC),
        (replace(OURS, metadata=encode_map(DoneMap(49), TOPIC)), StopCause.MIRRORED_OFFSET),
    ],
)
def test_a_commit_that_cannot_be_believed_stops_until_its_own_remedy_is_accepted(
    facts: PartitionFacts, cause: StopCause
) -> None:
    stop = stopped(facts)
    assert stop.cause is cause
    assert stop.accept is not None
    assert f"{stop.accept.kind.replace('_', '-')} requests:0" in stop.remedy
    assert isinstance(judge(facts, [stop.accept]), Start)


def test_an_accepted_gap_keeps_what_the_map_says_of_later_offsets() -> None:
    facts = replace(OURS, low=51)
    accept = stopped(facts).accept
    assert accept is not None
    assert judge(facts, [accept]) == Start(DoneMap(53, 0, 2), commit_first=True)


def test_marks_past_the_log_end_are_forgotten_once_that_is_accepted() -> None:
    """What is written there from now on is new, and must be called."""
    cut = replace(OURS, high=52)
    stop = stopped(cut)
    assert "reaches to 53, but the log ends at 52" in stop.detail
    assert stop.accept is not None
    assert judge(cut, [stop.accept]) == Start(DoneMap(50, 0b10, 2), commit_first=True)


def test_an_acceptance_is_void_when_the_log_start_has_moved_since() -> None:
    accept = stopped(replace(OURS, low=60)).accept
    assert accept is not None
    assert isinstance(judge(replace(OURS, low=61), [accept]), Stopped)


def test_an_acceptance_of_another_partition_counts_for_nothing() -> None:
    accept = stopped(replace(OURS, low=60)).accept
    assert accept is not None
    assert isinstance(judge(replace(OURS, low=60, partition=1), [accept]), Stopped)
