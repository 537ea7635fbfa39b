"""What `try` shows: every check and what it said, bounded text, nothing that reaches the terminal."""

from typing import Any

import pytest

from stream.core.errors import Violation
from stream.core.outcomes import Completed, DeadLettered, Failure, Outcome
from stream.core.records import Completion, Cost, Prompt, Request, Stop, Usage
from stream.demo.page import Page, dollars
from stream.demo.verdicts import verdicts

VERSION: Any = None  # of the prompt version only its check list matters here, and that is given by hand
ON = ["stop reason", "json", "contract", "empty", "placeholder"]


def reply(text: str = "{}", stop: Stop = Stop.COMPLETE) -> Completion:
    return Completion(text, stop, "end_turn", "m", Usage(1, 1), 5)


def dead(code: str, *violations: Violation, stage: Any = "validate", completion: Completion | None = None) -> Outcome:
    return DeadLettered(Failure(stage, code, "why", violations), completion=completion or reply())


def says(outcome: Outcome | None, checks: dict[str, Any] | None = None) -> dict[str, bool | None]:
    return {each.check: each.passed for each in verdicts(outcome, checks or {})}


def found(check: str, path: str = "$.a") -> Violation:
    return Violation(path, check, "N/A", "It is wrong.")


def test_a_result_passed_every_check() -> None:
    outcome = Completed(Request("1", "t", {}), VERSION, Prompt("", ""), {}, reply(), Cost())
    assert says(outcome) == dict.fromkeys(ON, True)


def test_a_check_that_is_switched_off_is_not_claimed_to_have_passed() -> None:
    outcome = Completed(Request("1", "t", {}), VERSION, Prompt("", ""), {}, reply(), Cost())
    assert "placeholder" not in says(outcome, {"placeholder": False})


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (dead("truncated", stage="call", completion=reply(stop=Stop.TRUNCATED)), "stop reason"),
        (dead("refused", stage="call", completion=reply("", Stop.REFUSED)), "stop reason"),
        (dead("unknown_stop_reason", completion=reply(stop=Stop.UNKNOWN)), "stop reason"),
        (dead("not_json", found("not_json", "$"), completion=reply("no")), "json"),
        (dead("empty", found("empty", "$"), completion=reply(" ")), "json"),
        (dead("schema", found("schema")), "contract"),
    ],
)
def test_what_comes_after_a_check_that_failed_was_not_reached(outcome: Outcome, failed: str) -> None:
    place = ON.index(failed)
    assert list(says(outcome).values()) == [True] * place + [False] + [None] * (len(ON) - place - 1)


def test_the_tasks_own_checks_all_run_and_each_has_its_own_violations() -> None:
    outcome = dead("placeholder", found("placeholder", "$.a"), found("placeholder", "$.b"))
    by_name = {each.check: each for each in verdicts(outcome, {})}
    assert by_name["empty"].passed is True
    assert [each.path for each in by_name["placeholder"].violations] == ["$.a", "$.b"]


def test_a_defect_of_ours_says_nothing_about_the_reply() -> None:
    assert list(says(dead("internal_error")).values()) == [True, None, None, None, None]


def test_without_a_reply_nothing_was_checked() -> None:
    assert verdicts(None, {}) == []
    assert verdicts(DeadLettered(Failure("render", "too_long", "...")), {}) == []


def lines(page: Page) -> list[str]:
    return [line.plain for line in page.lines]


def test_long_text_is_cut_and_counted_unless_everything_is_wanted() -> None:
    short, full = Page(60), Page(60, full=True)
    for page in (short, full):
        page.block("\n".join(f"line {number}" for number in range(30)), most=3)
    assert lines(short) == ["  line 0", "  line 1", "  line 2", "  … 27 more lines (--full shows them)"]
    assert len(lines(full)) == 30


def test_lines_fit_the_terminal_and_are_left_alone_in_a_pipe() -> None:
    words = "word " * 50 + "x" * 100
    narrow, piped = Page(50), Page(None)
    for page in (narrow, piped):
        page.line(words)
        page.block(words, most=99)
        page.pairs([("name", "v" * 200)])
        page.title("Title", "facts " * 20)
    assert all(line.cell_len <= 50 for line in narrow.lines)
    assert lines(piped)[0] == "  " + words


def test_control_characters_are_shown_not_obeyed_and_nothing_is_markup() -> None:
    page = Page(80)
    page.title("\x1b[2JTitle", "\nfacts")
    page.line("a\nb\x07", ("[red]c[/red]", "bold"))
    page.block("one\x1b[0m\n\ttwo\u202e", most=9)
    page.pairs([("n\x00", "v\r\n")])
    text = "\n".join(lines(page))
    assert "\\x1b[2JTitle" in text
    assert "a\\nb\\x07[red]c[/red]" in text
    assert "two\\u202e" in text
    assert "n\\x00  v\\r\\n" in text


def test_an_unknown_price_is_not_nothing() -> None:
    assert (dollars(None), dollars(0), dollars(1_234)) == ("unknown", "$0.000000", "$0.001234")


PROMPT = """\
You read invoices for an accounts-payable system and report what is printed on them. Nobody checks your report before it
is booked, so copy, never guess.

- Copy names and numbers as printed. Dates become YYYY-MM-DD; where day and month could be swapped, go by the document's
  language and country.
- Amounts are plain numbers.
Short lines
stay short."""


def block(text: str, width: int | None) -> list[str]:
    paper = Page(width)
    paper.block(text, 40)
    return [line.plain for line in paper.lines]


def test_a_prompt_keeps_its_authors_line_breaks_and_lines_that_do_not_fit_are_wrapped_one_by_one() -> None:
    assert block(PROMPT, 80) == [
        "  You read invoices for an accounts-payable system and report what is printed on",
        "  them. Nobody checks your report before it",
        "  is booked, so copy, never guess.",
        "  ",
        "  - Copy names and numbers as printed. Dates become YYYY-MM-DD; where day and",
        "    month could be swapped, go by the document's",
        "    language and country.",
        "  - Amounts are plain numbers.",
        "  Short lines",
        "  stay short.",
    ]


def test_without_a_terminal_a_prompt_stays_as_it_is_written() -> None:
    assert block(PROMPT, None) == [f"  {line}" for line in PROMPT.split("\n")]


def test_text_that_is_data_keeps_its_lines() -> None:
    assert len(block("x" * 75 + "\nnext", 80)) == 2


def test_a_long_value_hangs_behind_its_name() -> None:
    paper = Page(40)
    paper.json({"subject": "a subject that is longer than the line"}, 10)
    assert [line.plain for line in paper.lines] == [
        "  {",
        '    "subject": "a subject that is longer',
        '      than the line"',
        "  }",
    ]


def test_text_that_begins_far_to_the_right_still_fits() -> None:
    assert max(map(len, block(" " * 200 + "word " * 20, 40))) <= 40
