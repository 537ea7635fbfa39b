"""How commands speak: data on stdout, words for people on stderr, no colour and no broken lines outside a terminal.

Text that comes from records may hold anything: what is printed for people has its control characters escaped, so that
nobody can write to an operator's terminal through a topic.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from stream.cli import layout
from stream.core.printable import printable as printable
from stream.core.printable import printable_line

Cell = str | int | float | bool | None


def say(text: str = "", style: str = "") -> None:
    """A line for people, on stderr."""
    body = printable(text)
    _say_lines(layout.wrapped(body, width(stderr=True), "", "  " if body else ""), style)


def command(text: str) -> None:
    """Something to type, on a line of its own, which is never broken."""
    _say_lines([f"  {printable_line(text)}"], "bold")


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
    _marked("Error:", "bold red", text, rest="")


def emit_json(value: Any) -> None:
    """A value as one line of JSON, on stdout. Raises ValueError for what JSON can't say."""
    from stream.codecs.strict_json import dumps

    sys.stdout.write(dumps(value).decode() + "\n")
    sys.stdout.flush()


def emit_record(value: Any, *, first: bool = True) -> None:
    """A value on stdout: one line of JSON; at a terminal indented, with an empty line before all but the first."""
    shown = console()
    if not shown.is_terminal:
        emit_json(value)
        return
    from rich.highlighter import JSONHighlighter

    text = Text(printable(json.dumps(value, indent=2, ensure_ascii=False)))
    JSONHighlighter().highlight(text)
    if not first:
        shown.print()
    shown.print(text, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Rows under headings, on stdout; columns of numbers are aligned right.

    In a pipe a row is a line, however long; at a terminal a cell that doesn't fit goes below, with those behind it.
    """
    cells = [[cell(value) for value in row] for row in rows]
    head, *lines = aligned(columns, cells)
    room = width()
    print_lines([head] if room is None else layout.folded(columns, head, room), "bold")
    for row, line in zip(cells, lines, strict=True):
        print_lines([line] if room is None else layout.folded(row, line, room))


def listing(columns: Sequence[str], rows: Iterable[tuple[Sequence[Cell], Sequence[str]]]) -> None:
    """A table for a terminal, on stdout, with lines of text below each row: lines that fit already."""
    listed = [([cell(value) for value in row], below) for row, below in rows]
    head, *lines = aligned(columns, [row for row, _ in listed])
    print_lines([head], "bold")
    for line, (_, below) in zip(lines, listed, strict=True):
        print_lines([line])
        print_lines(below, "dim")


def aligned(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The headings' line, and one for each row."""
    numbers = [bool(cells) and all(_is_number(row[place]) for row in cells) for place in range(len(columns))]
    return layout.aligned([columns, *cells], numbers)


def print_lines(lines: Iterable[str], style: str = "") -> None:
    """Lines that fit already, on stdout."""
    shown = console()
    for line in lines:
        shown.print(Text(printable_line(line), style=style), soft_wrap=True)


def width(*, stderr: bool = False) -> int | None:
    """How wide the terminal is, in cells; None where stdout (or stderr) is none: then nothing is to be broken."""
    shown = console(stderr=stderr)
    return shown.width if shown.is_terminal else None


def progress_wanted() -> bool:
    """Whether bars and spinners may be drawn: only where a person watches."""
    return console(stderr=True).is_terminal


class _Console(Console):
    """A console that lets a closed pipe be seen: the library's own ends the process with 1, as a check that failed."""

    def on_broken_pipe(self) -> None:
        """The entry point knows what to do."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """What commands print with. Made anew each time: streams are swapped under tests and redirections."""
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _marked(mark: str, style: str, text: str, rest: str | None = None) -> None:
    lead = f"{mark} "
    hang = " " * len(lead) if rest is None else rest
    first, *more = layout.wrapped(printable(text), width(stderr=True), lead, hang)
    shown = console(stderr=True)
    shown.print(Text.assemble((mark, style), first[len(mark) :]), soft_wrap=True)
    _say_lines(more)


def _say_lines(lines: Iterable[str], style: str = "") -> None:
    shown = console(stderr=True)
    for line in lines:
        shown.print(Text(line, style=style), soft_wrap=True)


def cell(value: Cell) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return printable_line(str(value))


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit() or not text
