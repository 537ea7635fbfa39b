"""`llm-stream worker`: the worker itself."""

import os
import signal
from typing import Annotated

import typer

from stream.cli.invocation import loaded_settings
from stream.core.errors import ConfigError

_STDERR = 2


def worker(
    ctx: typer.Context,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop by itself after N requests. For careful first runs.")
    ] = None,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(
            callback=lambda dollars: _above_zero(dollars),
            metavar="X",
            help="Stop by itself at X dollars; a call in the air counts as the dearest so far, the first two as 0.",
        ),
    ] = None,
    accept_gap: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION", help="Count what a stopped partition has lost as lost, and read on."),
    ] = None,
    accept_rerun: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION", help="Run what a stopped partition may have done already again."),
    ] = None,
) -> None:
    """Read requests, call the models, publish results and dead letters. Ctrl-C or SIGTERM drains and ends it."""
    # The imports below take seconds, and so may a broker that isn't there. Until the worker takes the signals over
    # there is nothing to drain, and an orderly stop must not look like a crash to whoever asked for it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_at_once)
    from stream import app
    from stream.kafka.assignment import TopicPartition

    def partitions(kind: str, texts: list[str] | None) -> list[tuple[str, TopicPartition]]:
        return [(kind, TopicPartition(*_topic_and_number(text, kind))) for text in texts or ()]

    options = app.WorkerOptions(
        [*partitions("accept_gap", accept_gap), *partitions("accept_rerun", accept_rerun)], limit, max_cost_usd
    )
    app.run_worker(loaded_settings(ctx).settings, options)


def _above_zero(dollars: float | None) -> float | None:
    if dollars is not None and not dollars > 0:
        raise typer.BadParameter(f"{dollars:g} would pay for nothing; give an amount above 0, or leave it out.")
    return dollars


def _leave_at_once(number: int, frame: object) -> None:
    """The answer to a signal while nothing is under way. Whoever reads the log gets no line of another form."""
    if os.isatty(_STDERR):
        os.write(_STDERR, b"Ended before any request was taken: nothing is left undone.\n")
    os._exit(0)


def _topic_and_number(text: str, kind: str) -> tuple[str, int]:
    topic, _, number = text.rpartition(":")
    if not topic or not number.isascii() or not number.isdigit():
        flag = f"--{kind.replace('_', '-')}"
        raise ConfigError(f"{flag} {text!r} isn't TOPIC:PARTITION; for example {flag} llm.requests:3")
    return topic, int(number)
