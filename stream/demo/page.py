"""Text for people, laid out: titled sections of indented lines that fit the terminal, bounded, colours optional.

What stands in a line came from anywhere, so control characters are escaped and nothing is read as markup.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from stream.core.printable import printable, printable_line

INDENT = "  "
_NARROWEST = 40
_LONGEST_LINE = 4_000
"""Of a line that is not wrapped, because nobody's terminal shows it: more is cut off."""

_DEEPEST = 20
"""Lines that begin further in than this begin here, so that something fits behind it."""

_ITEM = re.compile(r"\s*([-*+•]|\d+[.)])\s")
_json_colours = JSONHighlighter()


class Page:
    """Lines in their order; `lines` is the result.

    width: cells to fit into; None: lines are not wrapped (a file, a pipe). full: nothing is left out.
    """

    def __init__(self, width: int | None = None, *, full: bool = False) -> None:
        self.width = None if width is None else max(width, _NARROWEST)
        self._full = full
        self.lines: list[Text] = []

    def title(self, title: str, facts: str = "") -> None:
        """A section begins."""
        if self.lines:
            self.lines.append(Text())
        line = Text(no_wrap=True)
        line.append(printable_line(title), "bold cyan")
        if facts:
            line.append("  " + printable_line(facts), "dim")
        room = min(self.width or 80, 100) - line.cell_len - 1
        if room > 2:
            line.append(" " + "─" * room, "dim")
        self.lines += [line] if self.width is None else self._fitted(line)

    def line(self, *parts: str | tuple[str, str], indent: str = INDENT, hang: int = len(INDENT)) -> None:
        """A line of plain or (text, style) parts; what doesn't fit goes on below, `hang` cells further in."""
        text = Text()
        for part in parts:
            content, style = (part, "") if isinstance(part, str) else part
            text.append(printable_line(content), style)
        if self.width is not None:
            hang = min(hang, max(self.width - _NARROWEST, len(INDENT)))
        self.lines += self._wrapped(text, indent, indent + " " * hang)

    def block(self, text: str, most: int, *, is_json: bool = False) -> None:
        """Text as it is, line by line, at most so many lines of the page; what is left out is counted."""
        shown: list[Text] = []
        for raw in printable(text).split("\n"):
            line = Text(raw.expandtabs(4))
            if is_json:
                _json_colours.highlight(line)
            lead = len(line.plain) - len(line.plain.lstrip(" "))
            own = " " * min(lead, _DEEPEST)
            further = INDENT if is_json or _ITEM.match(line.plain) else ""
            shown += self._wrapped(line[lead:], INDENT + own, INDENT + own + further)
        if not self._full and len(shown) > most + 1:  # one line more is no longer than the line that leaves it out
            left_out = len(shown) - most
            shown = [*shown[:most], Text(f"{INDENT}… {left_out:,} more lines (--full shows them)", "dim italic")]
        self.lines += shown

    def json(self, value: Any, most: int) -> None:
        """A value as indented JSON."""
        self.block(json.dumps(value, indent=2, ensure_ascii=False, default=str), most, is_json=True)

    def pairs(self, rows: Iterable[tuple[str, str]], *, style: str = "") -> None:
        """Names and values in two columns, a line each; values are cut where the line ends."""
        listed = [(printable_line(name), printable_line(value)) for name, value in rows]
        column = max((cell_len(name) for name, _ in listed), default=0)
        for name, value in listed:
            line = Text(f"{INDENT}{name}{' ' * (column - cell_len(name))}  ", "dim", no_wrap=True)
            line.append(value, style or "not dim")
            if self._full:
                self.lines += self._fitted(line) if self.width else [line]
            else:
                line.truncate(self.width or _LONGEST_LINE, overflow="ellipsis")
                self.lines.append(line)

    def _wrapped(self, text: Text, first: str, rest: str) -> list[Text]:
        """The text in lines behind an indent."""
        if self.width is not None:
            return hanging(text, self.width, first, rest)
        if not self._full:
            text.truncate(_LONGEST_LINE, overflow="ellipsis")
        return [Text(first) + text]

    def _fitted(self, line: Text) -> list[Text]:
        return list(_pieces(line, self.width or 80))


def hanging(text: Text, width: int, first: str, rest: str) -> list[Text]:
    """The text in lines of `width` cells, the first behind `first`, the others behind `rest`."""
    deeper = max(len(rest) - len(first), 0)
    start, text = Text(first) + text[:deeper], text[deeper:]
    parts = list(_pieces(text, max(width - max(len(first), len(rest)), 1))) or [Text()]
    return [(start if number == 0 else Text(rest)) + part for number, part in enumerate(parts)]


def _pieces(text: Text, width: int) -> Iterator[Text]:
    """The text broken at words to fit, words that don't fit broken too."""
    wrapper = Console(width=width, no_color=True, force_terminal=False)
    for line in text.wrap(wrapper, width, overflow="fold", no_wrap=False):
        line.rstrip()
        yield line


def dollars(micro_usd: int | None) -> str:
    """US dollars with six digits, or that they aren't known, which is not the same as nothing."""
    return "unknown" if micro_usd is None else f"${micro_usd / 1_000_000:.6f}"
