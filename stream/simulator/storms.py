"""Built-in bad days, by name. Adding one is a row, which docs/simulator.md and `--help` show.

Rates are of what one API key may use; seconds count from the first call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from stream.core.errors import ConfigError
from stream.simulator.entries import suggestion
from stream.simulator.faults import OPTIONS
from stream.simulator.script import Script


@dataclass(frozen=True, slots=True)
class Storm:
    """One row. does: what happens when. content: as a script has it."""

    name: str
    does: str
    content: Mapping[str, Any]


_PER_SECOND = {"requests_per_minute": 12_000, "window_s": 1}
"""200 requests a second, kept by the second."""


def _fault(kind: str, from_s: float, to_s: float) -> dict[str, Any]:
    return {"kind": kind, "from_s": from_s, "to_s": to_s}


def _cut(from_s: float, to_s: float, factor: float) -> dict[str, Any]:
    return {"from_s": from_s, "to_s": to_s, "factor": factor}


_ROWS = (
    Storm(
        "cut",
        "a quota of 200 requests/s, a quarter of it from 60 s to 120 s",
        {"quota": [_PER_SECOND], "cut": [_cut(60, 120, 0.25)]},
    ),
    Storm(
        "outage", "529 (OpenAI: 503) without `retry-after` from 60 s to 90 s", {"fault": [_fault("overload", 60, 90)]}
    ),
    Storm("errors", "500 from 60 s to 90 s", {"fault": [_fault("server_error", 60, 90)]}),
    Storm("hang", "no answer at all to what is asked from 60 s to 90 s", {"fault": [_fault("hang", 60, 90)]}),
    Storm("account", "401 from 60 s to 90 s", {"fault": [_fault("auth", 60, 90)]}),
    Storm(
        "herd",
        "a quota of 2,000 requests that is full again every 10 s, for every key in the same second",
        {"quota": [{"requests_per_minute": 12_000, "window_s": 10, "refill": "at_once"}]},
    ),
    Storm(
        "bad-night",
        "a quota of 200 requests/s, a quarter of it from 60 s to 120 s; 529 (503) from 150 s to 180 s; "
        "401 from 210 s to 240 s; 500 from 270 s to 300 s",
        {
            "quota": [_PER_SECOND],
            "cut": [_cut(60, 120, 0.25)],
            "fault": [_fault("overload", 150, 180), _fault("auth", 210, 240), _fault("server_error", 270, 300)],
        },
    ),
)

STORMS: dict[str, Storm] = {row.name: row for row in _ROWS}


def script_of(name: str) -> Script:
    """A storm's script. Raises ConfigError if there is none of that name."""
    if name not in STORMS:
        names = ", ".join(STORMS)
        raise ConfigError(f"There is no storm `{name}`{suggestion(name, STORMS)}; one of {names}.")
    return Script.parse(STORMS[name].content, OPTIONS, where=f"storm {name}")


def table() -> str:
    """The rows as Markdown, as they stand in docs/simulator.md."""
    lines = ["| storm | what happens, to every call |", "|---|---|"]
    return "\n".join(lines + [f"| `{row.name}` | {row.does} |" for row in _ROWS])


def listing(width: int = 78) -> str:
    """The rows as plain text, as `--help` shows them. width: columns, all of a line included."""
    indent = max(map(len, STORMS)) + 4
    return "\n".join(
        fill(
            row.does.replace("`", ""),
            width,
            initial_indent=f"  {row.name}".ljust(indent),
            subsequent_indent=" " * indent,
        )
        for row in _ROWS
    )
