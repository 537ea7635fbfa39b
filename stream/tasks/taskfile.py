"""What `task.toml` and a prompt's front matter may say, read with messages that name file, key, reason and remedy.

A prompt's front matter may say everything that `task.toml` may, but for `active`, and wins for its own version.
`checks` are merged by name. All that is wrong is said, and the rest read on with what is right.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError
from stream.core.records import StructuredMode
from stream.core.spelling import did_you_mean
from stream.core.toml_words import toml_trouble
from stream.tasks.problems import Problems

MAX_OUTPUT_TOKENS = 20_000
"""A longer reply must be streamed: Anthropic's SDK refuses more than about 21,000 tokens in one piece."""

Tokens = Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS)]


class VersionSettings(BaseModel):
    """What one prompt version calls, and how its reply is judged.

    model: `provider:model`, the provider as `llm-stream.toml` names it.
    truncation_retry_tokens: a truncated reply is asked for once more with this many; 0: never.
    results_topic: empty: the shared one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+:\S+$")]
    structured: StructuredMode = "strict_tool"
    max_output_tokens: Tokens = 1_000
    repair: bool = False
    truncation_retry_tokens: Annotated[int, Field(ge=0, le=MAX_OUTPUT_TOKENS)] = 0
    results_topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,249}$")] = ""
    checks: dict[str, Any] = {}


class TaskSettings(VersionSettings):
    """All of `task.toml`. active: percent of the requests each version gets; the sum is 100."""

    active: Annotated[dict[str, Annotated[float, Field(ge=0, le=100)]], Field(min_length=1)]


AnySettings = TypeVar("AnySettings", bound=VersionSettings, covariant=True)


@dataclass(frozen=True, slots=True)
class Read(Generic[AnySettings]):
    """Settings as far as they are right. sound: False where something was wrong, which is at its default here."""

    settings: AnySettings
    sound: bool


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError."""
    try:
        text = path.read_bytes().decode()
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {toml_trouble(error, text)}.") from None


def task_settings(path: Path, versions: Sequence[str], problems: Problems) -> Read[TaskSettings]:
    """`task.toml`, checked. versions: those that have a prompt file."""
    values = problems.tried(lambda: read_toml(path))
    if values is None:
        return Read(TaskSettings.model_validate(_STAND_INS), sound=False)
    read = _as_far_as_right(TaskSettings, values, {}, _STAND_INS, path, problems)
    if read.settings.active == values.get("active"):
        _refuse_shares(path, read.settings.active, versions, problems)
    _refuse_contradictions(path, read, problems)
    return read


def version_settings(
    task: Read[TaskSettings], front: Mapping[str, Any], path: Path, problems: Problems
) -> VersionSettings:
    """The settings of one version: the task's, overridden by the prompt's front matter."""
    if "active" in front:
        problems.add(f"{path}: active: which version gets how much is said in task.toml only.")
    own = {key: value for key, value in front.items() if key != "active"}
    if isinstance(own.get("checks"), dict):
        own["checks"] = {**task.settings.checks, **own["checks"]}
    base = task.settings.model_dump(exclude={"active"})
    read = _as_far_as_right(VersionSettings, own, base, base, path, problems)
    if "repair" in own or own.keys() & _TOKENS:  # else it is for task.toml to say
        _refuse_contradictions(path, Read(read.settings, task.sound and read.sound), problems)
    return read.settings


_STAND_INS: Mapping[str, Any] = {"model": "unknown:unknown", "active": {"v1": 100}}
"""For required keys that are missing or wrong, so that the rest can be looked at. Nothing is ever called so."""


def _as_far_as_right(
    model: type[AnySettings],
    said: Mapping[str, Any],
    base: Mapping[str, Any],
    stand_ins: Mapping[str, Any],
    path: Path,
    problems: Problems,
) -> Read[AnySettings]:
    """What a file says over `base`; what is wrong of it becomes a problem, and is as in `stand_ins` or default."""
    hints = {str(key): did_you_mean(str(key), model.model_fields) for key in said if key not in model.model_fields}
    for key, hint in hints.items():
        problems.add(f"{path}: {key}: there is no such key{hint}.")
    known = {key: value for key, value in said.items() if key in model.model_fields}
    try:
        return Read(model.model_validate({**base, **known}), sound=not hints)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            known.pop(str(wrong["loc"][0]), None)
            key = ".".join(str(part) for part in wrong["loc"])
            if wrong["type"] != "missing":
                reason = _REASONS.get(key) or wrong["msg"].replace("Input should", "should")
                problems.add(f"{path}: {key}: {reason}; it is {wrong['input']!r:.80}.")
            elif did_you_mean(key, [key]) not in hints.values():  # else it is there, mistyped
                problems.add(f"{path}: {key}: is missing{_EXAMPLES.get(key, '')}.")
    return Read(model.model_validate({**stand_ins, **known}), sound=False)


_EXAMPLES = {"model": ' (such as "anthropic:claude-haiku-4-5")', "active": " (such as active = { v1 = 100 })"}
_REASONS = {"model": 'should be "provider:model", the provider as llm-stream.toml names it'}
_TOKENS = frozenset({"max_output_tokens", "truncation_retry_tokens"})


def _refuse_shares(path: Path, active: Mapping[str, float], versions: Sequence[str], problems: Problems) -> None:
    for name in active:
        if name not in versions:
            problems.add(f"{path}: active: there is no {name}.md{did_you_mean(name, versions)}.")
    if abs(sum(active.values()) - 100) > 1e-9:
        shares = ", ".join(f"{name} = {share:g}" for name, share in active.items())
        problems.add(f"{path}: active: the shares ({shares}) must add up to 100 percent.")


def _refuse_contradictions(path: Path, read: Read[VersionSettings], problems: Problems) -> None:
    settings = read.settings
    if settings.repair:
        problems.add(f"{path}: repair: not in this version; leave it out or set it to false.")
    if read.sound and 0 < settings.truncation_retry_tokens <= settings.max_output_tokens:
        problems.add(
            f"{path}: truncation_retry_tokens: {settings.truncation_retry_tokens} is no larger than max_output_tokens "
            f"({settings.max_output_tokens}): the second reply would be cut as the first was. Raise it, or set it to 0."
        )
