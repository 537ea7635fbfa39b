"""Every command's `--help`, as somebody with 80 columns reads it."""

import pytest
from typer.testing import CliRunner

from stream.cli.commands import COMMANDS
from stream.cli.main import app

GROUPS = {"config": ["check", "show", "schema"], "topics": ["create", "check"], "dlq": ["list", "show", "replay"]}
PAGES = [[], *([row.name] for row in COMMANDS), *([group, name] for group in GROUPS for name in GROUPS[group])]


def page(*command: str) -> str:
    ran = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert ran.exit_code == 0
    return ran.stdout


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_a_help_page_has_no_noise_and_fits(command):
    text = page(*command)
    assert max(len(line) for line in text.splitlines()) <= 80
    for noise in ("<", ">", "completion", "{ID}", "[[", "...  ", "x>="):
        assert noise not in text.replace("[ARGS]...", "")


def test_a_flag_is_a_flag_and_a_value_has_a_name():
    lines = page("dlq", "list").splitlines()
    assert "  --json         JSON on stdout." in lines
    assert any(line.startswith("  --task TASK    Only") for line in lines)
    assert any("[default: 50; 1 to 10,000]" in line for line in lines)


def test_an_argument_is_required_unless_it_stands_in_brackets():
    assert "Usage: llm-stream try [OPTIONS] TASK [INPUT]" in page("try")
    assert "[required]" not in page("try")


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_no_commands_summary_is_cut_off(row):
    assert f"{row.name}  " in page()
    assert row.help in page()


def test_a_missing_argument_is_named_as_the_help_names_it():
    ran = CliRunner().invoke(app, ["dlq", "show"])
    assert ran.exit_code == 2
    assert "'ID'" in ran.stderr


def test_completion_works_without_being_listed():
    ran = CliRunner().invoke(app, ["--show-completion", "bash"])
    assert (ran.exit_code, "COMP_WORDS" in ran.stdout) == (0, True)
