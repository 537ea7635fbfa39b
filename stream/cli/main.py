"""The entry point: global options, lazy commands, and the one place where errors become messages and exit codes.

0 fine · 1 the check found something · 2 wrong usage or configuration · 3 a dependency could not be reached · 4 fenced
by another worker · 130 Ctrl-C · 141 nobody reads stdout any more.
"""

import atexit
import contextlib
import errno
import gc
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from stream import __version__
from stream.cli.commands import COMMANDS, Row
from stream.cli.help import COMPLETION, in_our_words, readable
from stream.cli.invocation import Invocation
from stream.core.errors import ConfigError, DependencyError, FencedError, LlmStreamError

EXIT_CODES: dict[type[LlmStreamError], int] = {ConfigError: 2, DependencyError: 3, FencedError: 4}
"""What a command ends with; any other error of ours: 1."""

DEBUG_VARIABLE = "LLM_STREAM_DEBUG"
_BROKEN_PIPE = 141
_CANT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_ROWS = {row.name: row for row in COMMANDS}


class LazyGroup(TyperGroup):
    """The commands of the table as stand-ins that know name and help; the real one is imported when it runs."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = {row.name: TyperCommand(row.name, help=row.help, short_help=row.help) for row in COMMANDS}
        readable(self)

    def get_params(self, ctx: Any) -> Any:
        """The options; those about shell completion work, but are not listed."""
        params = super().get_params(ctx)
        for each in params:
            if each.name in COMPLETION:
                each.hidden = True  # type: ignore[attr-defined]  # both are options
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`--config` may stand before or after the command's name."""
        return super().parse_args(ctx, config_first(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command for the stand-in."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _real(_ROWS[str(name)]), rest

    def invoke(self, ctx: Any) -> Any:
        """Run it; our errors become a message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = in_our_words(error.message)
            raise
        except LlmStreamError as error:
            _explain(error)
            raise typer.Exit(exit_code(error)) from error
        except BrokenPipeError as error:
            _forget_stdout()
            raise typer.Exit(_BROKEN_PIPE) from error
        except OSError as error:
            if error.errno not in _CANT_WRITE:
                raise
            _forget_stdout()
            unheard = DependencyError(f"What this command says could not be written: {error.strerror}.")
            _explain(unheard)
            raise typer.Exit(exit_code(unheard)) from error


app = typer.Typer(
    name="llm-stream",
    help="Kafka workers that call language models and never fail silently.",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"llm-stream {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Default: $LLM_STREAM_CONFIG, else ./llm-stream.toml."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Kafka workers that call language models and never fail silently."""
    ctx.obj = Invocation(config)


def main() -> None:
    """Run the command line of this process; ends it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 must not end a command
    atexit.register(gc.freeze)  # taking thousands of modules apart at the end takes up to a second, and helps nobody
    typer.main.get_command(app)(prog_name="llm-stream")


def exit_code(error: LlmStreamError) -> int:
    """What a command that met this error ends with."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def config_first(args: list[str]) -> list[str]:
    """The arguments with `-c FILE` or `--config FILE`, wherever it stands before a `--`, moved to the front."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    position = 0
    while position < end:
        arg = args[position]
        width = 2 if arg in ("-c", "--config") else 1
        ours = width == 2 or arg.startswith("--config=")
        (front if ours else rest).extend(args[position : min(position + width, end)])
        position += width
    return [*front, *rest, *args[end:]]


def _real(row: Row) -> Any:
    target = getattr(importlib.import_module(row.module), row.attribute)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer()
        target.command()(function)
    command = readable(typer.main.get_command(target))
    command.name = row.name
    return command


def _explain(error: LlmStreamError) -> None:
    from stream.cli import output  # rich takes its time: --help of a fast command doesn't need it

    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        import traceback

        sys.stderr.write("".join(traceback.format_exception(error)))
    output.error(str(error))


def _forget_stdout() -> None:
    """So that nothing is written to the closed pipe when the interpreter ends."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
