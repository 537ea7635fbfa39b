"""`llm-stream tail`: decoded records as JSON lines; for a person at a terminal, indented."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated, Literal, get_args

import typer

from stream.cli import output
from stream.cli.invocation import loaded_settings
from stream.cli.task_folders import results_topics, unknown_task
from stream.cli.when import now_ms, start_from
from stream.core.errors import ConfigError
from stream.core.records import Record
from stream.core.spelling import did_you_mean
from stream.kafka import lines, reading
from stream.settings import Settings

Kind = Literal["requests", "results", "dlq", "audit", "decisions"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""What can be read."""


app = typer.Typer(add_completion=False)


@app.command()
def tail(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS)}.", show_default=False)],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="WHERE",
            help="earliest, latest, an offset, how long ago (-1h), a time. Default: earliest; with --follow: latest.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Only records about this task.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many records.")] = None,
) -> None:
    """Show decoded records as JSON lines (at a terminal: indented)."""
    wanted = _kind(kind)
    settings = loaded_settings(ctx).settings
    start = start_from(from_ or ("latest" if follow else "earliest"), now_ms())
    spans = reading.spans(settings, _topics(wanted, settings), start)
    if doubt := unknown_task(task, settings):
        output.noted(doubt)
    with closing(reading.read(settings, spans, follow=follow)) as records:
        for number, record in enumerate(islice(_about(wanted, records, task), limit)):
            output.emit_record(lines.as_line(record), first=number == 0)


def _kind(word: str) -> Kind:
    for each in KINDS:
        if word == each:
            return each
    if word == "signals":
        raise ConfigError("Windowed signals are not in this version: there is no topic of them to read.")
    raise typer.BadParameter(f"there is no kind {word!r}{did_you_mean(word, KINDS)}", param_hint="KIND")


def _topics(kind: Kind, settings: Settings) -> list[str]:
    own = results_topics(settings) if kind == "results" else []
    return [*lines.topics_of(kind, settings), *own]


def _about(kind: Kind, records: Iterable[Record], task: str | None) -> Iterator[Record]:
    return (record for record in records if task is None or lines.about(kind, record)[1] == task)
