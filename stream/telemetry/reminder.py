"""Says what waits, and for what, for as long as a gate stays shut: silence would look like a hang."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from stream.telemetry.figures import Figures
from stream.telemetry.log_watch import NEEDS_A_PERSON

EVERY_S = 10.0
SELDOM_AFTER_S = 60.0
SELDOM_S = 60.0
"""Once a gate has been shut for `SELDOM_AFTER_S`, a line for it comes only so often."""


class Reminder:
    """A line for each gate that is shut for a while. `run` it as a task.

    gates: those that are shut, as `ShutGates.now` tells. figures: the worker's.
    """

    def __init__(
        self,
        logger: FilteringBoundLogger,
        gates: Callable[[], Sequence[Mapping[str, Any]]],
        figures: Callable[[], Figures],
    ) -> None:
        self._log = logger
        self._gates = gates
        self._figures = figures

    async def run(self) -> None:
        """Look every `EVERY_S`, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.look()

    def look(self) -> None:
        """Say what is due now; call it every `EVERY_S`."""
        for gate in self._gates():
            shut_for_s = gate["shut_for_s"]
            if shut_for_s >= SELDOM_AFTER_S and shut_for_s % SELDOM_S >= EVERY_S:
                continue
            if shut_for_s >= EVERY_S / 2:
                self._say(gate)

    def _say(self, gate: Mapping[str, Any]) -> None:
        figures = self._figures()
        remedy = NEEDS_A_PERSON.get(gate["cause"])
        (self._log.warning if remedy else self._log.info)(
            "still shut; requests wait, none is lost",
            provider=gate["provider"],
            scope=gate["scope"],
            cause=gate["cause"],
            shut_for_s=round(gate["shut_for_s"]),
            next_probe_s=gate["next_probe_s"],
            waiting=figures.waiting,
            in_flight=figures.in_flight,
            **({"what_to_do": remedy} if remedy else {}),
        )
