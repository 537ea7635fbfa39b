"""`empty`: a reply that fits the schema and says nothing.

Found are free texts that are empty, white space or zero-width characters only, also in fields that may be null (null is
the honest answer there), and replies in which every field is null, blank or empty. An empty list is an answer:
a reply made of lists alone may have nothing in them.

Options: `allow = ["$.note"]`, fields that may be blank.
"""

from collections.abc import Mapping
from typing import Any

from stream.core import json_path
from stream.core.errors import ConfigError, Violation
from stream.validation.blank import is_blank
from stream.validation.check import Check, Reply, options_table, pattern_of, refuse_unknown_path, violation
from stream.validation.shape import Shape

NAME = "empty"


def empty(options: Any, shape: Shape) -> Check:
    """The check, bound (`check.BindCheck`)."""
    allowed = options_table(NAME, options, frozenset({"allow"})).get("allow", [])
    if not isinstance(allowed, list):
        raise ConfigError(f'{NAME}.allow: should be a list of JSON paths, such as ["$.note"].')
    for path in allowed:
        refuse_unknown_path(f"{NAME}.allow", path, shape)
    may_be_blank = frozenset(allowed)

    def check(reply: Reply) -> list[Violation]:
        if not _says_something(reply.output):
            return [Violation(json_path.ROOT, NAME, "", "Every field is null or empty: the reply says nothing.")]
        return [
            violation(NAME, text, "The reply's text is blank: it says nothing.")
            for text in reply.texts
            if is_blank(text.value) and pattern_of(text) not in may_be_blank
        ]

    return check


def _says_something(output: Mapping[str, Any]) -> bool:
    values = output.values()
    return any(_has_content(value) for value in values) or (bool(values) and all(type(v) is list for v in values))


def _has_content(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return not is_blank(value)
    if kind is dict:
        return any(_has_content(child) for child in value.values())
    if kind is list:
        return any(_has_content(child) for child in value)
    return value is not None
