"""What waits at a shut gate is said again and again, less often as time goes by."""

from typing import Any

import structlog

from stream.telemetry.figures import Figures
from stream.telemetry.log_watch import NEEDS_A_PERSON
from stream.telemetry.reminder import EVERY_S, Reminder

GATE = {"provider": "main", "scope": "account", "cause": "account", "detail": "no credit", "next_probe_s": 40.0}


def lines_over(seconds: float, gate: dict[str, Any] = GATE) -> list[dict[str, Any]]:
    """What is said while a gate stays shut, looking every `EVERY_S`."""
    lines: list[dict[str, Any]] = []

    def keep(_: Any, level: str, event: dict[str, Any]) -> dict[str, Any]:
        lines.append({"level": level, **event})
        raise structlog.DropEvent

    now_s = [3.0]
    reminder = Reminder(
        structlog.wrap_logger(None, processors=[keep]).bind(),
        lambda: [gate | {"shut_for_s": now_s[0]}],
        lambda: Figures(waiting=12, in_flight=1),
    )
    while now_s[0] <= seconds:
        reminder.look()
        now_s[0] += EVERY_S
    return lines


def test_a_gate_that_just_shut_has_said_so_already():
    assert lines_over(4) == []


def test_a_line_says_how_many_wait_for_what_and_how_long_yet():
    assert lines_over(14)[0] == {
        "level": "warning",
        "event": "still shut; requests wait, none is lost",
        "provider": "main",
        "scope": "account",
        "cause": "account",
        "shut_for_s": 13,
        "next_probe_s": 40.0,
        "waiting": 12,
        "in_flight": 1,
        "what_to_do": NEEDS_A_PERSON["account"],
    }


def test_a_gate_that_opens_by_itself_needs_nobody():
    (line,) = lines_over(14, GATE | {"cause": "rate_limited"})
    assert line["level"] == "info"
    assert "what_to_do" not in line


def test_after_a_minute_a_line_a_minute_is_enough():
    assert [line["shut_for_s"] for line in lines_over(250)] == [13, 23, 33, 43, 53, 63, 123, 183, 243]


def test_nothing_shut_is_nothing_said():
    lines: list[Any] = []
    Reminder(structlog.wrap_logger(lines, processors=[]), list, Figures).look()
    assert lines == []
