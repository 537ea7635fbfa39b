"""`llm-stream tail`: decoded records as JSON lines; for a person at a terminal, indented."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from stream.cli import output
from stream.cli.invocation import loaded_settings
from stream.cli.task_folders import results_topics
from stream.cli.when import now_ms, start_from
from stream.core.errors import ConfigError
from stream.core.records import Record
from stream.kafka import lines, reading
from stream.kafka.reading import Span, Start
from stream.settings import Settings


class Kind(StrEnum):
    """What can be read."""

    REQUESTS = "requests"
    RESULTS = "results"
    DLQ = "dlq"
    AUDIT = "audit"
    DECISIONS = "decisions"
    SIGNALS = "signals"


app = typer.Typer(add_completion=False)


@app.command()
def tail(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(help=f"{', '.join(Kind)}.", show_default=False)],
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
    settings = loaded_settings(ctx).settings
    start = start_from(from_ or ("latest" if follow else "earliest"), now_ms())
    spans = _spans(kind, settings, start)
    with closing(reading.read(settings, spans, follow=follow)) as records:
        for number, record in enumerate(islice(_about(kind, records, task), limit)):
            output.emit_record(lines.as_line(record), first=number == 0)


def _spans(kind: Kind, settings: Settings, start: Start) -> list[Span]:
    topics = _topics(kind, settings)
    found = reading.spans(settings, topics, start, optional=topics if kind is Kind.SIGNALS else ())
    if not found:
        raise ConfigError(f"There is no topic {', '.join(topics)}: the signals service has not made it yet.")
    return found


def _topics(kind: Kind, settings: Settings) -> list[str]:
    own = results_topics(settings) if kind is Kind.RESULTS else []
    return [*lines.topics_of(kind.value, settings), *own]


def _about(kind: Kind, records: Iterable[Record], task: str | None) -> Iterator[Record]:
    return (record for record in records if task is None or lines.about(kind.value, record)[1] == task)
