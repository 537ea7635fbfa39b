"""Lines of `llm-stream send` that look like a misspelt long form."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.cli import send
from stream.kafka import sending
from stream.settings import Settings
from tests.support.command_line import CommandLine, Ran


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Ran]:
    """Sends lines to a Kafka that takes everything."""
    monkeypatch.setattr(send, "_max_bytes", lambda topic, settings: 1_000_000)
    monkeypatch.setattr(sending, "deliver", lambda settings, records, delivered: len(list(records)))
    return lambda lines: CommandLine(tmp_path, Settings())("send", "greet", stdin=lines)


def test_a_misspelt_long_form_is_sent_as_the_tasks_input_with_a_warning(sent: Callable[[str], Ran]):
    ran = sent('{"text": "x"}\n{"id": "a", "imput": {}}\n{"id": "b", "inputs": {}}\n')
    assert ran.exit_code == 0
    first = ran.stderr.splitlines()[0]
    assert first.startswith("! stdin:2 (and 1 more line): sent as the task's Input as it stands, under a new id.")
    assert "'imput' (did you mean input?)" in first


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "key": "k", "input": {}}',
        '{"input": {"id": "a", "imput": {}}}',
        '{"id": "a", "text": "x"}',
        '{"id": "a", "imput": {}, "language": "en"}',
        '{"inputs": []}',
        '{"id": "a", "point": 5, "output": 6}',
    ],
)
def test_a_line_that_is_what_it_seems_to_be_brings_no_warning(sent: Callable[[str], Ran], line: str):
    assert "!" not in sent(line + "\n").stderr


@pytest.mark.parametrize(
    ("value", "guess"),
    [
        ({"ID": "a", "key": "k", "input": {}}, "'ID' (did you mean id?)"),
        ({"id": "a", "kye": "k", "Input": {}}, "'kye' (did you mean key?), 'Input' (did you mean input?)"),
        ({"id": "a", "kye": "k", "input": {}}, "'kye' (did you mean key?)"),
        ({"id": "a", "input": {}, "priority": 1}, "'priority' (none of its keys)"),
        (["id", "imput"], None),
    ],
)
def test_the_guess_names_every_key_that_is_misspelt(value: object, guess: str | None):
    assert send.nearly_long_form(value) == guess
