"""One immutable prompt version: what it calls, how its reply is judged, and how a request becomes its prompt."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_core
from pydantic import BaseModel, ValidationError

from stream.core import json_path
from stream.core.errors import RenderError
from stream.core.records import Prompt, Request, StructuredMode
from stream.tasks.template import UserTemplate
from stream.tasks.unrendered import find_unrendered

SHOWN_PROBLEMS = 10
"""How many of an input's problems a dead letter lists."""


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """`core.ports.PromptVersion`, loaded from files. `name` is the file's: `v1`."""

    task: str
    name: str
    label: str
    provider: str
    model: str
    structured: StructuredMode
    max_output_tokens: int
    truncation_retry_tokens: int
    results_topic: str
    checks: Mapping[str, Any]
    input_model: type[BaseModel]
    output_model: type[BaseModel]
    output_schema: Mapping[str, Any]
    system: str
    user: UserTemplate

    def render(self, request: Request) -> Prompt:
        """The prompt of this request.

        Raises RenderError: `unrendered_input`, `invalid_input`, `template_error`, `too_long`.
        """
        found = find_unrendered(request.input)
        if found:
            path, text = found
            raise RenderError(
                "unrendered_input",
                f"{path} is {text}: a placeholder that was never filled in upstream; nothing was sent or paid.",
            )
        values = validated_input(self.input_model, request.input)
        return Prompt(self.system, self.user.render(dict(values)))


_NO_INPUT = (
    "The request has no input, or null. A plain request carries it as "
    '"input": {"id": ..., "task": ..., "input": {...}}; a CloudEvent as its data.'
)


def validated_input(model: type[BaseModel], value: Any) -> BaseModel:
    """The event's data as the task's Input, in Pydantic's strict JSON mode.

    So `"12"` is no number, but dates and enum values are strings as JSON has them. Raises RenderError
    (`invalid_input`) with paths and reasons, never with the values.
    """
    try:
        return model.model_validate_json(pydantic_core.to_json(value), strict=True)
    except ValidationError as error:
        if value is None:
            raise RenderError("invalid_input", _NO_INPUT) from None
        raise RenderError("invalid_input", _problems(error)) from None
    except ValueError as error:  # lone surrogates, endless nesting, foreign types
        raise RenderError("invalid_input", f"The input isn't JSON: {error!s:.300}") from None


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        f"{_path(problem['loc'])}: {problem['msg'].removeprefix('Value error, '):.200}"
        for problem in problems[:SHOWN_PROBLEMS]
    ]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"and {len(problems) - SHOWN_PROBLEMS:,} more")
    return "The input doesn't fit the task's Input: " + "; ".join(shown)


def _path(location: tuple[int | str, ...]) -> str:
    path = json_path.ROOT
    for part in location:
        path = json_path.item(path, part) if isinstance(part, int) else json_path.member(path, part[:100])
    return path


def version_label(
    task: str, name: str, prompt: bytes, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any]
) -> str:
    """`task@version#hash`: 12 hex digits of the SHA-256 of what makes the version what it is.

    Hashed is the canonical JSON (sorted keys, no white space) of both schemas and the prompt file's own SHA-256.
    """
    identity = {
        "input": input_schema,
        "output": output_schema,
        "prompt": hashlib.sha256(prompt).hexdigest(),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{task}@{name}#{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"
