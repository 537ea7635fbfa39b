"""What became of a request, as a value, and what must be published for it.

`pipeline` makes outcomes; `settlement.settle` turns one into records. Neither touches Kafka.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stream.core.errors import Stage, Violation
from stream.core.ports import PromptVersion
from stream.core.records import Completion, Cost, Prompt, Request


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request became a dead letter, and what it cost.

    stage: where. code: what, from `errors.CODES` (or `internal_error`). detail: a sentence for a person, at most 2,000
    characters.
    """

    stage: Stage
    code: str
    detail: str
    violations: tuple[Violation, ...] = ()
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Completed:
    """The model's reply passed every check. output: the typed reply, ready for JSON."""

    request: Request
    version: PromptVersion
    prompt: Prompt
    output: Mapping[str, Any]
    completion: Completion
    cost: Cost


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The request can't be served as it is. The optional parts are what was known when it failed."""

    failure: Failure
    request: Request | None = None
    version: PromptVersion | None = None
    prompt: Prompt | None = None
    completion: Completion | None = None


Outcome = Completed | DeadLettered
