"""Times and durations as commands for people take and show them."""

import typer

from stream.cli.when import start_from

EXPECTED = "a time: how long ago (90s, 30m, 2h, 7d), or date and time (2026-11-23T10:00)"


def moment_ms(text: str, now_ms: int, option: str) -> int:
    """Milliseconds since 1970. option: where it was written. Raises typer.BadParameter for what is no time."""
    start = start_from(text, now_ms, option, EXPECTED)
    if start.at != "time":
        raise typer.BadParameter(f"{text!r} is not {EXPECTED}", param_hint=option)
    return start.number


def duration(seconds: float) -> str:
    """For people: `42 s`, `3 min`, `2 h 5 min`, `4 d 2 h`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"
