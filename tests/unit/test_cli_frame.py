"""The command line's frame: errors become messages and exit codes, `-c` stands anywhere, commands load lazily."""

import contextlib
import errno
import importlib
import io
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from stream.cli import main, output
from stream.cli.commands import COMMANDS, Row
from stream.cli.invocation import invocation
from stream.cli.main import EXIT_CODES, app, config_first
from stream.core import errors

probe = typer.Typer()
"""A command that does what the test wants."""


class Unwritable(io.StringIO):
    """A stdout that can't be written to."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@probe.command()
def _probe(ctx: typer.Context, do: str = "", words: list[str] = typer.Argument(default=[])) -> None:  # noqa: B008
    """Do what the test wants."""
    if do in vars(errors):
        raise vars(errors)[do]("what happened\nand what to do")
    if do in vars(errno):
        with contextlib.redirect_stdout(Unwritable(vars(errno)[do])):
            output.table(["what"], [["a row"]])
    if do == "interrupt":
        raise KeyboardInterrupt
    typer.echo(f"{invocation(ctx).config_file} {' '.join(words)}".strip())


@pytest.fixture
def run(monkeypatch):
    """Runs the command line with the probe as its one command."""
    row = Row("probe", "Do what the test wants", __name__, "probe")
    monkeypatch.setattr(main, "COMMANDS", (row,))
    monkeypatch.setattr(main, "_ROWS", {"probe": row})
    return lambda *args: CliRunner().invoke(app, args)


@pytest.mark.parametrize(("name", "code"), [("ConfigError", 2), ("DependencyError", 3), ("FencedError", 4)])
def test_an_error_of_ours_is_a_message_and_an_exit_code(run, name, code):
    result = run("probe", "--do", name)
    assert result.exit_code == code
    assert result.stderr == "Error: what happened\nand what to do\n"
    assert result.stdout == ""


def test_every_error_that_ends_a_command_has_its_own_exit_code():
    assert {kind.__name__: code for kind, code in EXIT_CODES.items()} == {
        "ConfigError": 2,
        "DependencyError": 3,
        "FencedError": 4,
    }


def test_the_traceback_is_shown_on_request(run, monkeypatch):
    monkeypatch.setenv("LLM_STREAM_DEBUG", "1")
    result = run("probe", "--do", "ConfigError")
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: what happened\nand what to do\n")


def test_a_reader_that_went_away_is_no_error_message(run):
    result = run("probe", "--do", "EPIPE")
    assert (result.exit_code, result.output) == (141, "")


def test_a_full_disk_is_a_message_and_no_verdict(run):
    result = run("probe", "--do", "ENOSPC")
    assert result.exit_code == 3
    assert result.stderr == "Error: What this command says could not be written: No space left on device.\n"


def test_ctrl_c_ends_with_130(run):
    assert run("probe", "--do", "interrupt").exit_code == 130


@pytest.mark.parametrize("args", [["--nope"], ["nope"], ["probe", "--nope"], []])
def test_wrong_usage_ends_with_2_and_help(run, args):
    result = run(*args)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_a_mistyped_command_is_guessed(run):
    assert "Did you mean 'probe'?" in " ".join(run("prob").output.replace("│", "").split())


@pytest.mark.parametrize(
    "args",
    [
        ["-c", "f", "probe", "w"],
        ["probe", "-c", "f", "w"],
        ["probe", "w", "--config", "f"],
        ["probe", "--config=f", "w"],
    ],
)
def test_the_configuration_file_can_be_named_anywhere(run, args):
    assert run(*args).stdout == "f w\n"


def test_what_follows_a_double_dash_is_left_alone(run):
    assert run("probe", "--", "-c", "f").stdout == "None -c f\n"


def test_a_config_option_without_a_file_is_wrong_usage(run):
    assert config_first(["probe", "-c"]) == ["-c", "probe"]
    assert run("probe", "w", "--config").exit_code == 2


def test_the_version_is_shown():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("llm-stream 0.")


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_a_command_of_the_table_exists_and_begins_its_help_as_the_table_says(row):
    importlib.import_module(row.module)
    result = CliRunner().invoke(app, [row.name, "--help"])
    assert result.exit_code == 0
    assert row.help in " ".join(result.stdout.replace("│", "").split())


def test_names_in_the_table_are_unique():
    assert len({row.name for row in COMMANDS}) == len(COMMANDS)


def test_help_imports_nothing_that_is_slow():
    code = (
        "import sys; from typer.testing import CliRunner; from stream.cli.main import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "slow = ('anthropic', 'openai', 'aiohttp', 'confluent_kafka', 'pydantic', 'orjson');"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_python_m_stream_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "stream", "--version"], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tail", "requests", "--limit", "0"), "it must be 1 or more"),
        (("tail", "requests", "--limit", "x"), "it must be a whole number"),
        (("simulator", "--port", "99999"), "it must be 65535 or less"),
        (("reconcile", "--wait-s", "x"), "it must be a number"),
        (("tail", "result"), "there is no kind 'result' (did you mean results?)"),
        (("tail", "signals"), "not in this version"),
        (("reconcile", "--from", "1m", "--to", "2h"), "--from 1m is not before --to 2h"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_a_sentence_of_ours(arguments, said):
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 2
    assert said in ran.stderr
    assert "Input should" not in ran.stderr


@pytest.mark.parametrize("amount", ["0", "-1", "nan"])
def test_a_money_limit_that_would_pay_for_nothing_is_refused(amount):
    result = CliRunner().invoke(app, ["worker", "--max-cost-usd", amount])
    assert result.exit_code == 2
    assert "give an amount above 0" in result.stderr
