"""The demo's screen: fits, says what happens without colours too, and lets nobody write to the terminal."""

import io
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stream.demo.plot import Act
from stream.demo.screen import TALLEST, Lines, Screen, cells_of, figures, frame, show, sparkline
from stream.demo.view import Event, GateSeen, View

GATES = (GateSeen("anthropic"), GateSeen("openai", "it answers 429", 2.04))
VIEW = View(
    12.3, Act.RATE_LIMIT, 200, sent=120, results=60, dead_letters=10, in_flight=4, waiting=46, calls=90, refused=7,
    micro_usd=281_300, rates=(0.0, 20.0, 10.0), gates=GATES,
)  # fmt: skip
INTRO = ["what runs here", "what it promises", "what is sent"]


def shown(view: View = VIEW, events: list[Event] | None = None, width: int = 80, height: int = 24) -> str:
    return "\n".join(line.plain for line in frame(view, INTRO, events or [], width, height))


def test_the_screen_tells_the_figures() -> None:
    text = shown()
    for told in ("12.3 s", "60 results", "10 dead letters", "50 under way", "80 to come", "90 in all, 7 refused"):
        assert told in text
    assert "4 in flight, 46 waiting" in text
    assert "$0.2813" in text


def test_acts_and_gates_can_be_told_apart_without_colours() -> None:
    text = shown()
    assert "✓ start  ✓ calm  ▶ STORM: 429" in text
    assert "anthropic ● open" in text
    assert "openai ○ shut: it answers 429, first probe in 2.0 s" in text


def test_while_every_gate_is_shut_it_says_what_is_waited_for() -> None:
    shut = (GateSeen("anthropic", "it answers 529", 1.25, 2), GateSeen("openai", "it answers 429", None, 1))
    text = shown(replace(VIEW, in_flight=0, gates=shut))
    assert "right now  0 in flight, 46 waiting until a probe gets through" in text
    assert "anthropic ○ shut: it answers 529, 2 probes failed, next in 1.2 s" in text
    assert "openai ○ shut: it answers 429, 1 probe failed, next on its way" in text
    assert "; anthropic shut, 2 probes failed, next in 1.2 s; openai shut," in figures(replace(VIEW, gates=shut))


def test_an_event_that_is_too_long_goes_on_below_behind_the_time() -> None:
    text = shown(events=[Event(1.0, "word " * 30 + "end")])
    last = text.splitlines()[-3:]
    assert last[0].startswith("   1.0 s  word")
    assert last[1].startswith(" " * 10 + "word")
    assert last[2].endswith("end")


def test_a_probe_that_is_due_is_said_to_be_on_its_way() -> None:
    assert "first probe on its way" in shown(replace(VIEW, gates=(GateSeen("p", "it answers 500"),)))


@given(width=st.integers(10, 200), height=st.integers(2, 60), events=st.integers(0, 40))
def test_it_always_fits_the_terminal_and_24_lines(width: int, height: int, events: int) -> None:
    lines = frame(VIEW, INTRO, [Event(float(n), "x" * 150) for n in range(events)], width, height)
    assert len(lines) <= min(height - 1, TALLEST)
    assert all(line.cell_len < width for line in lines)


def test_the_latest_events_are_those_that_stay() -> None:
    text = shown(events=[Event(float(number), f"event {number}.") for number in range(50)])
    assert "event 49." in text
    assert "event 10." not in text


def test_what_an_event_says_cannot_reach_the_terminal() -> None:
    event = Event(1.0, "\x1b[2Jcleared\nline two [red]markup[/red]")
    text = shown(events=[event])
    assert "\\x1b[2Jcleared\\nline two [red]markup[/red]" in text


@given(amounts=st.lists(st.integers(0, 10_000), min_size=4, max_size=4), width=st.integers(4, 200))
def test_the_bar_is_full_and_hides_no_amount(amounts: list[int], width: int) -> None:
    cells = cells_of(amounts, width)
    assert sum(cells) == (width if any(amounts) else 0)
    assert all(cell > 0 for cell, amount in zip(cells, amounts, strict=True) if amount)


def test_the_sparkline_is_drawn_against_its_highest_bar() -> None:
    assert sparkline([0.0, 5.0, 10.0], 10) == "▁▅█"
    assert sparkline([1.0, 2.0, 3.0], 2) == "▆█"
    assert sparkline([0.0, 0.0], 5) == "▁▁"
    assert sparkline([1.0], 0) == ""


def piped() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=False, highlight=False, markup=False), out


def test_outside_a_terminal_there_is_a_line_for_each_event_and_once_it_has_begun_figures_every_two_seconds() -> None:
    console, out = piped()
    lines = show(console, INTRO)
    assert isinstance(lines, Lines)
    lines.event(Event(0.5, "a \x1b[31mbroker\x1b[0m came"))
    lines.update(View(9.0, Act.START, 200))
    for at_s in (0.6, 1.9, 2.1, 2.5, 3.9, 4.2):
        lines.update(replace(VIEW, at_s=at_s))
    lines.close()
    said = out.getvalue().splitlines()
    assert said[:4] == [*INTRO, "   0.5 s  a \\x1b[31mbroker\\x1b[0m came"]
    assert [line[:10] for line in said[4:]] == ["   2.1 s  ", "   4.2 s  "]
    assert figures(VIEW) in said[4]


def test_a_terminal_is_repainted_and_keeps_the_last_frame() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system=None, legacy_windows=False)
    screen = show(console, INTRO)
    assert isinstance(screen, Screen)
    screen.event(Event(1.0, "it rains"))
    screen.update(VIEW)
    screen.close()
    assert "it rains" in out.getvalue()
    assert "60 results" in out.getvalue().rpartition("llm-stream demo")[2]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(show(console, INTRO), Lines)
