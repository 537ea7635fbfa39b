"""What Pydantic found wrong with a reply, as violations: JSON path, value (bounded) and a sentence each."""

from typing import Any

import pydantic_core
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream.core import json_path
from stream.core.errors import OutputError, Violation
from stream.validation.check import SHOWN_CHARACTERS, quoted

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
    message = (
        "The field is missing." if missing else f"{detail['msg'].removeprefix('Value error, ').removesuffix('.'):.300}."
    )
    return Violation(_path(detail["loc"], parsed, missing), SCHEMA, value, message)


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
    if quoted(found.value) in found.message:
        return ""  # the sentence shows the value itself
    shown = found.value if len(found.value) <= 60 else found.value[:60] + "…"
    return f" (it is {shown!r})" if shown else ""
