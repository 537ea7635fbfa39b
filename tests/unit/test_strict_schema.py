"""JSON Schemas narrowed for strict modes."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from stream.providers.schemas import Dialect, SchemaCache, strict_schema

BOTH = pytest.mark.parametrize("dialect", ["anthropic", "openai"])


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=80, pattern="^[A-Z]")
    amount: float | None = Field(default=None, ge=0, description="Net amount.")


class Invoice(BaseModel):
    """An invoice."""

    kind: Literal["invoice", "credit"] = "invoice"
    lines: list[Line] = Field(min_length=1)
    best: Line = Field(description="The dearest one.")


class Node(BaseModel):
    children: list["Node"]


def keys(schema: Any) -> set[str]:
    """Every keyword in the schema, names of fields among them."""
    if isinstance(schema, dict):
        return set(schema) | {key for value in schema.values() for key in keys(value)}
    if isinstance(schema, list):
        return {key for value in schema for key in keys(value)}
    return set()


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object schema inside."""
    inside = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    own = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return own + [found for value in inside for found in objects(value)]


@BOTH
def test_every_object_is_closed(dialect: Dialect) -> None:
    strict = strict_schema(Invoice.model_json_schema(), dialect)
    assert len(objects(strict)) == 2
    assert all(found["additionalProperties"] is False for found in objects(strict))


def test_openai_wants_every_field_required() -> None:
    strict = strict_schema(Invoice.model_json_schema(), "openai")
    assert all(found["required"] == list(found["properties"]) for found in objects(strict))


def test_anthropic_may_leave_out_what_has_a_default() -> None:
    strict = strict_schema(Invoice.model_json_schema(), "anthropic")
    assert strict is not None
    assert strict["required"] == ["lines", "best"]


@BOTH
def test_what_strict_modes_refuse_is_gone(dialect: Dialect) -> None:
    strict = strict_schema(Invoice.model_json_schema(), dialect)
    assert not keys(strict) & {"minLength", "maxLength", "pattern", "minItems", "minimum", "default", "title"}


@BOTH
def test_a_dropped_constraint_is_told_in_the_description(dialect: Dialect) -> None:
    strict = strict_schema(Line.model_json_schema(), dialect)
    assert strict is not None
    assert strict["properties"]["text"]["description"] == "{minLength: 1, maxLength: 80, pattern: ^[A-Z]}"


@BOTH
def test_nothing_stands_beside_a_reference(dialect: Dialect) -> None:
    strict = strict_schema(Invoice.model_json_schema(), dialect)
    assert strict is not None
    assert strict["properties"]["best"] == {"anyOf": [{"$ref": "#/$defs/Line"}], "description": "The dearest one."}


@BOTH
def test_a_known_format_is_kept_and_an_unknown_one_told(dialect: Dialect) -> None:
    fields = {"day": {"type": "string", "format": "date"}, "link": {"type": "string", "format": "uri-template"}}
    strict = strict_schema({"type": "object", "properties": fields}, dialect)
    assert strict is not None
    assert strict["properties"] == {
        "day": {"type": "string", "format": "date"},
        "link": {"type": "string", "description": "{format: uri-template}"},
    }


@BOTH
def test_one_of_and_lists_of_types_become_any_of(dialect: Dialect) -> None:
    fields = {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}, "b": {"type": ["string", "null"]}}
    strict = strict_schema({"type": "object", "properties": fields}, dialect)
    assert strict is not None
    either = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert strict["properties"] == {"a": either, "b": either}


def test_recursion_is_openai_s_alone() -> None:
    schema = Node.model_json_schema()
    assert strict_schema(schema, "anthropic") is None
    strict = strict_schema(schema, "openai")
    assert strict is not None
    assert strict["type"] == "object"


@BOTH
@pytest.mark.parametrize(
    "field",
    [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object"},
        {},
        True,
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}},
        {"allOf": [{"type": "string"}, {"type": "string"}]},
    ],
)
def test_what_strict_modes_cannot_say_is_none(dialect: Dialect, field: Any) -> None:
    assert strict_schema({"type": "object", "properties": {"x": field}}, dialect) is None


@BOTH
def test_a_root_that_is_no_object_is_none(dialect: Dialect) -> None:
    assert strict_schema({"type": "array", "items": {"type": "string"}}, dialect) is None


@BOTH
def test_the_schema_given_is_left_as_it_is(dialect: Dialect) -> None:
    schema = Invoice.model_json_schema()
    strict_schema(schema, dialect)
    assert schema == Invoice.model_json_schema()


def test_the_cache_gives_the_same_answer_and_stays_small() -> None:
    cache = SchemaCache("openai")
    schema = Invoice.model_json_schema()
    assert cache.strict(schema) == strict_schema(schema, "openai")
    assert cache.strict(schema) is cache.strict(schema)
    held = [{"type": "object", "properties": {}} for _ in range(600)]
    for other in held:
        cache.strict(other)
    assert len(cache._narrowed) <= 256
