"""What happens to the provider in the demo, act by act, and how fast requests come. Pure.

The storm has two parts, because they are different trouble: first the provider says how long to wait (429), then it
fails for everybody without a word about when it will be back (529, 500).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

STORM_FAULTS = frozenset({"rate_limit", "overload", "server_error"})
"""The kinds of fault that the storm is made of."""

BAD_REPLIES = ("truncate", "placeholder", "refuse", "schema_violation", "not_json_text")

_MOST_PER_S = 100.0
_USUAL_PER_S = 25.0
_LONGEST_USUAL_S = 8.0
_SHORTEST_S = 3.0

Entries = Sequence[Mapping[str, Any]]


class Act(StrEnum):
    """The parts of the demo, in their order."""

    START = "start"
    CALM = "calm"
    RATE_LIMIT = "storm: 429"
    OUTAGE = "storm: 5xx"
    RECOVERY = "recovery"
    ACCOUNTS = "accounts"


@dataclass(frozen=True, slots=True)
class Plot:
    """How long things take, in seconds, for so many records.

    sending_s: over which the requests are spread. calm_s, rate_limit_s: of those acts. outage_s: from the first call
    that fails in the outage. retry_after_s: what a 429 asks for.
    """

    records: int
    sending_s: float
    calm_s: float
    rate_limit_s: float
    outage_s: float
    retry_after_s: float

    @property
    def per_s(self) -> float:
        """How many requests are sent in a second."""
        return self.records / self.sending_s


def plot_for(records: int) -> Plot:
    """The plot: 25 requests a second, for eight seconds at most; faster only where that many would take longer."""
    sending_s = max(_SHORTEST_S, min(_LONGEST_USUAL_S, records / _USUAL_PER_S), records / _MOST_PER_S)
    scale = min(1.0, sending_s / _LONGEST_USUAL_S)
    return Plot(
        records,
        sending_s,
        calm_s=sending_s / 3,
        rate_limit_s=max(1.2, 2.4 * scale),
        outage_s=max(0.6, 1.3 * scale),
        retry_after_s=max(0.3, 1.0 * scale),
    )


def script(act: Act, plot: Plot) -> Entries:
    """The simulator's faults in an act; calls count from the act's first."""
    if act is Act.RATE_LIMIT:
        return [{"kind": "rate_limit", "retry_after_s": plot.retry_after_s}]
    if act is Act.OUTAGE:
        return [{"kind": "overload", "share": 0.6}, {"kind": "server_error"}]
    every = max(2, int(plot.calm_s * plot.per_s / (len(BAD_REPLIES) + 2)))
    return [
        {"kind": kind, "from_call": number * every, "to_call": number * every}
        for number, kind in enumerate(BAD_REPLIES, start=1)
    ]
