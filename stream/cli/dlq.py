"""`llm-stream dlq`: look at dead letters, and send them again."""

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from stream.cli import dlq_texts, output
from stream.cli.task_folders import results_topics, unknown_task
from stream.cli.waiting import kafka_settings
from stream.cli.when import now_ms, start_from
from stream.codecs.cloudevents import time_ms
from stream.core import headers as names
from stream.core.errors import CODES, INTERNAL_ERROR
from stream.core.spelling import did_you_mean
from stream.dlq import letters
from stream.dlq import replay as replaying
from stream.dlq.envelope import DeadLetter, coordinates
from stream.dlq.letters import Filter
from stream.dlq.replay import Replays
from stream.dlq.sequel import sequel
from stream.kafka import decisions
from stream.kafka.decisions import Decision
from stream.kafka.sending import Delivered

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
    settings = kafka_settings(ctx)
    if stage is not None and stage not in CODES:
        raise typer.BadParameter(f"there is no stage {stage!r}{did_you_mean(stage, CODES)}", param_hint="--stage")
    _refuse_unknown_code(code)
    if doubt := unknown_task(task, settings):
        output.noted(doubt)
    start = start_from(since, now_ms(), "--since")
    found = letters.newest(settings, Filter(task, stage, code), limit, start)
    replays = Replays.read(settings)
    if as_json:
        output.emit_json([_letter_json(letter, replays.of(letter)) for letter in found])
        return
    _tell(found, [len(replays.of(letter)) for letter in found])
    if len(found) == limit:
        output.say(f"The newest {limit}; there may be more: --limit, --since.", "dim")
    elif not found:
        output.passed(f"no dead letters match in {settings.topics.dlq}")


@app.command()
def show(ctx: typer.Context, dead_letter_id: Id, as_json: Json = False) -> None:
    """Show everything about one dead letter: what was wrong, what it cost, the request as it came."""
    settings = kafka_settings(ctx)
    letter = letters.by_id(settings, _checked(dead_letter_id))
    replays = Replays.read(settings).of(letter)
    if as_json:
        output.emit_json(_letter_json(letter, replays))
        return
    after = sequel(settings, letter, replays, results_topics(settings))
    output.print_lines(dlq_texts.page(letter, replays, after, output.width()))
    why_not = replaying.refusal(letter, settings, len(replays), after, force=False)
    output.say()
    if why_not is not None:
        output.noted(f"It can't be sent again as it is. {why_not}")
    elif not after.waiting:
        if doubt := replaying.doubt(letter):
            output.noted(doubt)
        output.say(f"Send it again{' if it has' if doubt else ''} (--why may be left out):")
        output.command(f"llm-stream dlq replay {letter.id} --why '...'")


@app.command()
def replay(
    ctx: typer.Context,
    dead_letter_id: Id,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who read the decision later.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if it was sent again twice already, or that has a result.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send a dead letter again: a new request with the same id. Exit 1 when it is refused."""
    settings = kafka_settings(ctx)
    letter = letters.by_id(settings, _checked(dead_letter_id))
    _warn_if_expired(letter)
    done = replaying.replay(
        settings,
        letter,
        by=decisions.by_whom(),
        why=why,
        at_ms=now_ms(),
        force=force,
        results_topics=results_topics(settings),
        warn=output.noted,
    )
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
        f"{letter.id} is sent again (replay {done.count}) as {done.request.topic}:{done.request.partition}:"
        f"{done.request.offset}, with its decision"
    )
    if letter.request_id is not None:
        output.command(f"llm-stream find {shlex.quote(letter.request_id)}")


def _refuse_unknown_code(code: str | None) -> None:
    """Raises BadParameter with the code that was meant, or with all there are: nothing could ever match."""
    codes = {INTERNAL_ERROR}.union(*CODES.values())
    known = codes | {f"{stage}/{each}" for stage, own in CODES.items() for each in (*own, INTERNAL_ERROR)}
    if code is None or code in known:
        return
    near = did_you_mean(code, known)
    meant = near if near.startswith(" (did you mean") else f"; there are {', '.join(sorted(codes))}"
    raise typer.BadParameter(f"there is no code {code!r}{meant}", param_hint="--code")


def _checked(dead_letter_id: str) -> str:
    try:
        coordinates(dead_letter_id)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from None
    return dead_letter_id


def _tell(found: Sequence[DeadLetter], replays: Sequence[int]) -> None:
    width = output.width()
    if width is None:
        output.table(dlq_texts.COLUMNS, [dlq_texts.row(*each) for each in zip(found, replays, strict=True)])
        return
    if not found:
        return
    output.listing(
        *dlq_texts.listed([dlq_texts.entry(*each, width) for each in zip(found, replays, strict=True)], width)
    )


def _letter_json(letter: DeadLetter, replays: Sequence[Decision]) -> dict[str, Any]:
    return {**letter.as_json(), "replays": [each.as_json() for each in replays]}


def _warn_if_expired(letter: DeadLetter) -> None:
    until = names.text(letter.record.headers, "ce_expirytime")
    until_ms = None if until is None else time_ms(until)
    if until_ms is not None and until_ms <= now_ms():
        output.noted(f"Its ce_expirytime ({until}) has passed: no call will be made for it (route/expired).")


def _place(where: Delivered) -> dict[str, str | int]:
    return {"topic": where.topic, "partition": where.partition, "offset": where.offset}
