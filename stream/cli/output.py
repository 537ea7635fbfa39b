"""How commands speak: data on stdout, words for people on stderr, no colour and no cut-off lines outside a terminal.

Text that comes from records may hold anything: what is printed for people has its control characters escaped, so that
nobody can write to an operator's terminal through a topic.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.core.printable import printable as printable
from stream.core.printable import printable_line

Cell = str | int | float | bool | None


def say(text: str = "", style: str = "") -> None:
    """A line for people, on stderr."""
    _console(stderr=True).print(Text(printable(text), style=style), soft_wrap=True)


def passed(text: str) -> None:
    """A check that found nothing wrong."""
    _marked("✓", "green", text)


def failed(text: str) -> None:
    """A check that found something; the text says what to do."""
    _marked("✗", "bold red", text)


def noted(text: str) -> None:
    """Something to know that isn't wrong by itself."""
    _marked("!", "yellow", text)


def error(text: str) -> None:
    """Why the command ends."""
    first, *rest = printable(text).split("\n")
    console = _console(stderr=True)
    console.print(Text.assemble(("Error: ", "bold red"), first), soft_wrap=True)
    for line in rest:
        console.print(Text(line), soft_wrap=True)


def emit_json(value: Any) -> None:
    """A value as one line of JSON, on stdout. Raises ValueError for what JSON can't say."""
    from stream.codecs.strict_json import dumps

    sys.stdout.write(dumps(value).decode() + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "") -> None:
    """Rows under headings, on stdout; columns of numbers are aligned right. Piped, it is plain text, one line a row."""
    cells = [[_cell(value) for value in row] for row in rows]
    materialised = [list(column) for column in zip(*cells, strict=True)] if cells else [[] for _ in columns]
    right = [bool(column) and all(_is_number(text) for text in column) for column in materialised]
    if _console().is_terminal:
        _rich_table(columns, cells, right, title)
    else:
        _plain_table(columns, cells, right)


def progress_wanted() -> bool:
    """Whether bars and spinners may be drawn: only where a person watches."""
    return _console(stderr=True).is_terminal


def _console(*, stderr: bool = False) -> Console:
    """Made anew each time: streams are swapped under tests and redirections."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _marked(mark: str, style: str, text: str) -> None:
    _console(stderr=True).print(Text.assemble((mark, style), " ", printable(text)), soft_wrap=True)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return printable_line(str(value))


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit() or not text


def _rich_table(columns: Sequence[str], cells: list[list[str]], right: list[bool], title: str) -> None:
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for name, numbers in zip(columns, right, strict=True):
        shown.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        shown.add_row(*(Text(text) for text in row))
    _console().print(shown)


def _plain_table(columns: Sequence[str], cells: list[list[str]], right: list[bool]) -> None:
    lines = [list(columns), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (
            text.rjust(width) if numbers else text.ljust(width)
            for text, width, numbers in zip(line, widths, right, strict=True)
        )
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    sys.stdout.flush()
