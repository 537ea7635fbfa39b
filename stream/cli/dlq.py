"""`llm-stream dlq`: look at dead letters, and send them again."""

from typing import Annotated

import typer

from stream.cli import output
from stream.cli.dlq_texts import money, page
from stream.cli.invocation import loaded_settings
from stream.cli.when import now_ms, start_from
from stream.codecs.cloudevents import time_ms, time_text
from stream.core import headers as names
from stream.core.errors import CODES
from stream.core.spelling import did_you_mean
from stream.dlq import letters
from stream.dlq import replay as replaying
from stream.dlq.envelope import DeadLetter, coordinates
from stream.dlq.letters import Filter
from stream.kafka import decisions
from stream.kafka.sending import Delivered

_DETAIL_CHARACTERS = 120

app = typer.Typer(help="Look at dead letters, and send them again.", no_args_is_help=True, add_completion=False)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="PARTITION:OFFSET, as dlq list shows it.", show_default=False)]


@app.command("list")
def list_(
    ctx: typer.Context,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    code: Annotated[str | None, typer.Option(help="Only with this code: placeholder, or validate/placeholder.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only of this stage: decode, route, render, call, ...")] = None,
    since: Annotated[str, typer.Option(metavar="WHEN", help="Only from then on: -1h, or a time.")] = "earliest",
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the dead letters, newest first."""
    settings = loaded_settings(ctx).settings
    if stage is not None and stage not in CODES:
        raise typer.BadParameter(f"there is no stage {stage!r}{did_you_mean(stage, CODES)}", param_hint="--stage")
    start = start_from(since, now_ms())
    found = letters.newest(settings, Filter(task, stage, code), limit, start)
    if as_json:
        output.emit_json([letter.as_json() for letter in found])
        return
    columns = ("id", "when", "task", "stage/code", "attempts", "cost", "request id", "detail")
    output.table(columns, [_row(letter) for letter in found])
    if len(found) == limit:
        output.say(f"The newest {limit}; there may be more: --limit, --since.", "dim")
    elif not found:
        output.passed(f"no dead letters match in {settings.topics.dlq}")


@app.command()
def show(ctx: typer.Context, dead_letter_id: Id, as_json: Json = False) -> None:
    """Show everything about one dead letter: what was wrong, what it cost, the request as it came."""
    settings = loaded_settings(ctx).settings
    letter = letters.by_id(settings, _checked(dead_letter_id))
    replays = [each for each in decisions.read_all(settings) if replaying.is_replay_of(letter, each)]
    if as_json:
        output.emit_json({**letter.as_json(), "replays": [each.as_json() for each in replays]})
        return
    typer.echo(page(letter, replays))
    why_not = replaying.refusal(letter, settings, letter.replay_count + len(replays), force=False)
    if why_not is None:
        output.say(f"Send it again: llm-stream dlq replay {letter.id} --why '...'")
    else:
        output.say(f"It can't be sent again as it is. {why_not}", "yellow")


@app.command()
def replay(
    ctx: typer.Context,
    dead_letter_id: Id,
    why: Annotated[str, typer.Option(help="Why, for those who read the decision later.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Even if it was sent again twice already.")] = False,
    as_json: Json = False,
) -> None:
    """Send a dead letter again: a new request with the same id. Exit 1 when it is refused."""
    settings = loaded_settings(ctx).settings
    letter = letters.by_id(settings, _checked(dead_letter_id))
    _warn_if_expired(letter)
    done = replaying.replay(settings, letter, by=decisions.by_whom(), why=why, at_ms=now_ms(), force=force)
    if as_json:
        output.emit_json(
            {
                "id": letter.id,
                "request_id": letter.request_id,
                "count": done.count,
                "request": _place(done.request),
                "decision": _place(done.decision),
            }
        )
    output.passed(
        f"{letter.id} is sent again (time {done.count}) as {done.request.topic}:{done.request.partition}:"
        f"{done.request.offset}, with its decision"
    )
    if letter.request_id is not None:
        output.say(f"  next: llm-stream find {letter.request_id}")


def _checked(dead_letter_id: str) -> str:
    try:
        coordinates(dead_letter_id)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from None
    return dead_letter_id


def _row(letter: DeadLetter) -> tuple[str | int | None, ...]:
    detail = " ".join(letter.detail.split())
    return (
        letter.id,
        time_text(letter.at_ms) if letter.at_ms >= 0 else "",
        letter.task,
        letter.reason,
        letter.attempts,
        money(letter.cost_micro_usd),
        letter.request_id,
        detail if len(detail) <= _DETAIL_CHARACTERS else detail[:_DETAIL_CHARACTERS] + "…",
    )


def _warn_if_expired(letter: DeadLetter) -> None:
    until = names.text(letter.record.headers, "ce_expirytime")
    until_ms = None if until is None else time_ms(until)
    if until_ms is not None and until_ms <= now_ms():
        output.say(f"! Its ce_expirytime ({until}) has passed: no call will be made for it (route/expired).", "yellow")


def _place(where: Delivered) -> dict[str, str | int]:
    return {"topic": where.topic, "partition": where.partition, "offset": where.offset}
