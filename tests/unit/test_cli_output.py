"""What commands print: data on stdout, words on stderr, nothing that could steer a terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.cli import output


def test_a_piped_table_is_plain_text_with_one_line_a_row(capsys):
    output.table(["partition", "state"], [(3, "fine"), (12_000, "a very long text " * 20), (None, True)])
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "partition  state"
    assert lines[1] == "        3  fine"
    assert lines[2].startswith("   12,000  a very long text")
    assert len(lines) == 5


def test_an_empty_table_is_its_headings(capsys):
    output.table(["a", "b"], [])
    assert capsys.readouterr().out == "a  b\n"


def test_json_is_one_line_on_stdout(capsys):
    output.emit_json({"a": [1, None, "ü"]})
    captured = capsys.readouterr()
    assert captured.out == '{"a":[1,null,"ü"]}\n'
    assert captured.err == ""


def test_words_go_to_stderr(capsys):
    output.say("[bold]not markup[/bold]")
    output.passed("right")
    output.failed("wrong")
    output.noted("odd")
    output.error("first\nsecond")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "[bold]not markup[/bold]\n✓ right\n✗ wrong\n! odd\nError: first\nsecond\n"


def test_without_a_terminal_long_lines_are_not_broken(capsys):
    output.error("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def terminal(monkeypatch):
    """Stdout and stderr are a terminal of 40 columns without colours."""
    for name, value in (("TTY_COMPATIBLE", "1"), ("COLUMNS", "40"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("terminal")
def test_at_a_terminal_a_sentence_hangs_behind_its_mark(capsys):
    output.passed("nothing was lost, and nothing was doubled either")
    output.say("  nothing was lost, and nothing was doubled either")
    output.error("nothing was lost, and nothing was doubled either\nanother line")
    assert plain(capsys.readouterr().err).splitlines() == [
        "✓ nothing was lost, and nothing was",
        "  doubled either",
        "  nothing was lost, and nothing was",
        "    doubled either",
        "Error: nothing was lost, and nothing was",
        "doubled either",
        "another line",
    ]


@pytest.mark.usefixtures("terminal")
def test_at_a_terminal_a_command_stays_on_one_line(capsys):
    output.command("llm-stream dlq replay 3:1042 --why 'a reason that is long'")
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("terminal")
def test_at_a_terminal_rows_are_not_broken_and_their_details_stand_below(capsys):
    output.listing(("id", "what"), [(("3:1042", "validate/unknown_stop_reason"), ["    why it was so"])])
    lines = plain(capsys.readouterr().out).splitlines()
    assert lines == ["id      what", "3:1042  validate/unknown_stop_reason", "    why it was so"]


@pytest.mark.usefixtures("terminal")
def test_at_a_terminal_records_are_indented_with_an_empty_line_between_them(capsys):
    output.emit_record({"value": {"a": "\x9b2J"}})
    output.emit_record({"value": 2}, first=False)
    lines = plain(capsys.readouterr().out).splitlines()
    assert lines == ["{", '  "value": {', '    "a": "\\x9b2J"', "  }", "}", "", "{", '  "value": 2', "}"]


def test_piped_a_record_is_one_line_of_json(capsys):
    output.emit_record({"key": None})
    output.emit_record({"key": 2}, first=False)
    assert capsys.readouterr().out == '{"key":null}\n{"key":2}\n'


def plain(text):
    """Without what colours it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b[2Jgone", "\\x1b[2Jgone"), ("a\u202eb", "a\\u202eb"), ("ü → ✓", "ü → ✓")]
)
def test_control_characters_are_shown_not_sent(capsys, text, shown):
    output.say(text)
    output.table(["x"], [(text,)])
    captured = capsys.readouterr()
    assert captured.err == shown + "\n"
    assert captured.out.split("\n")[1] == shown


@given(st.text(st.characters()))
def test_nothing_unprintable_but_line_breaks_and_tabs_is_left(text):
    assert all(char.isprintable() or char in "\n\t" for char in output.printable(text))
