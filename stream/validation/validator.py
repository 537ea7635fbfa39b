"""From a reply's text to an object that may be published: JSON, contract, checks, in this order.

1. The text is JSON that means one thing only (the parser given). In the modes `text` and `json_object`, where nothing
   holds a model to bare JSON, exactly one Markdown fence around the whole reply is taken off; nothing else is forgiven.
2. It fits Output in Pydantic's strict JSON mode: `"12"` is no number, but dates and enum values are strings.
3. The task's checks find nothing.

The result is plain JSON data that can be encoded as UTF-8.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pydantic_core
from pydantic import BaseModel, ValidationError

from stream.core import json_path
from stream.core.errors import OutputError, Violation
from stream.core.ports import PromptVersion
from stream.core.records import Request
from stream.validation.blank import is_blank
from stream.validation.check import SHOWN_CHARACTERS, Check, Reply
from stream.validation.shape import Shape
from stream.validation.table import bound_checks
from stream.validation.violations import MAX_VIOLATIONS, SCHEMA, output_error, schema_violations

_FENCE = re.compile(r"\s*```(?:json|JSON)?[ \t]*\r?\n(?P<inside>(?:(?!```).)*)```\s*", re.DOTALL)
_FENCED_MODES = frozenset({"text", "json_object"})


class Validator:
    """`core.ports.Validator`. Checks are bound once per prompt version."""

    def __init__(self, parse_json: Callable[[str | bytes], Any]) -> None:
        """parse_json: strict JSON to a value; raises ValueError with a sentence."""
        self._parse_json = parse_json
        self._bound: dict[str, tuple[PromptVersion, Shape, list[Check]]] = {}

    def __call__(self, version: PromptVersion, reply: str, request: Request) -> Mapping[str, Any]:
        """The reply as JSON data, after every check.

        Raises OutputError: `empty` (blank text too), `not_json`, `schema`, or the name of the check.
        """
        text = _unfenced(reply) if version.structured in _FENCED_MODES else reply
        output = self._contract_kept(version.output_model, text.removeprefix("\ufeff"))
        shape, checks = self._judged_by(version)
        judged = Reply(output, shape.texts(output), request)
        violations = tuple(found for check in checks for found in check(judged))
        if violations:
            raise output_error(violations[:MAX_VIOLATIONS])
        return output

    def _contract_kept(self, model: type[BaseModel], text: str) -> dict[str, Any]:
        try:
            parsed = self._parse_json(text)
        except ValueError as error:
            if is_blank(text):
                raise _whole_reply("empty", text, "The reply is empty.") from None
            raise _whole_reply("not_json", text, str(error)) from None
        try:
            # The text again, not `parsed`: only from JSON does strict mode read dates and enum values.
            fitting = model.model_validate_json(text, strict=True)
            output: dict[str, Any] = fitting.model_dump(mode="json", by_alias=True, warnings="error")
            orjson.dumps(output)
        except ValidationError as error:
            raise output_error(schema_violations(error, parsed)) from None
        except (pydantic_core.PydanticSerializationError, TypeError) as error:
            if "64-bit" not in str(error):  # a whole number of any size is JSON, though orjson can't write it
                raise _whole_reply(SCHEMA, text, f"The reply can't be written as JSON: {error}") from None
        return output

    def _judged_by(self, version: PromptVersion) -> tuple[Shape, list[Check]]:
        bound = self._bound.get(version.label)
        if bound is None or bound[0] is not version:  # two catalogues may use one label
            shape = Shape(version.output_model)
            bound = self._bound[version.label] = (version, shape, bound_checks(version.checks, shape))
        return bound[1], bound[2]


def _unfenced(reply: str) -> str:
    fence = _FENCE.fullmatch(reply)
    return fence.group("inside") if fence else reply


def _whole_reply(code: str, text: str, message: str) -> OutputError:
    found = Violation(json_path.ROOT, code, text[:SHOWN_CHARACTERS], message[:300])
    return OutputError(code, found.message, (found,))
