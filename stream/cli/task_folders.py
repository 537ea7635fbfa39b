"""What the tasks folder says where no task is run: which tasks there are, what they call, which topics are their own.

No contract is imported (that would run a task's code); a folder without `task.toml` is no task.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.settings import Settings
from stream.tasks.promptfile import read_prompt
from stream.tasks.taskfile import read_toml


def results_topics_by_task(settings: Settings) -> Mapping[str, frozenset[str]]:
    """Each task's own results topics, the shared one not among them; empty where there is no tasks folder.

    Raises ConfigError for a file that can't be read.
    """
    folder = Path(settings.tasks.path)
    files = sorted(folder.glob("*/task.toml")) if folder.is_dir() else []
    return {file.parent.name: _results_topics(file) for file in files}


def results_topics(settings: Settings) -> list[str]:
    """All results topics of single tasks. Raises ConfigError."""
    return sorted(frozenset().union(*results_topics_by_task(settings).values()))


def unknown_task(task: str | None, settings: Settings) -> str | None:
    """A sentence where the tasks folder knows no such task, though records may be about one that is gone; else None.

    Raises ConfigError.
    """
    known = results_topics_by_task(settings)
    if task is None or not known or task in known:
        return None
    return f"There is no task {task!r} in {settings.tasks.path}{did_you_mean(task, known)}."


def models_said(task: Path) -> Mapping[str, str]:
    """`provider:model` of each version in a task's folder, as far as its files can be read; whatever else is wrong."""
    common = _readable(partial(read_toml, task / "task.toml"))
    fronts = {file.stem: _readable(partial(_front, file)) for file in sorted(task.glob("v*.md"))}
    said = {name: {**common, **front}.get("model") for name, front in (fronts or {"task.toml": {}}).items()}
    return {name: model for name, model in said.items() if isinstance(model, str)}


def _readable(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read()
    except ConfigError:
        return {}


def _front(version: Path) -> dict[str, Any]:
    return read_prompt(version).front


def _results_topics(file: Path) -> frozenset[str]:
    fronts = [_front(version) for version in sorted(file.parent.glob("v*.md"))]
    named = [table.get("results_topic") for table in (read_toml(file), *fronts)]
    return frozenset(name for name in named if isinstance(name, str) and name)
