"""What a check is: bound once to a task's options and Output, then asked about every reply."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream.core import json_path
from stream.core.errors import ConfigError, Violation
from stream.core.records import Request
from stream.core.spelling import did_you_mean
from stream.validation.shape import Shape, Text

SHOWN_CHARACTERS = 200
"""How much of an offending value a violation shows."""

SHOWN_IN_SENTENCE = 60
"""How much of it a sentence shows."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that fits its contract. texts: its free text, by path. request: what was asked."""

    output: Mapping[str, Any]
    texts: Sequence[Text]
    request: Request


Check = Callable[[Reply], list[Violation]]
"""Everything it finds wrong, in the reply's order; empty: nothing. Pure, time linear in the reply and the input."""

BindCheck = Callable[[Any, Shape], Check]
"""Options (as in task.toml; True: the defaults) and Output's shape to the check. Raises ConfigError about options."""


def options_table(name: str, options: Any, known: frozenset[str]) -> Mapping[str, Any]:
    """The options as a table; True is an empty one. Raises ConfigError for another type or an unknown key."""
    if options is True:
        return {}
    if not isinstance(options, dict):
        raise ConfigError(f"{name}: should be true, false or a table of options, not {options!r:.80}.")
    for key in options:
        if key not in known:
            raise ConfigError(f"{name}.{key}: there is no such option{did_you_mean(key, known)}.")
    return options


def refuse_unknown_path(name: str, path: Any, shape: Shape) -> None:
    """Raises ConfigError if no free text can stand at this path."""
    if not isinstance(path, str) or not shape.has(path):
        near = did_you_mean(str(path), shape.patterns())
        raise ConfigError(f"{name}: Output has no free text at {path}{near}; items of a list are written [*].")


def violation(check: str, text: Text, message: str) -> Violation:
    """A violation by a text, the value bounded."""
    return Violation(text.path, check, text.value[:SHOWN_CHARACTERS], message)


def quoted(value: str) -> str:
    """A value as a sentence shows it: in double quotes, control characters escaped."""
    return json.dumps(value, ensure_ascii=False)


def value_beside(found: Violation, most: int = SHOWN_CHARACTERS) -> str:
    """The value, for a page that shows it behind the sentence; empty where the sentence itself shows it."""
    in_sentence = quoted(found.value) in found.message or found.message.endswith(f" {shortened(found.value)}.")
    return "" if in_sentence or not found.value else repr(shortened(found.value, most))


def shortened(value: str, most: int = SHOWN_IN_SENTENCE) -> str:
    """A value as far as a sentence has room for it."""
    return value if len(value) <= most else value[:most] + "…"


def pattern_of(text: Text) -> str:
    """The text's path as settings write it."""
    return json_path.pattern(text.path)
