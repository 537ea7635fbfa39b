"""The checks: one row each, its code the row's name (`core.errors.CODES["validate"]` lists the same names).

To add one: a file with a `BindCheck`, a row here, its name in CODES, and its examples in
`tests/contract/check_examples/NAME.json`; the contract tests ask for nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.validation import empty, placeholder
from stream.validation.check import BindCheck, Check
from stream.validation.shape import Shape


@dataclass(frozen=True, slots=True)
class Row:
    """bind: makes the check. on_by_default: whether a task that says nothing has it."""

    bind: BindCheck
    on_by_default: bool


CHECKS: Mapping[str, Row] = MappingProxyType(
    {
        empty.NAME: Row(empty.empty, on_by_default=True),
        placeholder.NAME: Row(placeholder.placeholder, on_by_default=True),
    }
)
"""In the order in which they run."""

NOT_IN_THIS_VERSION = frozenset({"cut_off", "echo", "language", "grounded", "leak", "repeat", "custom"})


def bound_checks(options: Mapping[str, Any], shape: Shape) -> list[Check]:
    """The checks that a task's `[checks]` ask for, ready to run. Raises ConfigError."""
    for name, value in options.items():
        if name in NOT_IN_THIS_VERSION:
            if value is not False:
                raise ConfigError(f"{name}: not in this version; leave it out or set it to false.")
        elif name not in CHECKS:
            raise ConfigError(f"{name}: there is no such check{did_you_mean(name, CHECKS)}.")
    wanted = ((row, options.get(name, row.on_by_default)) for name, row in CHECKS.items())
    return [row.bind(value, shape) for row, value in wanted if value is not False]


def verify_checks(options: Mapping[str, Any], output_model: type[BaseModel]) -> None:
    """Raises ConfigError if this check list can't be used on replies of this model."""
    bound_checks(options, Shape(output_model))
