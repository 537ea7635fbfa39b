"""`llm-stream try`: one request from prompt to result or dead letter, without Kafka."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli import output
from stream.cli.invocation import loaded_settings
from stream.core.counting import counted
from stream.core.errors import ConfigError, DependencyError

if TYPE_CHECKING:
    from collections.abc import Collection

    from stream.demo.samples import Sample
    from stream.demo.trial import Trial
    from stream.settings import Settings
    from stream.tasks import Version

_MOST_BYTES = 64 * 1024 * 1024


def try_(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="The task that shall take the request.", show_default=False)],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A file (JSON, or JSON lines: the first), - for stdin, or JSON. Default: the first line of "
            "examples/requests/TASK.jsonl, of TASK/examples.jsonl, or (where it is the only task) of requests.jsonl.",
            show_default=False,
        ),
    ] = "",
    line: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take this line of the file.")] = None,
    real: Annotated[bool, typer.Option("--real", help="Call the configured provider, which costs money.")] = False,
    fault: Annotated[
        str | None, typer.Option(metavar="KIND", help="Have the simulator misbehave so (docs/simulator.md).")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Leave nothing out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Take one request from prompt to result, without Kafka. It calls the simulator, unless --real is given.

    Exit code 0: a result; 1: a dead letter; 3: the provider gave no reply.
    """
    if real and fault:
        raise typer.BadParameter("--fault is the simulator's; it can't be laid on the real provider (--real).")
    settings = _settings(ctx)
    sample = _sample(task, source, line, settings)
    _tell(f"calling {_provider(task, settings) if real else _simulator(task, settings, fault)} for {task}")
    from stream.demo.trial import trouble_in_words  # after the line above: the SDKs take seconds to load

    trial = _tried(settings, task, sample, real=real, fault=fault)
    _show(trial, full=full, as_json=as_json)
    if trial.trouble is not None:
        raise DependencyError(trouble_in_words(trial, settings))
    if not trial.completed:
        raise typer.Exit(1)


def _settings(ctx: typer.Context) -> "Settings":
    """The settings; without a configuration file and a tasks folder, with the tasks that come with this package."""
    from stream.demo.samples import own_tasks

    loaded = loaded_settings(ctx)
    settings = loaded.settings
    if loaded.source(("tasks", "path")) == "default" and not Path(settings.tasks.path).is_dir():
        return settings.model_copy(update={"tasks": settings.tasks.model_copy(update={"path": str(own_tasks())})})
    return settings


def _provider(task: str, settings: "Settings") -> str:
    """The provider in words, with its address where that isn't the official one. Raises ConfigError."""
    from stream.providers.keys import checked_base_url
    from stream.providers.table import api_key

    names = {version.provider for version in _versions(task, settings)} & settings.providers.keys()
    for name in names:
        api_key(name, settings.providers[name])
    urls = sorted(filter(None, (checked_base_url(name, settings.providers[name]) for name in names)))
    return f"the provider at {' or '.join(urls)}" if urls else "the provider"


def _simulator(task: str, settings: "Settings", fault: str | None) -> str:
    """The simulator in words. Raises ConfigError."""
    _versions(task, settings)
    if fault is not None:
        from stream.demo.simulated import refuse_unknown_fault

        refuse_unknown_fault(fault)
    return "the simulator"


def _versions(task: str, settings: "Settings") -> "Collection[Version]":
    from stream.tasks import load_task
    from stream.validation import verify_checks

    _refuse_unknown(task, settings)
    return load_task(Path(settings.tasks.path) / task, verify_checks).versions.values()


def _sample(task: str, source: str, line: int | None, settings: "Settings") -> "Sample":
    from stream.demo.samples import NoExamples, sample_in, samples_of

    if source.lstrip().startswith(("{", "[")):
        return sample_in(source.encode("utf-8", "surrogateescape"), "INPUT", line)
    if source:
        return sample_in(*_read(source), line)
    _refuse_unknown(task, settings)
    try:
        examples = samples_of(task, Path(settings.tasks.path))
    except NoExamples as error:
        raise ConfigError(f"{error} Or name a file of requests: `llm-stream try {task} requests.jsonl`.") from None
    if line is not None and line > len(examples):
        raise ConfigError(f"{task} has {counted(len(examples), 'example')} only.")
    return examples[(line or 1) - 1]


def _read(source: str) -> tuple[bytes, str]:
    if source == "-":
        if sys.stdin.isatty():
            output.say("Reading a request from the terminal, as JSON; Ctrl-D ends.")
        return sys.stdin.buffer.read(_MOST_BYTES), "stdin"
    try:
        with Path(source).open("rb") as file:
            return file.read(_MOST_BYTES), source
    except OSError as error:
        raise ConfigError(
            f"{source} can't be read: {error.strerror}. INPUT is a file, - for stdin, or JSON in quotes: '{{...}}'."
        ) from None


def _refuse_unknown(task: str, settings: "Settings") -> None:
    from stream.core.spelling import did_you_mean

    folder = Path(settings.tasks.path)
    known = [each.parent.name for each in folder.glob("*/task.toml")]
    if task not in known:
        raise ConfigError(f"There is no task {task!r} in {folder}{did_you_mean(task, known)}.")


def _tried(settings: "Settings", task: str, sample: "Sample", *, real: bool, fault: str | None) -> "Trial":
    from stream import app
    from stream.demo import trial

    record = trial.request_record(task, sample, settings.topics.requests[0])
    tasks = trial.only(task, app.catalogue(settings), settings.tasks.path)
    if real:
        return app.on_a_loop(trial.tried(settings, tasks, record, environ=os.environ, tell=_tell))
    return app.on_a_loop(trial.tried_simulated(settings, tasks, record, fault=fault, tell=_tell))


def _tell(what: str) -> None:
    """What a person should know while waiting."""
    if output.progress_wanted():
        output.say(f"… {what}", "dim")


def _show(trial: "Trial", *, full: bool, as_json: bool) -> None:
    from stream.demo.trial_page import as_json as in_json
    from stream.demo.trial_page import page

    if as_json:
        output.emit_json(in_json(trial))
        return
    console = output.console()
    for text in page(trial, console.width if console.is_terminal else None, full=full):
        console.print(text, soft_wrap=True)
