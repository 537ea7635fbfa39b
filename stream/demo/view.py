"""What a spectator sees of the demo at one moment. Values only."""

from dataclasses import dataclass
from typing import Literal

from stream.demo.plot import Act

Tone = Literal["plain", "good", "bad", "dead", "quiet"]
"""How an event is to be taken; `dead` is for dead letters."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at_s seconds after the start."""

    at_s: float
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A provider's gate. cause: why it is shut; empty: it is open. probe_in_s: None: one is on its way.

    probes: how many have failed since it shut.
    """

    provider: str
    cause: str = ""
    probe_in_s: float | None = None
    probes: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """The figures. rates: calls per second over the last half-minute, oldest first, a number each half-second."""

    at_s: float
    act: Act
    records: int
    sent: int = 0
    results: int = 0
    dead_letters: int = 0
    in_flight: int = 0
    waiting: int = 0
    calls: int = 0
    refused: int = 0
    micro_usd: int = 0
    rates: tuple[float, ...] = ()
    gates: tuple[GateSeen, ...] = ()

    @property
    def done(self) -> int:
        """Requests that have an outcome."""
        return self.results + self.dead_letters
