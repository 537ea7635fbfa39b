"""Requests to show things with: the examples that belong to tasks, and bytes that are no request at all.

The examples of a task are `examples/requests/TASK.jsonl` beside the tasks folder, else `TASK/examples.jsonl` in it,
else (where it is the only task, as after `llm-stream init`) `requests.jsonl` beside the folder. A line is the Input,
or `{"id", "key", "input"}`; `expect` may stand beside `input` and is left alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.codecs.strict_json import StrictJsonError, parse
from stream.core.errors import ConfigError

_LONG_FORM = frozenset({"id", "key", "input", "expect"})
_PACKAGED = Path(__file__).with_name("data")
_CHECKOUT = Path(__file__).parents[2]


class NoExamples(ConfigError):  # noqa: N818  (it says what is missing)
    """A task has none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A request as somebody wrote it down. id, key: None where they gave none. input: unchecked."""

    input: Any
    id: str | None = None
    key: str | None = None


def own_tasks() -> Path:
    """The tasks that come with this package: the checkout's, else those in the installed package."""
    return (_CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else _PACKAGED) / "prompts"


def samples_of(task: str, tasks: Path) -> list[Sample]:
    """The examples of a task in the folder `tasks`. Raises NoExamples, and ConfigError if one is no request."""
    files = [tasks.parent / "examples" / "requests" / f"{task}.jsonl", tasks / task / "examples.jsonl"]
    alone = [each.parent.name for each in tasks.glob("*/task.toml")] == [task]
    for file in [*files, tasks.parent / "requests.jsonl"] if alone else files:
        if file.is_file():
            found = list(_samples(file.read_bytes().splitlines(), str(file)))
            if found:
                return found
    raise NoExamples(
        f"There are no examples of {task}: write some, one JSON object a line, into {files[1]} "
        f'({{"input": {{...}}}} with the fields of its Input), or into {files[0]}.'
    )


def sample_in(text: bytes, name: str, line: int | None = None) -> Sample:
    """The request in a text: one JSON object over as many lines as it likes, or JSON lines, of which the first counts.

    name: what to call the text in messages. line: take this one, from 1. Raises ConfigError with the place.
    """
    lines = text.splitlines()
    if line is not None:
        if not 1 <= line <= len(lines):
            raise ConfigError(f"{name} has no line {line}: it has {len(lines):,}.")
        return _sample(lines[line - 1], f"{name}, line {line}")
    if not text.strip():
        raise ConfigError(f"{name} is empty: it must be the task's Input as a JSON object.")
    filled = [each for each in lines if each.strip()]
    if len(filled) > 1 and _is_json(filled[0]):
        return _sample(filled[0], f"{name}, line {lines.index(filled[0]) + 1}")
    return _sample(text.rstrip(), name)


def _samples(lines: Iterable[bytes], name: str) -> Iterator[Sample]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _sample(line, f"{name}, line {number}")


def _is_json(line: bytes) -> bool:
    try:
        parse(line)
    except StrictJsonError:
        return False
    return True


def _sample(text: bytes, where: str) -> Sample:
    try:
        value = parse(text)
    except StrictJsonError as error:
        sentence = str(error) if b"\n" in text else str(error).replace("at line 1, column", "at column")
        raise ConfigError(f"{where}: {sentence}") from None
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: must be a JSON object: the task\'s Input, or {{"id", "key", "input"}}.')
    if "input" not in value or not value.keys() <= _LONG_FORM:
        return Sample(value)
    return Sample(value["input"], _text(value, "id", where), _text(value, "key", where))


def _text(value: dict[str, Any], name: str, where: str) -> str | None:
    found = value.get(name)
    if found is not None and not (isinstance(found, str) and found.strip()):
        raise ConfigError(f"{where}: its {name} must be text that isn't empty, or left out.")
    return found
