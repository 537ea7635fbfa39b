"""Partitions as a person reads them at a terminal: a table for each topic, those that hold nothing counted only."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len

from stream.cli import layout, output
from stream.core.counting import counted

LONG = 20
"""A page of more lines than this pushes what was said before it out of sight."""


class Row(NamedTuple):
    """A partition. cells: under the headings, the partition's number first. is_empty: nothing to tell of it."""

    topic: str
    cells: Sequence[output.Cell]
    is_empty: bool


def tables(headings: Sequence[str], rows: Iterable[Row], width: int) -> Iterator[tuple[str, str]]:
    """The lines, each with its style."""
    for topic, group in groupby(rows, key=lambda row: row.topic):
        of_topic = list(group)
        full = [row for row in of_topic if not row.is_empty]
        empty = len(of_topic) - len(full)
        yield topic, "bold"
        if full:
            head, *lines = output.aligned(headings, [[output.cell(value) for value in row.cells] for row in full])
            indent = layout.GAP if cell_len(layout.GAP + head) <= width else ""
            yield indent + head, "dim"
            yield from ((indent + line, "") for line in lines)
            if empty:
                yield f"{indent}and {counted(empty, 'empty partition')}", "dim"
        else:
            yield f"{layout.GAP}{counted(empty, 'partition')}, {'all of them' if empty > 1 else 'it is'} empty", "dim"


def show(headings: Sequence[str], rows: Iterable[Row], width: int) -> bool:
    """Print the tables on stdout. Whether that was long."""
    lines = list(tables(headings, rows, width))
    for line, style in lines:
        output.print_lines([line], style)
    return len(lines) > LONG
