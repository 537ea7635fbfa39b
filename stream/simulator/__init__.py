"""A provider that behaves like the real ones, on bad days too. See docs/simulator.md."""

from stream.simulator.entries import Fault
from stream.simulator.script import Script
from stream.simulator.server import Simulator

__all__ = ["Fault", "Script", "Simulator"]
