"""What Pydantic found wrong with a reply, as violations: JSON path, value (bounded) and a sentence each."""

from typing import Any

import pydantic_core
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream.core import json_path
from stream.core.errors import OutputError, Violation
from stream.validation.check import SHOWN_CHARACTERS, SHOWN_IN_SENTENCE, shortened, value_beside

MAX_VIOLATIONS = 50
"""A reply of ten thousand wrong items is described by its first fifty."""

SHOWN_IN_DETAIL = 3
SCHEMA = "schema"


def schema_violations(error: ValidationError, parsed: Any) -> tuple[Violation, ...]:
    """One violation per error; `parsed` is the reply's JSON, by which the paths are found."""
    details = error.errors(include_url=False, include_context=False)
    return tuple(_violation(detail, parsed) for detail in details[:MAX_VIOLATIONS])


def output_error(violations: tuple[Violation, ...]) -> OutputError:
    """The error for these (at least one): its code is the first one's check, its detail names the first three."""
    parts = [f"{found.path}: {found.message}{_quoted(found)}" for found in violations[:SHOWN_IN_DETAIL]]
    more = len(violations) - SHOWN_IN_DETAIL
    if more > 0:
        parts.append(f"and {more} more")
    detail = "; ".join([*(part.removesuffix(".") for part in parts[:-1]), parts[-1]])
    return OutputError(violations[0].check, detail, violations)


def _violation(detail: ErrorDetails, parsed: Any) -> Violation:
    missing = detail["type"] == "missing"
    value = "" if missing else _shown(detail["input"])
    message = "The field is missing." if missing else _sentence(detail, value)
    return Violation(_path(detail["loc"], parsed, missing), SCHEMA, value, message)


def _sentence(detail: ErrorDetails, value: str) -> str:
    """Pydantic's, with the value where it is no text: 12345 alone doesn't tell whether it is a number or a text."""
    said = f"{detail['msg'].removeprefix('Value error, ').removesuffix('.'):.300}"
    kind = _kind(detail["input"])
    return f"{said}." if kind is None else f"{said}; it is {kind}{shortened(value)}."


def _kind(value: Any) -> str | None:
    """What stands before a value in a sentence; None for a text, which stands in quotes behind it."""
    if isinstance(value, str):
        return None
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, dict | list):
        return "the object " if isinstance(value, dict) else "the array "
    return "the number "


def _path(location: tuple[int | str, ...], parsed: Any, missing: bool) -> str:
    """Pydantic's location as a JSON path; its names for the branches of a union are left out."""
    path, node = json_path.ROOT, parsed
    for position, part in enumerate(location):
        if isinstance(node, dict) and part in node:
            path, node = json_path.member(path, str(part)), node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            path, node = json_path.item(path, part), node[part]
        elif missing and position == len(location) - 1:
            path = json_path.member(path, str(part))
    return path


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else pydantic_core.to_json(value, fallback=repr).decode()
    return text[:SHOWN_CHARACTERS]


def _quoted(found: Violation) -> str:
    shown = value_beside(found, SHOWN_IN_SENTENCE)
    return f" (it is {shown})" if shown else ""
