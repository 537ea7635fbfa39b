"""What `reconcile` says of its findings: the contract's JSON, and sentences an operator can act on."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from stream.cli.accounts_in_words import as_json, columns, sentences, table
from stream.cli.partitions import tables
from stream.kafka.accounting.accounts import PartitionReport, Verdict
from stream.kafka.accounting.outcomes import Spending
from stream.kafka.accounting.reconcile import Report
from stream.kafka.accounting.repeated_ids import RepeatedIds

NOW_MS = 10_000_000_000


def partition(verdicts: Mapping[str, int], *, results: int = 0, dead: int = 0, **more: object) -> PartitionReport:
    full = {verdict: verdicts.get(verdict.value, 0) for verdict in Verdict}
    offsets = {verdict: tuple(range(count)) for verdict, count in full.items() if verdict is not Verdict.SETTLED}
    return PartitionReport("llm.requests", 0, full, offsets, results, dead, **({"committed": 9} | more))  # type: ignore[arg-type]


def told(*partitions: PartitionReport, **more: object) -> list[tuple[str, str]]:
    report = Report(partitions, ("llm.results",), **more)  # type: ignore[arg-type]
    return [tuple(line) for line in sentences(report, "llm-stream", NOW_MS)][:-1]  # type: ignore[misc]


def test_a_balance_is_an_equation() -> None:
    first = partition({"settled": 1_000}, results=990, dead=10)
    second = partition({"settled": 24}, results=13, dead=11)
    assert told(first, second) == [
        ("passed", "Balanced: 1,024 requests = 1,003 results + 21 dead letters; nothing lost, nothing doubled.")
    ]


def test_what_is_pending_or_accepted_is_a_term_of_the_equation() -> None:
    ((mark, text), *_) = told(partition({"settled": 1, "pending": 2, "gap": 3, "rerun": 1}, results=1))
    assert mark == "passed"
    assert "7 requests = 1 result + 0 dead letters + 2 pending + 3 lost and accepted + 1 run again as accepted;" in text
    assert text.endswith("; nothing more lost, nothing doubled.")


def test_missing_names_offsets_and_the_next_command() -> None:
    each = partition({"settled": 3, "missing": 7}, results=3)
    lines = told(each, names={("llm.requests", 0, 0): "inv 0'; rm"})
    assert lines[0] == ("failed", "Not balanced: 10 requests = 3 results + 0 dead letters + 7 missing.")
    assert lines[1][1].startswith("missing in llm.requests:0: offsets 0, 1, 2, 3, 4 and 2 more: committed as finished")
    assert lines[2][1].startswith("Next: llm-stream find 'inv 0'\"'\"'; rm'")


def test_orphans_are_no_requests() -> None:
    lines = told(partition({"settled": 3, "orphaned": 1}, results=3))
    assert lines[0] == ("failed", "Not balanced: 3 requests = 3 results + 0 dead letters.")
    assert "orphaned in llm.requests:0: offset 0: an outcome is there, but no such request" in lines[1][1]


def test_a_stopped_partition_says_why() -> None:
    lines = told(partition({"settled": 3}, results=3, stopped="the done-map is damaged"))
    assert lines[0][0] == "failed"
    assert lines[1] == ("failed", "llm.requests:0 is stopped: the done-map is damaged.")


@pytest.mark.parametrize("more", [{"hidden": ("llm.results:3",)}, {}])
def test_unprovable_is_said_and_never_called_balanced(more: dict[str, object]) -> None:
    lines = told(partition({"settled": 3, "unprovable": 1}, results=3), **more)
    assert lines[0][0] == "noted"
    assert "not everything could be proven" in lines[0][1]
    assert any("no proof that all is well" in text for _, text in lines)
    assert any("llm.results:3" in text for _, text in lines) is bool(more)


def test_doubles_under_at_least_once_are_named_as_allowed() -> None:
    lines = told(partition({"settled": 3, "doubled_allowed": 2}, results=3))
    assert lines == [
        (
            "passed",
            "Balanced: 5 requests = 3 results + 0 dead letters + 2 doubled (allowed at least once); nothing lost.",
        )
    ]


def test_old_pending_requests_point_to_the_workers() -> None:
    young = partition({"pending": 1}, oldest_pending_ms=NOW_MS - 60_000)
    old = partition({"pending": 1}, oldest_pending_ms=NOW_MS - 7_500_000)
    assert len(told(young)) == 1
    assert "has waited for 2 h 5 min" in told(young, old)[1][1]


def test_a_group_that_never_committed_is_named() -> None:
    lines = told(partition({"pending": 1}, committed=None))
    assert any("The group llm-stream has committed nothing" in text for _, text in lines)


def test_a_group_of_which_nothing_is_known_is_named_first_and_nothing_is_called_balanced() -> None:
    ((mark, text),) = told(partition({"pending": 359}, committed=None))
    assert mark == "noted"
    assert text.startswith("The group llm-stream has committed nothing: no worker has run under this name")
    assert text.endswith("There is nothing to check: 359 requests = 0 results + 0 dead letters + 359 pending.")


def test_a_group_of_which_nothing_is_known_is_no_balance_and_others_are_named() -> None:
    waiting = partition({"pending": 653}, committed=None)
    ((_, text),) = told(waiting, other_groups={"elsewhere": 2, "llm-stream-2": 645})
    assert "The topics hold 645 outcomes of the group llm-stream-2: is [kafka] group_id right?" in text
    report = Report((waiting,), ("llm.results",), other_groups={"llm-stream-2": 645})
    assert (report.failed, report.proven, report.balanced, as_json(report)["balanced"]) == (False, False, False, False)
    assert Report((waiting,), ("llm.results",)).balanced  # nobody has worked here yet


def test_an_outcome_is_a_trace_of_a_group_without_commits() -> None:
    lines = told(partition({"pending": 2, "settled": 1}, results=1, committed=None))
    assert lines[0][0] == "passed"
    assert lines[1][1].startswith("The group llm-stream has committed nothing")


def test_repeated_ids_stand_in_their_natural_order() -> None:
    ids = RepeatedIds()
    for name in ("ticket-10", "ticket-5", "9" * 5_000, "b", "ticket-3") * 2:
        ids.add(name.encode())
    (_, text) = told(partition({"settled": 1}, results=1), repeated_ids=ids)[-1]
    assert text.endswith(f": {'9' * 5_000}, b, ticket-3, ticket-5, ticket-10.")


def test_nothing_to_check_is_not_called_balanced() -> None:
    assert told(partition({})) == [("noted", "There is nothing to check: no request is there.")]


def test_everything_beside_the_balance_is_said() -> None:
    ids = RepeatedIds()
    for name in (b"a", b"b", b"a"):
        ids.add(name)
    spending = Spending(2_500_000, 400_000, 2)
    lines = told(
        partition({"settled": 1}, results=1, aged=4),
        spending=spending,
        corrections=1,
        foreign=2,
        nameless=1,
        other_topics=3,
        repeated_ids=ids,
    )
    texts = " ".join(text for _, text in lines)
    assert "Spent: $2.500000, of which wasted on dead letters and doubles: $0.400000" in texts
    assert "; without the unknown cost of 2 outcomes." in texts
    assert (
        "1 request with an outcome had the id of an earlier one, replays included; each is a request of its own: a."
        in texts
    )
    assert "1 correction made by people" in texts
    assert "2 records on results or dead letters that no worker wrote" in texts
    assert "3 outcomes of this group for topics that are not in" in texts
    assert "4 outcomes of requests that retention has deleted" in texts
    assert "1 outcome of this group that no request can be told of" in texts
    assert lines[0][0] == "failed"


def test_the_json_keeps_the_contract() -> None:
    report = Report((partition({"settled": 3, "missing": 2}, results=3),), ("llm.results",))
    value = json.loads(json.dumps(as_json(report)))
    assert list(value)[:2] == ["balanced", "partitions"]
    assert value["balanced"] is False
    (each,) = value["partitions"]
    assert (each["topic"], each["partition"]) == ("llm.requests", 0)
    names = ["settled", "pending", "missing", "doubled", "orphaned", "gap", "rerun", "unprovable"]
    assert list(each["verdicts"])[:8] == names
    assert each["offsets"]["missing"] == [0, 1]
    assert set(names[1:]) <= set(each["offsets"])


def test_the_table_has_columns_only_for_what_there_is() -> None:
    usual, _ = columns(Report((partition({"settled": 1}),), ()))
    assert "gap" not in usual
    headings, rows = columns(Report((partition({"settled": 1, "gap": 2}, stopped="why"),), ()))
    assert rows[0][headings.index("gap")] == 2
    assert rows[0][headings.index("state")] == "STOPPED"
    assert all(len(row) == len(headings) for row in rows)


def numbered(number: int, topic: str = "llm.requests", **verdicts: int) -> PartitionReport:
    return replace(partition(verdicts, results=verdicts.get("settled", 0)), partition=number, topic=topic)


def page(*partitions: PartitionReport) -> list[str]:
    return [line for line, _ in tables(*table(Report(partitions, ())), 80)]


def test_at_80_columns_empty_partitions_are_counted_not_listed() -> None:
    full = [numbered(0, settled=12), numbered(7, settled=3, missing=1)]
    lines = page(*full, *(numbered(number) for number in range(1, 7)))
    assert lines == [
        "llm.requests",
        "  partition  requests  results  dead letters  missing  doubled",
        "          0        12       12             0        0        0",
        "          7         4        3             0        1        0",
        "  and 6 empty partitions",
    ]


def test_each_topic_has_its_table() -> None:
    lines = page(numbered(0, settled=1), numbered(0, "llm.urgent"), numbered(1, "llm.urgent"))
    assert lines[0] == "llm.requests"
    assert lines[-2:] == ["llm.urgent", "  2 partitions, all of them empty"]


def test_a_stopped_partition_is_never_empty() -> None:
    assert page(replace(numbered(0), stopped="why"))[-1].endswith("STOPPED")


def test_the_widest_table_with_everything_usual_fits_80_columns() -> None:
    lines = page(numbered(0, settled=900_000, pending=1, missing=1, doubled=1, orphaned=1))
    assert max(map(len, lines)) <= 80
