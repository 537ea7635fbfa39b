"""Lines that fit a terminal: text and a width in, lines out. Nothing is ever left out.

Text is broken between words only: a word that is wider than the line (an id, a path) stays whole, and so does a command
of ours with its first argument, so that it can be copied.
"""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

GAP = "  "
INDENT = "    "

_COMMAND = re.compile(r"llm-stream (?:(?:config|dlq|topics) )?[a-z]+(?: (?=\S*[\d'])\S+)?")
_GLUE = "\0"
"""Stands for a space that is no place to break."""


def wrapped(text: str, width: int | None, first: str = "", rest: str = "") -> list[str]:
    """The text behind `first`, and what doesn't fit behind `rest`. width: in cells, indents included; None: one line.

    Its own line breaks are kept, and what such a line begins with (spaces) is kept on the lines that continue it.
    """
    lines: list[str] = []
    for raw in text.split("\n"):
        lead = first if not lines else rest
        body = raw.lstrip(" ")
        own = " " * (len(raw) - len(body))
        lines += _broken(body, width, lead + own, rest + own)
    return lines


def _broken(text: str, width: int | None, first: str, rest: str) -> list[str]:
    if width is None:
        return [first + text]
    lines: list[str] = []
    line, has_words = first, False
    glued = _COMMAND.sub(lambda command: command[0].replace(" ", _GLUE), text)
    for word in (each.replace(_GLUE, " ") for each in glued.split(" ")):
        longer = f"{line} {word}" if has_words else line + word
        if has_words and cell_len(longer.rstrip()) > width:
            lines.append(line.rstrip())
            longer = rest + word
        line, has_words = longer, True
    return [*lines, line.rstrip()]


def filled(pairs: Iterable[tuple[str, str]], width: int | None, indent: str = INDENT) -> list[str]:
    """`name: value` pairs, as many on a line as fit; only a pair that is wider than a line is broken, between words."""
    lines: list[str] = []
    line = ""
    for name, value in pairs:
        pair = f"{name}: {value}"
        if line and width is not None and cell_len(f"{indent}{line}{GAP} {pair}") > width:
            lines += wrapped(line, width, indent, indent + GAP)
            line = ""
        line = f"{line}{GAP} {pair}" if line else pair
    return lines + wrapped(line, width, indent, indent + GAP) if line else lines


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool], lead: str = "") -> list[str]:
    """A line for each row, its cells in columns. right: which columns are aligned right."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(right))] if rows else []
    lines = []
    for row in rows:
        cells = []
        for text, width, numbers in zip(row, widths, right, strict=True):
            blank = " " * (width - cell_len(text))
            cells.append(blank + text if numbers else text + blank)
        lines.append((lead + GAP.join(cells)).rstrip())
    return lines


def folded(cells: Sequence[str], line: str, width: int) -> list[str]:
    """The aligned line of these cells; where it is too wide, its last cells on lines of their own below."""
    if cell_len(line) <= width:
        return [line]
    *first, last = (each.rstrip() for each in cells)
    if not first:
        return [line]
    if not last:
        return folded(first, line.rstrip(), width)
    return [*folded(first, line[: line.rindex(last)].rstrip(), width), *wrapped(last, width, INDENT, INDENT + GAP)]
