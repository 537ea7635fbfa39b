"""`llm-stream find`: everything about one request id."""

from typing import Annotated

import typer

from stream.cli import layout, output
from stream.cli.task_folders import results_topics
from stream.cli.waiting import kafka_settings
from stream.cli.when import now_ms, start_from
from stream.codecs.cloudevents import time_text
from stream.core.counting import counted
from stream.core.printable import printable_line
from stream.kafka import finding
from stream.kafka.finding import Asked, Found, Trace

_WORDS = {
    "requests": "request",
    "results": "result",
    "dlq": "dead letter",
    "audit": "audit copy",
    "decisions": "decision",
}

app = typer.Typer(add_completion=False)


@app.command()
def find(
    ctx: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.", show_default=False)],
    from_: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="Look no further back: -1d, or a time. Decisions: all.")
    ] = "earliest",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show everything about one request id: request, calls, result, dead letter, decisions, audit copy."""
    settings = kafka_settings(ctx)
    start = start_from(from_, now_ms(), "--from")
    trace = finding.find(settings, request_id, start, results_topics(settings))
    if as_json:
        output.emit_json(trace.as_json())
    else:
        _tell(trace, from_)
    if not trace.records:
        raise typer.Exit(1)


def _tell(trace: Trace, from_: str) -> None:
    looked = f"looked at {', '.join(trace.searched)}" + ("" if from_ == "earliest" else f", from {from_} on")
    if not trace.records:
        output.failed(f"There is nothing about {trace.id} ({looked}).")
        return
    width = output.width()
    if width is None:
        output.table(("when", "what", "where", "told"), [(*_row(each), _told(each)) for each in trace.records])
    else:
        rows = [(_row(each), _below(each, width)) for each in trace.records]
        output.listing(("when", "what", "where"), rows)
    for asked in trace.requests:
        _tell_status(asked)
    if not trace.requests:
        output.noted("The request itself is not there: retention has removed it, or --from leaves it out.")
    if trace.elsewhere and trace.requests:
        outcomes = counted(len(trace.elsewhere), "outcome")
        output.noted(f"Of other groups, or of requests that are gone: {outcomes}.")
    output.say(f"({looked})", "dim")
    output.say("--json shows the records as they are, with input and output.", "dim")


def _row(found: Found) -> tuple[str, str, str]:
    at_ms = found.record.timestamp_ms
    return (time_text(at_ms) if at_ms >= 0 else ""), _WORDS[found.kind], found.where


def _told(found: Found) -> str:
    return "  ".join(f"{word}={value}" for word, value in finding.facts(found))


def _below(found: Found, width: int) -> list[str]:
    return layout.filled(((name, printable_line(value)) for name, value in finding.facts(found)), width)


def _tell_status(asked: Asked) -> None:
    where = asked.request.where
    if asked.status == "completed":
        output.passed(f"{where} is completed")
    elif asked.status == "dead_lettered":
        letter = next(each for each in asked.outcomes if each.kind == "dlq")
        dead_letter_id = f"{letter.record.partition}:{letter.record.offset}"
        output.failed(f"{where} is a dead letter: llm-stream dlq show {dead_letter_id} says what was wrong")
    elif asked.status == "pending":
        output.noted(
            f"{where} is pending: no result and no dead letter yet. llm-stream lag says how far the workers are."
        )
    else:
        output.failed(f"{where} has {counted(len(asked.outcomes), 'outcome')}: llm-stream reconcile judges that")
