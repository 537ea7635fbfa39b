"""The demo as a person sees it: one screen of at most 24 lines that repaints itself, or plain lines where nobody looks.

`frame` is pure. Colours only add: every mark that means something differs in shape too, for terminals without them.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stream.core.counting import counted
from stream.core.printable import printable_line
from stream.demo.page import hanging
from stream.demo.plot import Act
from stream.demo.view import Event, GateSeen, Tone, View

WIDEST = 100
TALLEST = 24
LINE_EVERY_S = 2.0

_CLEARED = "\r\x1b[K"
_LABEL = 11
_BARS = "▁▂▃▄▅▆▇█"
_TONES: dict[Tone, str] = {"plain": "", "good": "green", "bad": "red", "dead": "yellow", "quiet": "dim"}
_STORMY = (Act.RATE_LIMIT, Act.OUTAGE)
_PARTS: tuple[tuple[str, str, str], ...] = (
    ("█", "green", "results"),
    ("▓", "yellow", "dead letters"),
    ("▒", "red", "under way"),
    ("·", "dim", "to come"),
)


class Show(Protocol):
    """Where the demo is shown."""

    def event(self, event: Event) -> None:
        """Something happened."""
        ...

    def update(self, view: View) -> None:
        """The figures now; called several times a second."""
        ...

    def close(self) -> None:
        """Nothing more will happen; what is on the screen stays there."""
        ...


class Screen:
    """For a terminal: repaints in place."""

    def __init__(self, console: Console, intro: Sequence[str]) -> None:
        self._console = console
        self._intro = intro
        self._events: list[Event] = []
        self._view: View | None = None
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop", redirect_stderr=False)
        console.file.write(_CLEARED)  # whatever stands on this line: the screen begins here
        self._live.start()

    def event(self, event: Event) -> None:
        self._events = [*self._events[-TALLEST:], event]

    def update(self, view: View) -> None:
        self._view = view
        self._paint()

    def close(self) -> None:
        self._paint()
        self._live.stop()

    def _paint(self) -> None:
        if self._view is not None:
            width, height = self._console.size
            lines = frame(self._view, self._intro, self._events, width, height)
            self._live.update(Text("\n").join(lines), refresh=True)


class Lines:
    """For a file or a pipe: a line for each event, and for the figures every two seconds."""

    def __init__(self, console: Console, intro: Sequence[str]) -> None:
        self._console = console
        self._said_s = 0.0
        for line in intro:
            self._print(Text(line))

    def event(self, event: Event) -> None:
        self._print(Text(f"{event.at_s:6.1f} s  {printable_line(event.text)}", _TONES[event.tone]))

    def update(self, view: View) -> None:
        if view.act is not Act.START and view.at_s - self._said_s >= LINE_EVERY_S:
            self._said_s = view.at_s
            self._print(Text(f"{view.at_s:6.1f} s  {figures(view)}"))

    def close(self) -> None:
        return

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def show(console: Console, intro: Sequence[str]) -> Show:
    """The screen for a terminal that can repaint, else lines."""
    repaints = console.is_terminal and not console.is_dumb_terminal
    return Screen(console, intro) if repaints else Lines(console, intro)


def figures(view: View) -> str:
    """The figures in one line."""
    return (
        f"[{view.act}] {view.done} of {view.records} done: {counted(view.results, 'result')}, "
        f"{counted(view.dead_letters, 'dead letter')}; {view.in_flight} in flight, {view.waiting} waiting; "
        f"{counted(view.calls, 'call')}, {view.refused} refused; ${view.micro_usd / 1_000_000:.4f}"
        + "".join(f"; {gate.provider} shut, {_probe(gate)}" for gate in view.gates if gate.cause)
    )


def frame(view: View, intro: Sequence[str], events: Sequence[Event], width: int, height: int) -> list[Text]:
    """The screen: as many of the latest events as fit below the figures. width, height: of the terminal, in cells."""
    width = min(width - 1, WIDEST)
    lines = [
        _head(view, width),
        *(Text(line, "dim") for line in intro),
        Text(),
        _acts(view.act),
        Text(),
        _bar(view, max(width - 2, 10)),
        _legend(view),
        Text(),
        _labelled("calls", _calls(view, width - _LABEL - 2)),
        _labelled("right now", Text(_right_now(view))),
        *(_gate(gate, number) for number, gate in enumerate(view.gates)),
        _labelled("money", Text.assemble((f"${view.micro_usd / 1_000_000:.4f}", "bold"), (_per_result(view), "dim"))),
        Text(),
    ]
    room = min(height - 1, TALLEST) - len(lines)
    lines += _told(events, max(room, 1), width)
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines[: max(height - 1, 1)]


def _head(view: View, width: int) -> Text:
    left = Text.assemble(("llm-stream demo", "bold cyan"))
    right = f"{view.at_s:5.1f} s"
    return left + Text(" " * max(1, width - left.cell_len - len(right))) + Text(right, "bold")


def _acts(now: Act) -> Text:
    """The acts in a row: past, present, to come."""
    order = list(Act)
    line = Text(" ")
    for act in order:
        if line.cell_len > 1:
            line.append("  ")
        if order.index(act) < order.index(now):
            line.append(f"✓ {act}", "dim")
        elif act is now:
            line.append(f"▶ {act.upper()}", "bold white on red" if act in _STORMY else "bold black on green")
        else:
            line.append(f"  {act}", "dim")
    return line


def _bar(view: View, width: int) -> Text:
    bar = Text(" ")
    for (glyph, style, _), cells in zip(_PARTS, cells_of(_amounts(view), width), strict=True):
        bar.append(glyph * cells, style)
    return bar


def _legend(view: View) -> Text:
    line = Text(" ")
    for (glyph, style, name), amount in zip(_PARTS, _amounts(view), strict=True):
        line.append(f"{glyph} ", style)
        line.append(f"{amount} ", "bold")
        line.append(f"{name}   ")
    return line


def _amounts(view: View) -> tuple[int, int, int, int]:
    """Requests by what became of them, in the order of `_PARTS`; they add up to the records."""
    under_way = max(view.sent - view.done, 0)
    return view.results, view.dead_letters, under_way, max(view.records - view.done - under_way, 0)


def cells_of(amounts: Sequence[int], width: int) -> list[int]:
    """How many of `width` cells each amount gets: together all of them, and none that isn't nothing gets none."""
    total = sum(amounts)
    if total == 0:
        return [0 for _ in amounts]
    cells = [max(1, amount * width // total) if amount else 0 for amount in amounts]
    largest = max(range(len(amounts)), key=lambda index: amounts[index])
    cells[largest] = max(0, cells[largest] + width - sum(cells))
    return cells


def sparkline(rates: Iterable[float], cells: int) -> str:
    """The latest rates as bars, against the highest of them."""
    shown = list(rates)[-cells:] if cells > 0 else []
    highest = max(shown, default=0.0)
    if not highest:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, round(rate / highest * (len(_BARS) - 1)))] for rate in shown)


def _calls(view: View, width: int) -> Text:
    now = f"{view.rates[-1]:3.0f}/s" if view.rates else "  0/s"
    total = f"   {view.calls} in all, {view.refused} refused"
    bars = sparkline(view.rates, min(36, width - len(now) - len(total) - 2))
    return Text.assemble((bars, "cyan"), "  ", (now, "bold"), (total, "dim"))


def _gate(gate: GateSeen, number: int) -> Text:
    line = Text.assemble((f"{gate.provider} ", ""))
    if not gate.cause:
        line.append("● open", "green")
    else:
        line.append(f"○ shut: {gate.cause}", "bold red")
        line.append(f", {_probe(gate)}")
    return _labelled("gates" if number == 0 else "", line)


def _probe(gate: GateSeen) -> str:
    failed = f"{counted(gate.probes, 'probe')} failed, " if gate.probes else ""
    when = "on its way" if gate.probe_in_s is None else f"in {gate.probe_in_s:.1f} s"
    return f"{failed}{'next' if failed else 'first probe'} {when}"


def _right_now(view: View) -> str:
    all_shut = bool(view.gates) and all(gate.cause for gate in view.gates)
    until = " until a probe gets through" if all_shut and view.waiting else ""
    return f"{view.in_flight} in flight, {view.waiting} waiting{until}"


def _per_result(view: View) -> str:
    return f"   ${view.micro_usd / 1_000_000 / view.results:.6f} a result (simulated)" if view.results else ""


def _labelled(label: str, content: Text) -> Text:
    return Text(f" {label:<{_LABEL}}", "dim") + content


def _told(events: Sequence[Event], room: int, width: int) -> list[Text]:
    """The latest events, as many lines as there is room for; what doesn't fit behind the time goes on below."""
    lines: list[Text] = []
    for event in events[-room:]:
        time = f"{event.at_s:6.1f} s  "
        told = hanging(Text(printable_line(event.text), _TONES[event.tone]), width, time, " " * len(time))
        told[0].stylize("dim", 0, len(time))
        lines += told
    return lines[-room:]
