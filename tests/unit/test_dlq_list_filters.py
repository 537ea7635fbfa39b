"""`dlq list`: a filter that nothing can match is no good news."""

from pathlib import Path

import pytest

from stream.cli import dlq
from stream.core.errors import CODES
from stream.dlq.replay import Replays
from stream.settings import Settings
from tests.support.command_line import CommandLine


@pytest.fixture
def llm_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line before an empty DLQ, with one task, classify."""
    task = tmp_path / "prompts" / "classify"
    task.mkdir(parents=True)
    (task / "task.toml").write_text('model = "a:b"')
    monkeypatch.setattr(dlq.letters, "newest", lambda *_: [])
    monkeypatch.setattr(Replays, "read", lambda *_: Replays([]))
    return CommandLine(tmp_path, Settings(), tmp_path / "prompts")


def test_a_code_that_does_not_exist_is_refused_with_those_there_are(llm_stream: CommandLine):
    ran = llm_stream("dlq", "list", "--code", "foo")
    assert ran.exit_code == 2
    said = " ".join(ran.stderr.replace("│", " ").split())
    assert "there is no code 'foo'; there are" in said
    assert all(code in said for codes in CODES.values() for code in codes)


@pytest.mark.parametrize(("code", "meant"), [("placeholdr", "placeholder"), ("validat/empty", "validate/empty")])
def test_a_code_that_is_nearly_one_is_refused_with_the_one_that_was_meant(llm_stream: CommandLine, code, meant):
    ran = llm_stream("dlq", "list", "--code", code)
    assert ran.exit_code == 2
    assert f"did you mean {meant}?" in ran.stderr


@pytest.mark.parametrize("code", ["placeholder", "validate/empty", "internal_error", "call/internal_error"])
def test_a_code_that_there_is_may_be_asked_for(llm_stream: CommandLine, code):
    ran = llm_stream("dlq", "list", "--code", code)
    assert (ran.exit_code, ran.stderr) == (0, "✓ no dead letters match in llm.dlq\n")


def test_a_task_that_is_not_in_the_tasks_folder_is_noted_and_looked_for_all_the_same(llm_stream: CommandLine):
    ran = llm_stream("dlq", "list", "--task", "classfy")
    assert ran.exit_code == 0
    assert ran.stderr.startswith("! There is no task 'classfy' in ")
    assert "(did you mean classify?)" in ran.stderr
    assert "There is no task" not in llm_stream("dlq", "list", "--task", "classify").stderr
