"""When reconcile and lag say that a partition is stopped, why, and what frees it."""

import pytest

from stream.kafka.accounting.accounts import Account, Allowances, Rerun, Verdict
from stream.kafka.accounting.claims import Claim
from stream.kafka.accounting.stops import stop_reason

WHERE = "requests:0"
FREE = Allowances()


@pytest.mark.parametrize(
    ("claim", "log_first", "log_end", "highest"),
    [
        (Claim(5), 5, 10, 9),
        (Claim(5), 0, 5, 9),
        (Claim(None, fault="no_commit"), 0, 10, -1),
        (Claim(None, fault="no_commit"), 5, 10, 4),
        (Claim(5, fault="no_map"), 0, 10, 4),
        (Claim(None, fault="unread"), 5, 10, 9),
    ],
)
def test_a_partition_that_a_worker_reads_on_in_is_not_stopped(
    claim: Claim, log_first: int, log_end: int, highest: int
) -> None:
    assert stop_reason(WHERE, claim, log_first, log_end, highest, FREE) is None


@pytest.mark.parametrize(
    ("claim", "log_first", "log_end", "highest", "words", "accepted"),
    [
        (Claim(5), 7, 10, 4, "offsets 5 to 6 were deleted", Allowances(gaps=(range(5, 7),))),
        (Claim(12), 0, 10, 4, "the log ends at 10", Allowances(gaps=(range(10, 10),))),
        (Claim(8, 0b110), 0, 10, 4, "reaches to 11, but the log ends at 10", Allowances(gaps=(range(10, 10),))),
        (Claim(None, fault="no_commit"), 0, 10, 4, "has no commit", Allowances(reruns=(Rerun(range(10), 1_000),))),
        (Claim(5, fault="no_map"), 0, 10, 5, "without a done-map", Allowances(reruns=(Rerun(range(5, 10), 1_000),))),
        (Claim(5, fault="damaged"), 0, 10, -1, "damaged", Allowances(reruns=(Rerun(range(5, 10), 1_000),))),
        (Claim(5, fault="newer"), 0, 10, -1, "newer version", Allowances(reruns=(Rerun(range(5, 10), 1_000),))),
        (Claim(5, fault="mirrored"), 0, 10, -1, "another offset", Allowances(reruns=(Rerun(range(5, 10), 1_000),))),
        (Claim(50, fault="other_topic"), 0, 10, -1, "deleted since", Allowances(reruns=(Rerun(range(10), 1_000),))),
    ],
)
def test_a_stop_is_told_with_its_remedy_until_a_person_accepts_it(
    claim: Claim, log_first: int, log_end: int, highest: int, words: str, accepted: Allowances
) -> None:
    told = stop_reason(WHERE, claim, log_first, log_end, highest, FREE)
    assert told is not None
    assert words in told
    assert f"--accept-{'gap' if accepted.gaps else 'rerun'} {WHERE}" in told
    assert stop_reason(WHERE, claim, log_first, log_end, highest, accepted) is None


def test_a_group_told_to_start_later_is_not_stopped_by_outcomes_before_that() -> None:
    told = Allowances(start=6)
    assert stop_reason(WHERE, Claim(None, fault="no_commit"), 0, 10, 5, told) is None
    assert stop_reason(WHERE, Claim(None, fault="no_commit"), 0, 10, 6, told) is not None


def test_requests_deleted_before_a_group_came_to_where_it_was_told_to_start_stop_it() -> None:
    never = Claim(None, fault="no_commit")
    told = stop_reason(WHERE, never, 8, 10, -1, Allowances(start=6))
    assert told is not None
    assert "offsets 6 to 7 were deleted" in told
    assert stop_reason(WHERE, never, 8, 10, -1, Allowances(start=6, gaps=(range(6, 8),))) is None
    assert stop_reason(WHERE, never, 8, 10, -1, Allowances(start=8)) is None
    assert stop_reason(WHERE, never, 0, 4, -1, Allowances(start=6)) is None


def test_a_rerun_accepted_for_another_start_or_used_already_stops_the_partition_again() -> None:
    claim = Claim(7, fault="no_map")
    accepted = Allowances(reruns=(Rerun(range(7, 20), 1_000),))
    assert stop_reason(WHERE, claim, 0, 20, 9, accepted, 999) is None
    assert stop_reason(WHERE, claim, 0, 20, 9, accepted, 1_000) is not None
    assert stop_reason(WHERE, claim, 0, 20, 20, accepted, 999) is not None
    for other in (0, 6, 8):
        assert stop_reason(WHERE, Claim(other, fault="no_map"), 0, 20, 9, accepted, 999) is not None


def test_what_is_written_behind_an_accepted_truncation_is_no_gap() -> None:
    accepted = Allowances(gaps=(range(10, 10),))
    assert stop_reason(WHERE, Claim(12), 0, 10, 4, accepted) is None
    assert stop_reason(WHERE, Claim(12), 0, 11, 4, accepted) is not None
    assert Account("requests", 0, Claim(12), accepted).request(10, 1) is Verdict.MISSING


def test_an_accepted_gap_is_void_when_the_log_start_has_moved_since() -> None:
    assert stop_reason(WHERE, Claim(5), 8, 10, 4, Allowances(gaps=(range(5, 7),))) is not None
