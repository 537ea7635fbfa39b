"""What a script's entries may say: faults, quotas, cuts. Each is checked to the last key."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError
from stream.simulator.bucket import Refill
from stream.simulator.quota import METERS, Limits, Meter

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
CallNumber = Annotated[int, Field(ge=1)]
Models = Annotated[str, Field(min_length=1)]
PerMinute = Annotated[int, Field(ge=1, le=10**12)]


class Entry(BaseModel):
    """Frozen, and strict about keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fault(Entry):
    """One `[[fault]]`. All its conditions must hold for a call; see docs/simulator.md."""

    kind: str
    from_s: Seconds | None = None
    to_s: Seconds | None = None
    from_call: CallNumber | None = None
    to_call: CallNumber | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    models: Models = "*"
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
LIMIT_KEYS: Mapping[Meter, str] = {meter: f"{meter}_per_minute" for meter in METERS}


class Allowance(Entry):
    """One `[[quota]]`: what each API key may use a minute of the models that match; see docs/simulator.md."""

    models: Models = "*"
    requests_per_minute: PerMinute | None = None
    input_tokens_per_minute: PerMinute | None = None
    output_tokens_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    window_s: Annotated[float, Field(ge=0.001, le=86_400, allow_inf_nan=False)] = 60.0
    refill: Refill = "continuous"
    rejects_count: bool | None = None
    headers: bool = True
    retry_after: Literal["true", "none", "absurd"] = "true"

    @property
    def limits(self) -> Limits:
        """What is limited, as `Quota` takes it."""
        given = {meter: getattr(self, key) for meter, key in LIMIT_KEYS.items()}
        return Limits(
            {meter: per_minute for meter, per_minute in given.items() if per_minute is not None},
            self.window_s,
            self.refill,
        )


class Cut(Entry):
    """One `[[cut]]`: from `from_s` up to `to_s` others take the rest of every quota it concerns."""

    from_s: Seconds
    to_s: Seconds
    factor: Annotated[float, Field(ge=0.0001, lt=1)]
    models: Models = "*"

    def concerns(self, allowance: Allowance) -> bool:
        """Whether it is for this quota: `models` of the cut matches `models` of the quota, as written there."""
        return fnmatchcase(allowance.models, self.models)


def fault_of(entry: Any, where: str, kinds: Mapping[str, frozenset[str]]) -> Fault:
    """A checked `[[fault]]`. kinds: the known ones and the further keys that each takes. Raises ConfigError."""
    table = _table(entry, where)
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"{where}: `kind` is missing; one of {', '.join(sorted(kinds))}.")
    if kind not in kinds:
        raise ConfigError(
            f"{where}: unknown kind `{kind}`{suggestion(kind, kinds) or '; one of ' + ', '.join(sorted(kinds))}."
        )
    where = f"{where} (kind `{kind}`)"
    known = (*COMMON_KEYS, *kinds[kind])
    for key in table:
        if key not in known and key in Fault.model_fields:
            raise ConfigError(f"{where}: unknown key `{key}` (other kinds take it){suggestion(str(key), known)}.")
    fault = _checked(Fault, table, where, known)
    _check_span(where, fault.from_s, fault.to_s)
    if fault.from_call is not None and fault.to_call is not None and fault.to_call < fault.from_call:
        raise ConfigError(f"{where}: `to_call` ({fault.to_call}) must not be before `from_call` ({fault.from_call}).")
    return fault


def allowance_of(entry: Any, where: str) -> Allowance:
    """A checked `[[quota]]`. Raises ConfigError."""
    allowance = _checked(Allowance, _table(entry, where), where)
    if not allowance.limits.per_minute:
        keys = ", ".join(f"`{key}`" for key in LIMIT_KEYS.values())
        raise ConfigError(f"{where}: limits nothing; give at least one of {keys}.")
    return allowance


def cut_of(entry: Any, where: str, allowances: Iterable[Allowance]) -> Cut:
    """A checked `[[cut]]`. allowances: the script's, of which it must concern one at least. Raises ConfigError."""
    cut = _checked(Cut, _table(entry, where), where)
    _check_span(where, cut.from_s, cut.to_s)
    if not any(cut.concerns(one) for one in allowances):
        there = ", ".join(f"`{one.models}`" for one in allowances)
        remedy = f"the `models` of the quotas are {there}" if there else "write a [[quota]] for it to cut"
        raise ConfigError(f"{where}: `models` = {cut.models!r} concerns no [[quota]]; {remedy}.")
    return cut


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)`, empty where nothing is near."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


E = TypeVar("E", bound=Entry)


def _table(entry: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: is not a table.")
    return entry


def _checked(kind: type[E], table: Mapping[str, Any], where: str, known: Iterable[str] = ()) -> E:
    """known: the keys that may stand there; empty: all of the kind's."""
    known = tuple(known) or tuple(kind.model_fields)
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key `{key}`{suggestion(str(key), known)}.")
    for key, field in kind.model_fields.items():
        if field.is_required() and key not in table:
            raise ConfigError(f"{where}: `{key}` is missing.")
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: `{first['loc'][0]}` = {first['input']!r}: {first['msg']}.") from error


def _check_span(where: str, from_s: float | None, to_s: float | None) -> None:
    if from_s is not None and to_s is not None and to_s <= from_s:
        raise ConfigError(f"{where}: `to_s` ({to_s:g}) must be after `from_s` ({from_s:g}).")
