"""The commands, in the order that `--help` lists them. To add one: a module with a Typer app, and a row here.

The module is imported only when its command runs, so that `--help` is fast whatever a command needs. A row's help is
how the command's own help begins (a test says so).
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A command: its name, its one-line help, the module that has it, and the name of the Typer app there."""

    name: str
    help: str
    module: str
    attribute: str = "app"


COMMANDS: tuple[Row, ...] = (
    Row("config", "Check and show the settings.", "stream.cli.config"),
)
