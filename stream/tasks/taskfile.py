"""What `task.toml` and a prompt's front matter may say, read with messages that name file, key, reason and remedy.

A prompt's front matter may say everything that `task.toml` may, but for `active`, and wins for its own version.
`checks` are merged by name.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError
from stream.core.records import StructuredMode
from stream.core.spelling import did_you_mean
from stream.core.toml_words import toml_trouble

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


AnySettings = TypeVar("AnySettings", bound=VersionSettings)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: a task's folder holds task.toml, contract.py and v1.md.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {toml_trouble(error)}.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from None


def task_settings(path: Path) -> TaskSettings:
    """`task.toml`, checked. Raises ConfigError."""
    values = read_toml(path)
    _refuse_unknown(path, values, TaskSettings)
    settings = _validated(TaskSettings, values, {}, path, path)
    if abs(sum(settings.active.values()) - 100) > 1e-9:
        shares = ", ".join(f"{name} = {share:g}" for name, share in settings.active.items())
        raise ConfigError(f"{path}: active: the shares ({shares}) must add up to 100 percent.")
    _refuse_contradictions(path, settings)
    return settings


def version_settings(task: TaskSettings, front: Mapping[str, Any], path: Path, task_path: Path) -> VersionSettings:
    """The settings of one version: the task's, overridden by the prompt's front matter. Raises ConfigError."""
    if "active" in front:
        raise ConfigError(f"{path}: active: which version gets how much is said in task.toml only.")
    _refuse_unknown(path, front, VersionSettings)
    values = {**task.model_dump(exclude={"active"}), **front}
    if isinstance(front.get("checks"), dict):
        values["checks"] = {**task.checks, **front["checks"]}
    settings = _validated(VersionSettings, values, front, path, task_path)
    _refuse_contradictions(path, settings)
    return settings


def _refuse_unknown(path: Path, values: Mapping[str, Any], model: type[BaseModel]) -> None:
    for key in values:
        if key not in model.model_fields:
            raise ConfigError(f"{path}: {key}: there is no such key{did_you_mean(str(key), model.model_fields)}.")


def _validated(
    model: type[AnySettings], values: Mapping[str, Any], front: Mapping[str, Any], path: Path, task_path: Path
) -> AnySettings:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        file = path if first["loc"][0] in front else task_path
        if first["type"] == "missing":
            raise ConfigError(f"{file}: {key}: is missing{_EXAMPLES.get(key, '')}.") from None
        reason = _REASONS.get(key) or first["msg"].replace("Input should", "should")
        raise ConfigError(f"{file}: {key}: {reason}; it is {first['input']!r:.80}.") from None


_EXAMPLES = {"model": ' (such as "anthropic:claude-haiku-4-5")', "active": " (such as active = { v1 = 100 })"}
_REASONS = {"model": 'should be "provider:model", the provider as llm-stream.toml names it'}


def _refuse_contradictions(path: Path, settings: VersionSettings) -> None:
    if settings.repair:
        raise ConfigError(f"{path}: repair: not in this version; leave it out or set it to false.")
    if 0 < settings.truncation_retry_tokens <= settings.max_output_tokens:
        raise ConfigError(
            f"{path}: truncation_retry_tokens: {settings.truncation_retry_tokens} is no larger than max_output_tokens "
            f"({settings.max_output_tokens}): the second reply would be cut as the first was. Raise it, or set it to 0."
        )
