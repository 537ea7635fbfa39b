"""A script: what goes wrong, when, and for whom, and what may be used. Read from TOML or JSON."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stream.core.errors import ConfigError
from stream.simulator.chance import fraction
from stream.simulator.entries import Allowance, Cut, Fault, allowance_of, cut_of, fault_of, suggestion
from stream.simulator.pools import Pools

TABLES = ("fault", "quota", "cut")


@dataclass(frozen=True, slots=True)
class Script:
    """Faults and quotas in the order in which they are tried, and cuts of the quotas."""

    faults: tuple[Fault, ...] = ()
    quotas: tuple[Allowance, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @classmethod
    def load(cls, path: Path, kinds: Mapping[str, frozenset[str]]) -> "Script":
        """From a TOML file. Raises ConfigError."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} can't be read: {error.strerror or error}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}.") from error
        return cls.parse(content, kinds, where=str(path))

    @classmethod
    def parse(cls, content: Any, kinds: Mapping[str, frozenset[str]], *, where: str = "script") -> "Script":
        """From `{"fault": [...], "quota": [...], "cut": [...]}`, each of which may be left out. Raises ConfigError.

        kinds: the known kinds of faults and the keys that each takes.
        """
        if not isinstance(content, Mapping):
            raise ConfigError(f'{where}: a script is a table with a list of faults: {{"fault": [{{"kind": "hang"}}]}}.')
        for key in content:
            if key not in TABLES:
                holds = "a script holds [[fault]], [[quota]] and [[cut]] entries only"
                raise ConfigError(f"{where}: unknown key `{key}`{suggestion(str(key), TABLES)}; {holds}.")
        faults, quotas, cuts = (_entries(content, name, where) for name in TABLES)
        allowances = tuple(allowance_of(entry, at) for at, entry in quotas)
        return cls(
            tuple(fault_of(entry, at, kinds) for at, entry in faults),
            allowances,
            tuple(cut_of(entry, at, allowances) for at, entry in cuts),
        )

    def as_json(self) -> dict[str, Any]:
        """What `parse` takes."""
        shown = {"fault": _plain(self.faults), "quota": _plain(self.quotas), "cut": _plain(self.cuts)}
        return {name: entries for name, entries in shown.items() if entries or name == "fault"}


def _entries(content: Mapping[str, Any], name: str, where: str) -> list[tuple[str, Any]]:
    """A table's entries, each with the words that say where it stands."""
    entries = content.get(name, [])
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise ConfigError(f"{where}: `{name}` is one table, not a list: write [[{name}]] with two brackets.")
    return [(f"{where}, [[{name}]] {at}", entry) for at, entry in enumerate(entries, 1)]


def _plain(entries: Sequence[BaseModel]) -> list[dict[str, Any]]:
    return [entry.model_dump(exclude_defaults=True) for entry in entries]


@dataclass(slots=True)
class Performance:
    """A script being played: counts its calls and its seconds, both from the first call, and keeps its quotas."""

    script: Script
    seed: int
    calls: int = 0
    started_s: float | None = None
    times: dict[int, int] = field(default_factory=dict)
    pools: Pools = field(init=False)

    def __post_init__(self) -> None:
        self.pools = Pools(self.script.quotas, self.script.cuts)

    def arrival(self, now_s: float) -> tuple[int, float]:
        """Count a call: its number, and the seconds since the first."""
        if self.started_s is None:
            self.started_s = now_s
        self.calls += 1
        return self.calls, self.elapsed_s(now_s)

    def elapsed_s(self, now_s: float) -> float:
        """Seconds since the first call; 0 before it."""
        return 0.0 if self.started_s is None else now_s - self.started_s

    def fault_for(self, call: int, elapsed_s: float, model: str, text: str) -> Fault | None:
        """What goes wrong with this call: the first entry that applies; it is counted against its limit."""
        for at, fault in enumerate(self.script.faults):
            if (
                fault.covers(call, elapsed_s)
                and fault.concerns(model, text)
                and (fault.limit is None or self.times.get(at, 0) < fault.limit)
                and (fault.share >= 1 or fraction(self.seed, "fault", at, call) < fault.share)
            ):
                self.times[at] = self.times.get(at, 0) + 1
                return fault
        return None
