"""`llm-stream demo`: all of it in twenty seconds, on a bad day of the provider's."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.invocation import invocation, loaded_settings
from stream.core.errors import ConfigError

if TYPE_CHECKING:
    from stream.settings import Settings

_CLEARED = "\r\x1b[K"


def demo(
    ctx: typer.Context,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="The same seed gives the same requests and faults; timing decides whom a fault meets.",
        ),
    ] = 1,
    records: Annotated[int, typer.Option(min=1, max=20_000, metavar="N", help="How many requests.")] = 200,
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving until Ctrl-C, to look around.")] = False,
    kafka: Annotated[
        str, typer.Option(metavar="ADDRESS|local", help="A Kafka of yours, or one started here (Java 17+, Maven).")
    ] = "",
) -> None:
    """See it work: broker, provider, worker, a storm, the accounts. Needs no key and calls nobody.

    With --config FILE it shows your own tasks on their examples. Exit code 0 only if the accounts balance.
    """
    from stream.cli import output

    console = output.console()
    repaints = console.is_terminal and not console.is_dumb_terminal
    sys.stdout.write("llm-stream demo: starting ..." + ("" if repaints else "\n"))
    sys.stdout.flush()
    try:
        from stream.cli.accounts_in_words import sentences  # after that line: this takes a second
        from stream.demo.run import Wishes
        from stream.demo.run import demo as run

        named = invocation(ctx).config_file or os.environ.get("LLM_STREAM_CONFIG")
        config = Path(named) if named else None
        base = _base(ctx, config, kafka)
        code = run(Wishes(base, config, seed, records, keep, kafka, sentences, program()), console)
    except BaseException:
        if repaints:  # what is said next begins a line; where the screen has begun it has done this itself
            sys.stdout.write(_CLEARED)
            sys.stdout.flush()
        raise
    if code:
        raise typer.Exit(code)


def program() -> str:
    """How this command is typed here, so that what the demo recommends works as it stands."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m stream"
    if shutil.which(called.name):
        return called.name
    return min(os.path.relpath(called), str(called.absolute()), key=len)


def _base(ctx: typer.Context, config: Path | None, kafka: str) -> "Settings":
    """The settings to start from. A file that merely lies here is not the user's wish to see their own tasks."""
    from stream.settings import Settings
    from stream.settings.servers import trouble

    if kafka not in ("", "local") and (wrong := trouble(kafka)):
        raise ConfigError(f"--kafka {wrong}.")
    loaded = loaded_settings(ctx).settings if config or kafka not in ("", "local") else Settings()
    return loaded if config else Settings(kafka=loaded.kafka)
