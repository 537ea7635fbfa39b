"""A script of faults: what goes wrong, when, and for whom. Read from TOML or JSON, checked to the last key."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError
from stream.simulator.chance import fraction

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
CallNumber = Annotated[int, Field(ge=1)]


class Fault(BaseModel):
    """One entry. All its conditions must hold for a call; see docs/simulator.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    from_s: Seconds | None = None
    to_s: Seconds | None = None
    from_call: CallNumber | None = None
    to_call: CallNumber | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    models: Annotated[str, Field(min_length=1)] = "*"
    match: str = ""
    limit: Annotated[int, Field(ge=1)] | None = None
    retry_after_s: Seconds | None = None
    delay_s: Seconds | None = None
    violation: Literal["missing", "type", "extra"] | None = None

    def covers(self, call: int, elapsed_s: float) -> bool:
        """Whether call (1 is the first) and second fall into this entry's: `to_s` excluded, `to_call` included."""
        return (
            (self.from_s is None or elapsed_s >= self.from_s)
            and (self.to_s is None or elapsed_s < self.to_s)
            and (self.from_call is None or call >= self.from_call)
            and (self.to_call is None or call <= self.to_call)
        )

    def concerns(self, model: str, text: str) -> bool:
        """Whether it is for this model and this user text."""
        return fnmatchcase(model, self.models) and self.match in text


COMMON_KEYS = tuple(name for name in Fault.model_fields if name not in ("retry_after_s", "delay_s", "violation"))


@dataclass(frozen=True, slots=True)
class Script:
    """Faults in the order in which they are tried. options: which further keys each kind takes."""

    faults: tuple[Fault, ...] = ()

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
        """From `{"fault": [...]}`. kinds: the known kinds and the keys that each takes. Raises ConfigError."""
        if not isinstance(content, Mapping):
            raise ConfigError(f'{where}: a script is a table with a list of faults: {{"fault": [{{"kind": "hang"}}]}}.')
        for key in content:
            if key != "fault":
                raise ConfigError(f"{where}: unknown key `{key}`; a script holds [[fault]] entries only.")
        entries = content.get("fault", [])
        if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
            raise ConfigError(f"{where}: `fault` is one table, not a list: write [[fault]] with two brackets.")
        return cls(tuple(_fault(entry, f"{where}, [[fault]] {at}", kinds) for at, entry in enumerate(entries, 1)))

    def as_json(self) -> dict[str, Any]:
        """What `parse` takes."""
        return {"fault": [fault.model_dump(exclude_defaults=True) for fault in self.faults]}


def _fault(entry: Any, where: str, kinds: Mapping[str, frozenset[str]]) -> Fault:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: is not a table.")
    kind = entry.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"{where}: `kind` is missing; one of {', '.join(sorted(kinds))}.")
    if kind not in kinds:
        raise ConfigError(
            f"{where}: unknown kind `{kind}`{_suggestion(kind, kinds) or '; one of ' + ', '.join(sorted(kinds))}."
        )
    where = f"{where} (kind `{kind}`)"
    known = (*COMMON_KEYS, *kinds[kind])
    for key in entry:
        if key not in known:
            other = " (other kinds take it)" if key in Fault.model_fields else ""
            raise ConfigError(f"{where}: unknown key `{key}`{other}{_suggestion(str(key), known)}.")
    try:
        fault = Fault.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: `{first['loc'][0]}` = {first['input']!r}: {first['msg']}.") from error
    if fault.from_s is not None and fault.to_s is not None and fault.to_s <= fault.from_s:
        raise ConfigError(f"{where}: `to_s` ({fault.to_s:g}) must be after `from_s` ({fault.from_s:g}).")
    if fault.from_call is not None and fault.to_call is not None and fault.to_call < fault.from_call:
        raise ConfigError(f"{where}: `to_call` ({fault.to_call}) must not be before `from_call` ({fault.from_call}).")
    return fault


def _suggestion(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


@dataclass(slots=True)
class Performance:
    """A script being played: counts its calls and its seconds, both from the first call."""

    script: Script
    seed: int
    calls: int = 0
    started_s: float | None = None
    times: dict[int, int] = field(default_factory=dict)

    def arrival(self, now_s: float) -> tuple[int, float]:
        """Count a call: its number, and the seconds since the first."""
        if self.started_s is None:
            self.started_s = now_s
        self.calls += 1
        return self.calls, now_s - self.started_s

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
