"""`llm-stream config`: are the settings right, what do they come to, and what may they be."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli import output
from stream.cli.invocation import invocation, loaded_settings
from stream.core.counting import counted
from stream.core.errors import ConfigError

if TYPE_CHECKING:
    from stream.settings import Loaded, Settings
    from stream.tasks import Catalogue

_SHOWN_VARIABLES = 12

app = typer.Typer(help="Check and show the settings.", no_args_is_help=True)


@app.command()
def check(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON on stdout.")] = False,
) -> None:
    """Check the settings and the tasks without touching Kafka or a provider; exit code 2 if anything is wrong."""
    from stream.cli.config_properties import properties

    report = Report(speaks=not as_json)
    loaded, folder = _settings(ctx, report)
    if loaded is not None:
        properties(loaded, report.problem)
    tasks = _tasks(folder, report) if folder else None
    if loaded is not None:
        _providers(loaded.settings, tasks, report)
        for problem in _missing_providers(loaded.settings):
            report.problem(problem)
    if as_json:
        output.emit_json({"ok": not report.problems, "problems": report.problems, "notes": report.notes})
    elif report.problems:
        count = len(report.problems)
        output.error(f"{count} problem{'s' if count > 1 else ''} to correct.")
    if report.problems:
        raise typer.Exit(2)


@app.command()
def show(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show every value in effect, secrets masked, and where it came from."""
    from stream.settings.effective import effective

    loaded = loaded_settings(ctx)
    rows = effective(loaded)
    if as_json:
        values = {row.key: {"value": row.value, "source": row.source} for row in rows}
        output.emit_json({"file": str(loaded.file) if loaded.file else None, "values": values})
        return
    output.say(f"Configuration file: {loaded.file}" if loaded.file else _no_file())
    output.table(["key", "value", "from"], [(row.key, _toml(row.value), row.source) for row in rows])


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from stream.settings import Settings

    output.emit_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()})


class Report:
    """What a check found, said as it is found. notes: what isn't wrong but worth knowing."""

    def __init__(self, *, speaks: bool) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._speaks = speaks

    def passed(self, text: str) -> None:
        """Something is right."""
        self._say(output.passed, text)

    def problem(self, text: str) -> None:
        """Something must be corrected."""
        self.problems.append(text)
        self._say(output.failed, text)

    def note(self, text: str) -> None:
        """Something that may be right here and wrong where the worker runs."""
        self.notes.append(text)
        self._say(output.noted, text)

    def _say(self, how: Callable[[str], None], text: str) -> None:
        if self._speaks:
            how(text)


def _settings(ctx: typer.Context, report: Report) -> "tuple[Loaded | None, Path | None]":
    """The settings, None if they are wrong, and the tasks' folder, which may be known all the same."""
    from stream.cli.config_properties import refused_alone
    from stream.settings import SettingsError
    from stream.settings.load import chosen_file
    from stream.settings.misspelt import unread

    if chosen_file(invocation(ctx).config_file, os.environ) is None:
        report.note(_no_file())
    try:
        loaded = loaded_settings(ctx)
    except SettingsError as error:
        for problem in (*error.problems, *refused_alone(error.properties)):
            report.problem(problem)
        return None, error.tasks_path
    except ConfigError as error:
        report.problem(str(error))
        return None, None
    for note in unread(os.environ, frozenset(each.api_key_env for each in loaded.settings.providers.values())):
        report.note(note)
    report.passed(f"settings: {len(loaded.sources)} set, the rest at defaults ({loaded.file or 'no file'})")
    return loaded, Path(loaded.settings.tasks.path)


def _no_file() -> str:
    """Where settings come from when there is no file. Names of variables, never a value."""
    from stream.settings.environment import PREFIX

    names = sorted(name for name in os.environ if name.startswith(PREFIX))
    start, remedy = "There is no llm-stream.toml here", "Is this the project's folder? -c FILE names a file elsewhere."
    if not names:
        return f"{start}, and no {PREFIX}... variable is set: every setting is at its default. {remedy}"
    shown = ", ".join(names[:_SHOWN_VARIABLES]) + (", ..." if len(names) > _SHOWN_VARIABLES else "")
    variables = counted(len(names), "environment variable")
    return f"{start}: settings come from the defaults and {variables} ({shown}). {remedy}"


def _tasks(folder: Path, report: Report) -> "Catalogue | None":
    """The tasks that can be loaded; None if there is none at all."""
    from stream.cli.config_examples import wrong_examples
    from stream.tasks import Catalogue, load_task, problems_of, task_folders
    from stream.validation import verify_checks

    try:
        folders = task_folders(folder)
    except ConfigError as error:
        report.problem(str(error))
        return None
    tasks = {}
    for path in folders:
        for problem in wrong_examples(path):
            report.problem(problem)
        try:
            task = tasks[path.name] = load_task(path, verify_checks)
        except ConfigError as error:
            for problem in problems_of(error):
                report.problem(problem)
            continue
        for name, share in task.shares.items():
            version = task.versions[name]
            report.passed(f"task {version.label}: {share:g} % to {version.provider}:{version.model}")
    return Catalogue(tasks)


def _providers(settings: "Settings", tasks: "Catalogue | None", report: Report) -> None:
    from stream.providers.keys import checked_base_url
    from stream.providers.price_notes import price_notes
    from stream.providers.table import api_key

    for name, provider in settings.providers.items():
        try:
            url = checked_base_url(name, provider)
        except ConfigError as error:
            report.problem(str(error))
            continue
        report.passed(f"provider {name}: {provider.kind}, {url or 'its official address'}")
        if provider.kind == "anthropic" and url.rstrip("/").endswith("/v1"):
            report.note(f"providers.{name}.base_url ends with /v1, to which the client adds /v1/messages: take it out.")
        try:
            api_key(name, provider, os.environ)
        except ConfigError as error:
            report.note(f"{error} The worker will need it.")
    for note in price_notes(settings, tasks.versions()) if tasks else ():
        report.note(note)


def _missing_providers(settings: "Settings") -> Iterator[str]:
    """Also of tasks that can't be loaded: what they name is known all the same."""
    from stream.cli.task_folders import models_said
    from stream.core.spelling import did_you_mean

    named: set[str] = set()
    folders = (file.parent for file in Path(settings.tasks.path).glob("*/task.toml"))
    for task in sorted(folder for folder in folders if folder.name[0] not in "._"):
        for version, model in models_said(task).items():
            name, colon, _ = model.partition(":")
            if colon and name not in settings.providers and name not in named:
                named.add(name)
                yield (
                    f"Task {task.name} ({version}) calls the provider {name!r}, which isn't in the settings"
                    f"{did_you_mean(name, settings.providers)}. Add a table [providers.{name}], or correct the task's "
                    "model."
                )


def _toml(value: object) -> str:
    from stream.codecs.strict_json import dumps

    return "" if value is None else dumps(value).decode()
