"""A seed is a plan, and the plan holds as many kills as were asked for."""

from stream.kafka.failpoints import FAILPOINTS
from stream.simulator.faults import OPTIONS
from stream.simulator.script import Script
from tests.chaos.plan import KILLS_A_ROUND, PLACES, rounds
from tests.chaos.stage import Outcome
from tests.chaos.table import lines
from tests.support.ledger_check import Report


def test_the_same_seed_gives_the_same_plan() -> None:
    assert rounds(7, 50) == rounds(7, 50)


def test_another_seed_gives_another_plan() -> None:
    assert rounds(7, 50) != rounds(8, 50)


def test_there_are_as_many_fates_as_kills() -> None:
    assert [len(each.fates) for each in rounds(1, 50)] == [KILLS_A_ROUND, KILLS_A_ROUND, 10]


def test_the_first_rounds_come_to_every_failpoint() -> None:
    planned = {fate.failpoint for each in rounds(1, 200) for fate in each.fates}
    assert planned == {*FAILPOINTS, None}


def test_the_first_workers_of_a_round_may_die_before_their_group_has_a_start() -> None:
    assert [fate.failpoint for fate in rounds(1, 20)[0].fates][: len(PLACES)] == ["start_commit", "assign", "received"]


def test_the_simulator_takes_the_faults_of_every_round() -> None:
    for each in rounds(1, 200):
        assert Script.parse({"fault": list(each.faults)}, OPTIONS).faults


def test_the_table_shows_each_round_and_their_sum() -> None:
    outcomes = [Outcome(each, seconds=30, ledger=Report(10, 8, 2)) for each in rounds(3, 40)]
    outcomes[0].deaths["committed"] = 4
    head, _, first, second, total = lines(outcomes)
    assert (first[:6], second[:6], total[:9]) == ("| 3.1 ", "| 3.2 ", "| **all**")
    assert {row.count("|") for row in (head, first, second, total)} == {head.count("|")}
    assert "| committed 4 |" in first
    assert "| 20 | 16 | 4 |" in total
