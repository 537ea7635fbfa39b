"""Figures as a table, for the terminal and for docs/benchmarks.md."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside its reference. met: None where nothing was promised.

    wanted: in words. ratio: figure / reference, None where it says nothing.
    """

    letter: str
    what: str
    figure: str
    reference: str
    ratio: float | None
    wanted: str
    met: bool | None

    def cells(self) -> tuple[str, ...]:
        """The row."""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.letter, self.what, self.figure, self.reference, ratio, self.wanted, met


HEAD = ("", "what", "figure", "reference", "ratio", "wanted", "met")


def as_text(figures: Sequence[Figure]) -> str:
    """Columns aligned by spaces."""
    rows = [HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def as_markdown(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    rows = [HEAD, ("---",) * len(HEAD), *(figure.cells() for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
