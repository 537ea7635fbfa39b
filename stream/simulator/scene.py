"""What one reply is made from: the text's evidence, the seed, and what a fault wants instead."""

from dataclasses import dataclass, replace
from typing import Any

from stream.simulator.chance import digest, fraction
from stream.simulator.evidence import Evidence
from stream.simulator.line_items import LineItem


@dataclass(frozen=True, slots=True)
class Scene:
    """evidence: of the event's text. seed: of the simulator. item: the invoice line that is being filled in, if any.

    filler: put into every free string in place of a found value. prose: put into every summary-like string.
    """

    evidence: Evidence
    seed: int
    item: LineItem | None = None
    variant: int = 0
    filler: str | None = None
    prose: str | None = None

    def evolve(self, **changes: Any) -> "Scene":
        """A copy with some fields changed."""
        return replace(self, **changes)

    def digest(self, purpose: str) -> int:
        """A 64-bit number that depends on seed, text and purpose."""
        return digest(self.seed, purpose, self.variant, self.evidence.text)

    def fraction(self, purpose: str) -> float:
        """A number in [0, 1) that depends on seed, text and purpose."""
        return fraction(self.seed, purpose, self.variant, self.evidence.text)

    @property
    def invented_net(self) -> float:
        """The net sum of a document that names none: the same wherever it is asked for."""
        return 40 + round(fraction(self.seed, "net", self.evidence.text) * 1960, 2)
