"""Where reading starts, as people write it: `earliest`, `latest`, `1042`, `-1h`, `2026-11-23T10:00`."""

import re
import time
from datetime import datetime

import typer

from stream.kafka.reading import EARLIEST, LATEST, Start

_AGO = re.compile(r"-?(\d{1,9})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EXPECTED = "earliest, latest, an offset (1042), how long ago (-30m, -1h, -7d), or a time (2026-11-23T10:00)"


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def start_from(text: str, now: int, option: str, expected: str = _EXPECTED) -> Start:
    """What a person wrote. now: milliseconds since 1970. A time without a zone is local time.

    option: where it was written, and expected: what the command takes there, for the message.

    Raises typer.BadParameter for anything else.
    """
    word = text.strip()
    if word in ("earliest", "latest"):
        return EARLIEST if word == "earliest" else LATEST
    if word.isascii() and word.isdigit() and len(word) <= 19:
        return Start("offset", int(word))
    ago = _AGO.fullmatch(word)
    if ago is not None:
        return Start("time", max(0, now - int(ago[1]) * _SECONDS[ago[2]] * 1000))
    try:
        return Start("time", max(0, int(datetime.fromisoformat(word).timestamp() * 1000)))
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f"{text!r} is not {expected}", param_hint=option) from None
