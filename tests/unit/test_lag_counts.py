"""How many records a backlog can hold at most, and what `lag` shows."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stream.cli.lag import as_object, remarks, row, table, verdict
from stream.cli.moments import duration
from stream.cli.partitions import tables
from stream.kafka.accounting.claims import Claim
from stream.kafka.accounting.lag import Lag, PartitionLag, at_most, backlog

CAUGHT_UP = PartitionLag("requests", 0, 10, 0, 10, 0, True, 0, None, None)


def test_a_backlog_begins_at_the_commit_or_where_a_worker_would_start() -> None:
    assert backlog(Claim(4), 0, 10, None) == range(4, 10)
    assert backlog(Claim(4), 6, 10, None) == range(6, 10)
    assert backlog(Claim(None, fault="no_commit"), 3, 10, None) == range(3, 10)
    assert backlog(Claim(None, fault="no_commit"), 3, 10, 8) == range(8, 10)
    assert len(backlog(Claim(12), 0, 10, None)) == 0


@given(st.integers(0, 50), st.integers(0, 2**40 - 1), st.integers(0, 100), st.integers(0, 100))
def test_what_the_map_marks_is_taken_off(base: int, marks: int, first: int, end: int) -> None:
    claim = Claim(base, marks)
    offsets = range(max(first, base), max(end, first, base))
    assert at_most(claim, offsets) == sum(1 for offset in offsets if not claim.finished(offset))


def test_a_billion_offsets_are_counted_without_looking_at_each() -> None:
    assert at_most(Claim(0, 0b1011), range(10**9)) == 10**9 - 3


def test_an_upper_bound_is_shown_as_one() -> None:
    long = PartitionLag("requests", 1, 0, 0, 9_000_000, 8_999_000, False, 0, 0, None)
    assert row(long, 7_500_000)[4:6] == ["≤ 8,999,000", "2 h 5 min"]
    assert row(CAUGHT_UP, 0)[4:] == [0, None, ""]
    found = as_object(Lag((CAUGHT_UP, long), 7_500_000), "llm-stream")
    assert (found["records"], found["exact"]) == (8_999_000, False)
    assert [each["oldest_age_s"] for each in found["partitions"]] == [None, 7_500.0]


def test_stops_and_open_transactions_are_explained() -> None:
    held = PartitionLag("requests", 0, 5, 7, 10, 3, True, 4, 0, "offsets 5 to 6 were deleted")
    assert row(held, 0)[6] == "STOPPED"
    stopped, hidden = remarks(held)
    assert stopped == "stopped: offsets 5 to 6 were deleted"
    assert hidden.startswith("4 more offsets behind an open transaction")
    assert remarks(CAUGHT_UP) == []


def test_durations_are_short() -> None:
    assert [duration(each) for each in (-1, 42, 59.7, 3_599, 90_000)] == ["0 s", "42 s", "1 min", "59 min", "1 d 1 h"]


EMPTY = PartitionLag("requests", 2, None, 0, 0, 0, True, 0, None, None)
BEHIND = PartitionLag("requests", 1, 5, 0, 10, 5, True, 0, 60_000, None)


def test_the_verdict_says_how_much_is_behind_and_for_how_long() -> None:
    assert verdict(Lag((CAUGHT_UP, EMPTY), 0)) == (
        "passed",
        "Nothing is behind: all requests in 2 partitions are finished.",
    )
    assert verdict(Lag((CAUGHT_UP, BEHIND), 180_000)) == (
        "noted",
        "5 records behind, in 1 of 2 partitions; the oldest has waited for 2 min.",
    )


def test_where_no_request_is_none_is_called_finished() -> None:
    assert verdict(Lag((EMPTY, EMPTY), 0)) == ("noted", "Nothing is behind: no request is there, in 2 partitions.")


def test_an_upper_bound_is_one_in_the_verdict_too() -> None:
    long = replace(BEHIND, records=9_000, exact=False, oldest_ms=None)
    assert verdict(Lag((long,), 0))[1] == "At most 9,000 records behind, in 1 of 1 partition."


def test_a_stopped_partition_is_the_verdict() -> None:
    assert verdict(Lag((CAUGHT_UP, replace(BEHIND, stopped="why")), 0)) == (
        "failed",
        "Stopped: 1 of 2 partitions. 5 records behind in all.",
    )


def test_at_80_columns_empty_partitions_are_counted_not_listed() -> None:
    lines = [line for line, _ in tables(*table(Lag((CAUGHT_UP, BEHIND, EMPTY), 180_000)), 80)]
    assert lines == [
        "requests",
        "  partition  committed  log end  records behind  oldest",
        "          0         10       10               0",
        "          1          5       10               5  2 min",
        "  and 1 empty partition",
    ]
