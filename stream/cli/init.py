"""`llm-stream init DIR`: a project to start from, small enough to read in five minutes."""

import shlex
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from stream.cli import output
from stream.core.errors import ConfigError

app = typer.Typer()


@app.command()
def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty directory.")]) -> None:
    """Make a project to start from: settings, one task, Kafka to run, requests to send."""
    _refuse_unless_empty(directory)
    for name, content in sorted(scaffold()):
        _write(directory / name, content)
        output.passed(str(directory / name))
    output.say()
    output.say("Next:")
    for command in next_commands(directory):
        output.command(command)
    output.say("None of these needs a key: `try` calls a simulated model, and README.md shows how a worker does too.")


def scaffold() -> Iterator[tuple[str, bytes]]:
    """The project's files: path inside the project, content."""
    yield from _walk(files("stream.cli").joinpath("scaffold"), "")


def next_commands(directory: Path) -> list[str]:
    """What to type now."""
    return [
        f"cd {shlex.quote(str(directory))}",
        "llm-stream config check",
        "llm-stream try classify-ticket",
        "cat README.md",
    ]


def _walk(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_file() and not entry.name.endswith(".pyc"):
            yield above + entry.name, entry.read_bytes()
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, f"{above}{entry.name}/")


def _refuse_unless_empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty: nothing is written there. Name a new directory.")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file: name a new directory.")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"{path} can't be written: {error.strerror}. Name a directory that you may write to."
        ) from error
