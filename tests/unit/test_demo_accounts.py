"""The demo's accounts: they balance only if three witnesses agree, and say what is off if they don't."""

from dataclasses import replace

import pytest

from stream.codecs.strict_json import dumps
from stream.core.records import Record
from stream.demo.accounts import OutcomeSeen, Place, accounts, outcome_seen
from stream.demo.accounts_page import page
from stream.demo.performance import Ending
from stream.demo.run import exit_code
from stream.kafka.accounting.accounts import PartitionReport, Verdict
from stream.kafka.accounting.reconcile import Report
from stream.simulator.ledger import Call

SENT = [Place("requests", 0, offset) for offset in range(3)]
OUTCOMES = [
    OutcomeSeen(SENT[0], "a", None, calls=1, attempts=1, micro_usd=100),
    OutcomeSeen(SENT[1], "b", None, calls=2, attempts=1, micro_usd=None),
    OutcomeSeen(SENT[2], "c", ("validate", "schema"), calls=1, attempts=1, micro_usd=50),
]
LEDGER = [
    Call(1, 0.0, request_id="a", status=200),
    Call(2, 0.1, request_id="b", status=429, fault="rate_limit"),
    Call(3, 0.2, request_id="c", status=200, fault="schema_violation"),
    Call(4, 0.3, request_id="b", status=200),
]


def reconciled(verdict: Verdict | None = None, hidden: tuple[str, ...] = ()) -> Report:
    verdicts = dict.fromkeys(Verdict, 0) | {Verdict.SETTLED: 3}
    if verdict is not None:
        verdicts[verdict] = 1
    return Report((PartitionReport("requests", 0, verdicts, {}, 2, 1),), ("results",), hidden)


def judged(sent=SENT, outcomes=OUTCOMES, ledger=LEDGER, report=None) -> int:
    return exit_code(Ending("g", accounts(sent, outcomes, ledger), report or reconciled()))


def test_accounts_that_balance_add_up_and_exit_0() -> None:
    found = accounts(SENT, OUTCOMES, LEDGER)
    assert found.problems() == []
    assert (found.sent, found.results, found.dead_letters) == (3, 2, 1)
    assert (found.calls, found.provider_calls, found.attempts, found.wasted_calls) == (4, 4, 3, 1)
    assert (found.micro_usd, found.dead_micro_usd, found.unpriced) == (150, 50, 1)
    assert found.reasons == {("validate", "schema"): 1}
    assert judged() == 0


@pytest.mark.parametrize(
    ("outcomes", "ledger", "sentence"),
    [
        (OUTCOMES[1:], LEDGER[1:], "1 request without an outcome: requests:0:0."),
        ([*OUTCOMES, replace(OUTCOMES[0], calls=0)], LEDGER, "1 request with more than one outcome: requests:0:0."),
        (
            [*OUTCOMES, replace(OUTCOMES[0], source=Place("requests", 1, 7), calls=0)],
            LEDGER,
            "1 outcome of no request that was sent.",
        ),
        ([*OUTCOMES, replace(OUTCOMES[0], source=None, calls=0)], LEDGER, "1 outcome of no request"),
        (OUTCOMES, LEDGER[1:], "The records tell of 4 calls, but the provider saw 3."),
        (
            OUTCOMES,
            [*LEDGER[:2], Call(3, 0.2, request_id="c", status=529, fault="overload"), LEDGER[3]],
            "1 request given up because of the storm: c.",
        ),
    ],
)
def test_whatever_is_off_is_said_and_exits_1(outcomes, ledger, sentence) -> None:
    assert any(problem.startswith(sentence) for problem in accounts(SENT, outcomes, ledger).problems())
    assert judged(outcomes=outcomes, ledger=ledger) == 1


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.DOUBLED, Verdict.ORPHANED, Verdict.UNPROVABLE])
def test_what_reconcile_cannot_vouch_for_exits_1(verdict) -> None:
    assert judged(report=reconciled(verdict)) == 1


def test_an_end_that_is_hidden_from_reconcile_exits_1() -> None:
    assert judged(report=reconciled(hidden=("results:0",))) == 1


def test_the_page_says_what_is_off_and_never_that_it_balances() -> None:
    text = "\n".join(line.plain for line in page(accounts(SENT, OUTCOMES[1:], LEDGER), [("passed", "Fine.")], 80))
    assert "✗ 1 request without an outcome: requests:0:0." in text
    assert "balance" not in text


def test_the_page_does_not_overrule_reconcile() -> None:
    text = "\n".join(line.plain for line in page(accounts(SENT, OUTCOMES, LEDGER), [("failed", "No.")], 80))
    assert "✗ No." in text
    assert "balance" not in text


def test_at_80_columns_what_does_not_fit_hangs_under_its_column() -> None:
    busy = replace(accounts(SENT, OUTCOMES, LEDGER), answers=dict.fromkeys(range(500, 512), 1_000), calls=12_000)
    lines = [line.plain for line in page(busy, [("passed", "word " * 30)], 80)]
    assert max(map(len, lines)) <= 80
    at = next(number for number, line in enumerate(lines) if line.startswith("  calls"))
    column = lines[at].index("and 12,000 by")
    assert lines[at + 1][:column].isspace()
    assert lines[at + 1][column] != " "
    proof = next(number for number, line in enumerate(lines) if line.startswith("  ✓ word"))
    assert lines[proof + 1].startswith("    word")


def record(value: bytes | None, headers: dict[str, str]) -> Record:
    source = {"llm.source.topic": "requests", "llm.source.partition": "2", "llm.source.offset": "5"}
    return Record("t", 0, 0, None, value, tuple((n, v.encode()) for n, v in (source | headers).items()), 0)


def test_a_result_is_read_from_its_headers_and_its_value() -> None:
    value = dumps({"request_id": "a", "calls": 3, "attempts": 2, "cost_micro_usd": None})
    assert outcome_seen(record(value, {}), dead=False) == OutcomeSeen(Place("requests", 2, 5), "a", None, 3, 2, None)


def test_a_dead_letter_is_read_from_its_headers() -> None:
    headers = {"llm.error.stage": "call", "llm.error.code": "refused", "llm.request_id": "a"}
    headers |= {"llm.calls": "3", "llm.attempts": "2", "llm.cost.micro_usd": "77"}
    seen = outcome_seen(record(b"\xff", headers), dead=True)
    assert seen == OutcomeSeen(Place("requests", 2, 5), "a", ("call", "refused"), 3, 2, 77)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", b'{"calls": "many", "request_id": 1}'])
def test_a_result_that_makes_no_sense_is_an_outcome_all_the_same(value) -> None:
    assert outcome_seen(record(value, {}), dead=False) == OutcomeSeen(Place("requests", 2, 5), None, None, 0, 0, None)
