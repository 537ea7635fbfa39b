"""The judge of one partition: each verdict where it belongs, and only there."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.accounting.accounts import Account, Allowances, LogRange, PartitionReport, Proof, Rerun, Verdict
from stream.kafka.accounting.claims import Claim, Fault

Outcomes = Iterable[tuple[int, bool]]
NOW_MS = 1_000_000


def judged(
    claim: Claim,
    requests: Iterable[int] = range(10),
    outcomes: Outcomes = (),
    *,
    proof: Proof | None = None,
    allowed: Allowances | None = None,
    log: LogRange | None = None,
    timestamp_ms: int = NOW_MS,
) -> PartitionReport:
    """An account of a partition with ten offsets, closed."""
    account = Account("requests", 0, claim, allowed or Allowances())
    for offset, dead in outcomes:
        account.outcome(offset, dead=dead)
    account.prove(proof or Proof())
    for offset in requests:
        account.request(offset, timestamp_ms)
    return account.close(log or LogRange(0, 10, range(10)))


def counts(report: PartitionReport) -> dict[str, int]:
    """The verdicts that were given at all."""
    return {verdict.value: count for verdict, count in report.verdicts.items() if count}


def results(offsets: Iterable[int]) -> list[tuple[int, bool]]:
    return [(offset, False) for offset in offsets]


def test_a_request_with_one_outcome_is_settled_as_result_or_dead_letter() -> None:
    report = judged(Claim(10), outcomes=[(offset, offset < 3) for offset in range(10)])
    assert counts(report) == {"settled": 10}
    assert (report.results, report.dead_letters) == (7, 3)
    assert not report.failed


def test_a_request_below_the_commit_without_an_outcome_is_missing() -> None:
    report = judged(Claim(10), outcomes=results({*range(10)} - {4}))
    assert counts(report) == {"settled": 9, "missing": 1}
    assert report.offsets[Verdict.MISSING] == (4,)
    assert report.failed


def test_a_request_the_map_marks_without_an_outcome_is_missing() -> None:
    report = judged(Claim(5, 0b110), outcomes=results(range(5)))
    assert report.offsets[Verdict.MISSING] == (6, 7)
    assert report.offsets[Verdict.PENDING] == (5, 8, 9)


def test_a_request_past_the_commit_without_an_outcome_is_pending_and_no_failure() -> None:
    report = judged(Claim(6), outcomes=results(range(6)))
    assert counts(report) == {"settled": 6, "pending": 4}
    assert report.oldest_pending_ms == NOW_MS
    assert not report.failed


def test_an_outcome_that_came_after_the_commit_was_read_settles_its_request() -> None:
    assert counts(judged(Claim(6), outcomes=results(range(9)))) == {"settled": 9, "pending": 1}


@pytest.mark.parametrize("kinds", [(False, False), (True, True), (False, True)])
def test_two_outcomes_of_one_request_are_a_double_whatever_they_are(kinds: tuple[bool, bool]) -> None:
    report = judged(Claim(10), outcomes=[*results(range(9)), *((9, dead) for dead in kinds)])
    assert counts(report) == {"settled": 9, "doubled": 1}
    assert report.offsets[Verdict.DOUBLED] == (9,)
    assert report.failed


def test_a_request_with_three_outcomes_is_one_double() -> None:
    assert counts(judged(Claim(1), [0], results([0, 0, 0]))) == {"doubled": 1}


def test_doubles_under_at_least_once_are_counted_apart_and_are_no_failure() -> None:
    report = judged(Claim(10), outcomes=results([*range(10), 3]), allowed=Allowances(doubles=True))
    assert counts(report) == {"settled": 9, "doubled_allowed": 1}
    assert not report.failed


def test_missing_fails_under_at_least_once_too() -> None:
    assert judged(Claim(10), outcomes=results(range(9)), allowed=Allowances(doubles=True)).failed


def test_an_outcome_where_no_request_is_is_orphaned() -> None:
    report = judged(Claim(10), requests={*range(10)} - {7}, outcomes=results(range(10)))
    assert report.offsets[Verdict.ORPHANED] == (7,)
    assert counts(report) == {"settled": 9, "orphaned": 1}
    assert report.failed


def test_an_outcome_of_another_topic_id_or_past_the_end_is_orphaned() -> None:
    account = Account("requests", 0, Claim(0))
    account.stranger(4_000)
    assert account.close(LogRange(0, 0, range(0))).offsets[Verdict.ORPHANED] == (4_000,)


def test_an_outcome_whose_request_was_deleted_by_retention_is_no_orphan() -> None:
    report = judged(Claim(10), range(4, 10), results(range(10)), log=LogRange(4, 10, range(10)))
    assert counts(report) == {"settled": 6}
    assert report.aged == 4


def test_a_double_of_a_request_deleted_since_is_still_a_double() -> None:
    report = judged(Claim(10), range(4, 10), results([*range(10), 2]), log=LogRange(4, 10, range(10)))
    assert report.offsets[Verdict.DOUBLED] == (2,)


def test_orphans_of_a_compacted_topic_cannot_be_told() -> None:
    report = judged(Claim(10), range(1, 10), results(range(10)), log=LogRange(0, 10, range(10), compacted=True))
    assert counts(report) == {"settled": 9, "unprovable": 1}


def test_what_a_person_accepted_as_lost_is_a_gap_and_not_missing() -> None:
    report = judged(Claim(10), outcomes=results(range(4, 10)), allowed=Allowances(gaps=(range(4),)))
    assert counts(report) == {"settled": 6, "gap": 4}
    assert not report.failed


def test_an_accepted_gap_still_counts_when_its_records_are_gone() -> None:
    allowed = Allowances(gaps=(range(2, 6),))
    report = judged(
        Claim(10), range(6, 10), results([*range(3), *range(6, 10)]), allowed=allowed, log=LogRange(6, 10, range(10))
    )
    assert counts(report) == {"settled": 4, "gap": 3}


def test_a_double_that_a_person_accepted_is_a_rerun() -> None:
    allowed = Allowances(reruns=(Rerun(range(5, 8), 1_000),))
    report = judged(Claim(10), outcomes=results([*range(10), 5, 8]), allowed=allowed)
    assert report.offsets[Verdict.RERUN] == (5,)
    assert report.offsets[Verdict.DOUBLED] == (8,)


def test_each_accepted_rerun_allows_one_more_outcome() -> None:
    once, twice = Rerun(range(10), 1_000), Rerun(range(10), 2_000)
    outcomes = results([*range(10), 5, 6, 6])
    report = judged(Claim(10), outcomes=outcomes, allowed=Allowances(reruns=(once,)))
    assert (report.offsets[Verdict.RERUN], report.offsets[Verdict.DOUBLED]) == ((5,), (6,))
    report = judged(Claim(10), outcomes=outcomes, allowed=Allowances(reruns=(once, twice)))
    assert (report.offsets[Verdict.RERUN], report.offsets[Verdict.DOUBLED]) == ((5, 6), ())


def test_missing_is_unprovable_where_its_outcome_may_have_been_deleted() -> None:
    account = Account("requests", 0, Claim(10))
    account.prove(Proof(since_ms=NOW_MS))
    given = [account.request(offset, NOW_MS + offset - 5) for offset in range(10)]
    assert given == [Verdict.UNPROVABLE] * 5 + [Verdict.MISSING] * 5


def test_a_request_without_a_timestamp_is_unprovable_where_outcomes_were_deleted() -> None:
    assert counts(judged(Claim(1), [0], proof=Proof(since_ms=NOW_MS), timestamp_ms=-1)) == {"unprovable": 1}


def test_missing_is_unprovable_where_an_open_transaction_may_hide_its_outcome() -> None:
    report = judged(Claim(10), outcomes=results(range(9)), proof=Proof(complete=False))
    assert counts(report) == {"settled": 9, "unprovable": 1}


def test_nothing_without_an_outcome_can_be_proven_while_the_commit_cannot_be_read() -> None:
    report = judged(Claim(None, fault="unread"), outcomes=results(range(9)))
    assert counts(report) == {"settled": 9, "unprovable": 1}


def test_requests_that_could_not_be_read_are_unprovable_and_their_outcomes_no_orphans() -> None:
    report = judged(Claim(10), range(6), results(range(10)), log=LogRange(0, 6, range(10)))
    assert counts(report) == {"settled": 6, "unprovable": 4}


@pytest.mark.parametrize("fault", ["damaged", "newer", "other_topic", "mirrored", "no_commit"])
def test_a_commit_that_is_not_believed_claims_nothing(fault: Fault) -> None:
    assert counts(judged(Claim(10, fault=fault))) == {"pending": 10}


def test_requests_before_the_start_that_was_asked_for_are_nobodys_loss() -> None:
    allowed = Allowances(start=4)
    assert counts(judged(Claim(10), outcomes=results(range(4, 9)), allowed=allowed)) == {
        "before_start": 4,
        "settled": 5,
        "missing": 1,
    }
    assert counts(judged(Claim(None, fault="no_commit"), allowed=allowed)) == {"before_start": 4, "pending": 6}


def test_only_the_offsets_that_were_asked_for_are_judged() -> None:
    report = judged(Claim(10), range(3, 6), results([0, 0, 3, 4, 5, 9]), log=LogRange(0, 10, range(3, 6)))
    assert counts(report) == {"settled": 3}
    assert report.aged == 0


def test_the_highest_outcome_and_the_oldest_pending_request_are_remembered() -> None:
    account = Account("requests", 0, Claim(0))
    for offset in (3, 7, 5):
        account.outcome(offset, dead=False)
    assert account.highest_outcome == 7
    for offset, timestamp_ms in ((0, -1), (1, 500), (2, 900)):
        account.request(offset, timestamp_ms)
    assert account.close(LogRange(0, 8, range(8))).oldest_pending_ms == 500


def test_a_stopped_partition_fails_the_check() -> None:
    assert Account("requests", 0, Claim(0)).close(LogRange(0, 0, range(0)), stopped="why").failed


RECORDS = st.sets(st.integers(0, 39), max_size=40)


@given(st.data())
def test_a_worker_that_keeps_the_promise_is_never_accused_whenever_it_is_looked_at(data: st.DataObject) -> None:
    """A worker settles records in any order, each with its commit; the commit is read earlier than the outcomes are."""
    records = data.draw(RECORDS)
    order = data.draw(st.permutations(sorted(records)))
    finished = data.draw(st.integers(0, len(order)))
    seen_by_commit = data.draw(st.integers(0, finished))
    done = {*range(40)} - records | set(order[:seen_by_commit])
    base = next((offset for offset in range(41) if offset not in done), 40)
    marks = sum(1 << offset - base for offset in done if offset >= base)
    report = judged(Claim(base, marks), sorted(records), results(order[:finished]), log=LogRange(0, 40, range(40)))
    assert counts(report) == {
        name: count for name, count in (("settled", finished), ("pending", len(records) - finished)) if count
    }


@given(
    base=st.integers(0, 41),
    marks=st.integers(0, 2**40 - 1),
    records=RECORDS,
    outcomes=st.lists(st.tuples(st.integers(0, 39), st.booleans()), max_size=60),
    log_first=st.integers(0, 40),
    since=st.none() | st.integers(0, 40),
    gap=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    rerun=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_any_history_is_judged_as_the_definitions_say(
    base: int,
    marks: int,
    records: set[int],
    outcomes: list[tuple[int, bool]],
    log_first: int,
    since: int | None,
    gap: tuple[int, int],
    rerun: tuple[int, int],
) -> None:
    """An oracle over plain sets: offsets stand for timestamps too."""
    records = {offset for offset in records if offset >= log_first}
    account = Account("requests", 0, Claim(base, marks), Allowances((range(*gap),), (Rerun(range(*rerun), 1_000),)))
    for offset, dead in outcomes:
        account.outcome(offset, dead=dead)
    account.prove(Proof(since))
    for offset in sorted(records):
        account.request(offset, offset)
    report = account.close(LogRange(log_first, 40, range(40)))

    often = {offset: sum(1 for each, _ in outcomes if each == offset) for offset in range(40)}
    expected: dict[str, list[int]] = {verdict.value: [] for verdict in Verdict}
    for offset, number in often.items():
        claimed = offset < base or bool(marks >> offset - base & 1)
        if offset in records or (offset < log_first and number > 1):
            doubled = "rerun" if offset in range(*rerun) and number == 2 else "doubled"
            lost = "gap" if offset in range(*gap) else "missing" if since is None or offset >= since else "unprovable"
            by_number = {0: lost if claimed else "pending", 1: "settled"}
            expected[by_number.get(number, doubled)].append(offset)
        elif offset >= log_first and number:
            expected["orphaned"].append(offset)
        if offset < log_first and offset in range(*gap) and not number:
            expected["gap"].append(offset)
    assert report.verdicts == {Verdict(name): len(offsets) for name, offsets in expected.items()}
    for verdict in (Verdict.MISSING, Verdict.DOUBLED, Verdict.ORPHANED, Verdict.PENDING, Verdict.UNPROVABLE):
        assert list(report.offsets[verdict]) == expected[verdict.value]
