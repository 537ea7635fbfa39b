"""`llm-stream tail`: decoded records as JSON lines; for a person at a terminal, indented."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Annotated, Literal, get_args

import typer

from stream.cli import output
from stream.cli.task_folders import results_topics, unknown_task
from stream.cli.waiting import kafka_settings
from stream.cli.when import now_ms, start_from
from stream.core.errors import ConfigError
from stream.core.records import Record
from stream.core.spelling import did_you_mean
from stream.kafka import lines, reading
from stream.kafka.reading import Span
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
    settings = kafka_settings(ctx)
    start = start_from(from_ or ("latest" if follow else "earliest"), now_ms(), "--from")
    spans = reading.spans(settings, _topics(wanted, settings), start)
    if doubt := unknown_task(task, settings):
        output.noted(doubt)
    if follow and output.progress_wanted():
        since = "from now on" if from_ is None else f"from {from_} on"
        output.say(f"… following {', '.join(dict.fromkeys(span.topic for span in spans))} {since}; Ctrl-C ends", "dim")
    shown = 0
    with closing(reading.read(settings, spans, follow=follow)) as records:
        for shown, record in enumerate(islice(_about(wanted, records, task), limit), start=1):
            output.emit_record(lines.as_line(record), first=shown == 1)
    if not shown:
        output.say(_nothing(spans, task, from_))


def _kind(word: str) -> Kind:
    for each in KINDS:
        if word == each:
            return each
    if word == "signals":
        raise ConfigError("Windowed signals are not in this version: there is no topic of them to read.")
    raise typer.BadParameter(f"there is no kind {word!r}{did_you_mean(word, KINDS)}", param_hint="KIND")


def _nothing(spans: Sequence[Span], task: str | None, from_: str | None) -> str:
    """Why nothing was shown, so that an empty screen doesn't look like a fault."""
    topics = list(dict.fromkeys(span.topic for span in spans))
    if not any(span.end for span in spans):
        return f"{', '.join(topics)} {'holds' if len(topics) == 1 else 'hold'} nothing yet"
    about = "" if task is None else f" about {task}"
    since = "" if from_ is None else f" from {from_} on"
    return f"{', '.join(topics)}: no records{about}{since}"


def _topics(kind: Kind, settings: Settings) -> list[str]:
    own = results_topics(settings) if kind == "results" else []
    return [*lines.topics_of(kind, settings), *own]


def _about(kind: Kind, records: Iterable[Record], task: str | None) -> Iterator[Record]:
    return (record for record in records if task is None or lines.about(kind, record)[1] == task)
