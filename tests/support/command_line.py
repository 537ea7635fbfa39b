"""The command line as a person runs it, in this process: arguments in; exit code, stdout and stderr out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from stream.cli.main import app
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Its stdout as one JSON value."""
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        """Its stdout as JSON lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class CommandLine:
    """`llm-stream` with a configuration file made of settings. tasks: the tasks folder; one that isn't there: none."""

    def __init__(self, folder: Path, settings: Settings, tasks: Path | None = None) -> None:
        self.settings = settings
        self._file = folder / "llm-stream.toml"
        topics = settings.topics
        names = {"results", "dlq", "audit", "decisions", "control"}
        lines = [
            "[kafka]",
            f'bootstrap_servers = "{settings.kafka.bootstrap_servers}"',
            f'group_id = "{settings.kafka.group_id}"',
            "[topics]",
            f"requests = {json.dumps(topics.requests)}",
            f"partitions = {topics.partitions}",
            *(f'{name} = "{getattr(topics, name)}"' for name in sorted(names)),
            "[tasks]",
            f"path = {json.dumps(str(tasks or folder / 'no-tasks'))}",
        ]
        self._file.write_text("\n".join(lines) + "\n")

    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Ran:
        """Run `llm-stream -c FILE ARGUMENTS`."""
        result = CliRunner().invoke(app, ["-c", str(self._file), *arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)
