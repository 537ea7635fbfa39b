"""The tasks of a folder, read once at start: `core.ports.Catalogue`.

    prompts/<task>/task.toml      what to call and how to judge the reply
    prompts/<task>/contract.py    Input and Output
    prompts/<task>/v1.md          front matter, "# system", "# user"; further versions beside it

Everything is checked while loading; afterwards nothing changes and nothing is read again.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from stream.core.errors import ConfigError, RouteError
from stream.core.records import Request, StructuredMode
from stream.core.sampling import fraction
from stream.core.spelling import did_you_mean
from stream.tasks.contract import Contract, load_contract
from stream.tasks.problems import Problems
from stream.tasks.promptfile import prompt_parts, read_prompt
from stream.tasks.taskfile import Read, TaskSettings, task_settings, version_settings
from stream.tasks.template import compiled_system, compiled_user
from stream.tasks.version import Version, version_label

VerifyChecks = Callable[[Mapping[str, Any], type[BaseModel]], None]
"""Raises ConfigError if a check list can't be used on replies of this model (`validation.verify_checks`)."""

_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VERSION_FILE = re.compile(r"v[1-9]\d{0,5}\.md")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A task and its versions, oldest first. shares: percent of the requests by version name, adding up to 100."""

    name: str
    versions: Mapping[str, Version]
    shares: Mapping[str, float]

    def version_for(self, request_id: str) -> Version:
        """The version of this request: by hash of its id, so that retries and replays stay on their side.

        Shares are laid end to end in the versions' order: a version whose share grows keeps the ids it had.
        """
        active = [(name, share) for name, share in self.shares.items() if share > 0]
        if len(active) > 1:
            place = fraction(f"split/{self.name}", request_id) * 100
            for name, share in active[:-1]:
                place -= share
                if place < 0:
                    return self.versions[name]
        return self.versions[active[-1][0]]


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """All tasks, by name."""

    tasks: Mapping[str, Task]

    def version_for(self, request: Request) -> Version:
        """The prompt version this request is for. Raises RouteError (`unknown_task`)."""
        task = self.tasks.get(request.task)
        if task is None and not request.task.strip():
            raise RouteError(
                "unknown_task",
                'The request names no task: "task" in the JSON object names it, or a CloudEvent\'s type '
                f"(llm.request.TASK){did_you_mean('', self.tasks)}.",
            )
        if task is None:
            raise RouteError(
                "unknown_task", f"No task is called {request.task[:100]!r}{did_you_mean(request.task, self.tasks)}."
            )
        return task.version_for(request.id)

    def versions(self) -> Iterator[Version]:
        """Every version of every task, active or not."""
        for task in self.tasks.values():
            yield from task.versions.values()


def load_catalogue(folder: Path, verify_checks: VerifyChecks) -> Catalogue:
    """All tasks under `folder`. Raises ConfigError, naming file, key, why and what to do, for all tasks at once."""
    problems = Problems()
    loaded = [problems.tried(partial(load_task, path, verify_checks)) for path in task_folders(folder)]
    problems.refuse()
    return Catalogue(MappingProxyType({task.name: task for task in loaded if task is not None}))


def task_folders(folder: Path) -> list[Path]:
    """The tasks' folders, by name. Raises ConfigError if there is none.

    Hidden folders, `_folders` and loose files are none of our business; every other folder must be a task.
    """
    if not folder.is_dir():
        raise ConfigError(f"tasks.path: the folder {folder} isn't there; it holds one folder per task.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
    if not folders:
        raise ConfigError(f"tasks.path: {folder} holds no task: make a folder with task.toml, contract.py and v1.md.")
    return folders


def load_task(folder: Path, verify_checks: VerifyChecks) -> Task:
    """One task's folder. Raises ConfigError; TaskError with everything where several things are wrong."""
    if not _TASK_NAME.fullmatch(folder.name):
        raise ConfigError(f"{folder}: a task's name has letters, digits, - and _ only, and at most 64 of them.")
    task_file = folder / "task.toml"
    if not task_file.exists():  # the folder is no task: no code of it is run
        raise ConfigError(f"{task_file} is missing: a task's folder holds task.toml, contract.py and v1.md.")
    problems = Problems()
    files = sorted((path for path in folder.iterdir() if _VERSION_FILE.fullmatch(path.name)), key=_number)
    task = task_settings(task_file, [path.stem for path in files], problems)
    contract = problems.tried(lambda: load_contract(folder / "contract.py"))
    loaded = [problems.tried(partial(_load_version, path, task, contract, verify_checks)) for path in files]
    problems.refuse()
    versions = {version.name: version for version in loaded if version is not None}
    shares = {name: task.settings.active[name] for name in versions if name in task.settings.active}
    return Task(folder.name, MappingProxyType(versions), MappingProxyType(shares))


def _number(path: Path) -> int:
    return int(path.stem[1:])


def _load_version(
    path: Path, task: Read[TaskSettings], contract: Contract | None, verify_checks: VerifyChecks
) -> Version | None:
    """The version; None where nothing is wrong with it but that there is no contract. Raises TaskError."""
    problems = Problems()
    prompt = read_prompt(path)
    settings = version_settings(task, prompt.front, path, problems)
    if contract is not None:
        _verify_each(settings.checks, prompt.front.get("checks"), path, contract.output_model, verify_checks, problems)
    parts = problems.tried(lambda: prompt_parts(prompt))
    fields = None if contract is None else frozenset(contract.input_model.model_fields)
    system = parts and problems.tried(partial(compiled_system, parts[0]))
    user = parts and problems.tried(partial(compiled_user, parts[1], fields))
    problems.refuse()
    if contract is None or system is None or user is None:
        return None
    provider, _, model = settings.model.partition(":")
    name = path.parent.name
    return Version(
        task=name,
        name=path.stem,
        label=version_label(name, path.stem, prompt.content, contract.input_schema, contract.output_schema),
        provider=provider,
        model=model,
        structured=settings.structured,
        max_output_tokens=settings.max_output_tokens,
        truncation_retry_tokens=settings.truncation_retry_tokens,
        results_topic=settings.results_topic,
        checks=MappingProxyType(dict(settings.checks)),
        input_model=contract.input_model,
        output_model=contract.output_model,
        output_schema=contract.output_schema,
        system=_with_schema(system, settings.structured, contract.output_schema),
        user=user,
    )


def _verify_each(
    checks: Mapping[str, Any],
    own: Any,
    path: Path,
    output_model: type[BaseModel],
    verify_checks: VerifyChecks,
    problems: Problems,
) -> None:
    """own: the checks that the prompt at `path` names itself; the others are `task.toml`'s."""
    for name, options in checks.items():
        file = path if isinstance(own, Mapping) and name in own else path.with_name("task.toml")
        try:
            verify_checks({name: options}, output_model)
        except ConfigError as error:
            problems.add(f"{file}: checks.{error}")


def _with_schema(system: str, structured: StructuredMode, schema: Mapping[str, Any]) -> str:
    """In the modes that don't send the schema to the provider, the model learns it from the system part."""
    if structured in {"strict_tool", "json_schema"}:
        return system
    asked = "Answer with one JSON object and nothing else. It must be valid for this JSON Schema:"
    return f"{system}\n\n{asked}\n{json.dumps(schema, ensure_ascii=False)}".lstrip()
