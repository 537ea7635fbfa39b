"""From a reply's text to an object that may be published, or to an error that says exactly what was wrong."""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_serializer

from stream.codecs import strict_json
from stream.core.errors import OutputError
from stream.core.records import Request
from stream.validation import Validator
from stream.validation.check import value_beside


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Line(Strict):
    text: str
    amount: float


class Output(Strict):
    name: str
    note: str | None = None
    category: Literal["billing", "unknown"] = "billing"
    due: date | None = None
    count: int | None = None
    either: int | str | None = None
    lines: list[Line] = []
    renamed: str | None = Field(default=None, alias="realName")


class Surprising(Strict):
    name: str

    @field_serializer("name")
    def shown(self, _name: str) -> str:
        return "\ud800"


@dataclass(frozen=True)
class Version:
    """As much of a prompt version as a validator looks at."""

    output_model: Any = Output
    structured: str = "strict_tool"
    checks: dict[str, Any] = field(default_factory=dict)
    label: str = "t@v1#000000000000"


VALIDATE = Validator(strict_json.parse)
REQUEST = Request("1", "t", {})


def judged(reply: str, version: Version | None = None):
    return VALIDATE(version or Version(), reply, REQUEST)  # type: ignore[arg-type]


def failure(reply: str, version: Version | None = None) -> OutputError:
    with pytest.raises(OutputError) as failed:
        judged(reply, version)
    return failed.value


def test_a_good_reply_comes_out_as_json_data():
    output = judged('{"name": "Acme", "due": "2026-01-02", "lines": [{"text": "x", "amount": 12}], "realName": "A"}')
    assert output["due"] == "2026-01-02"
    assert output["lines"] == [{"text": "x", "amount": 12.0}]
    assert output["realName"] == "A"
    assert strict_json.parse(strict_json.dumps(output)) == output


@pytest.mark.parametrize(
    "reply",
    ['{"name": "A"', '{"name": NaN}', '{"name": "A", "name": "B"}', '{"name": "\\ud800"}', '{"name":"A"} Enjoy!'],
)
def test_what_is_not_json_or_means_two_things_is_not_json(reply):
    failed = failure(reply)
    assert failed.code == "not_json"
    assert failed.violations[0].value == reply


@pytest.mark.parametrize("reply", ["", " \n", "\u200b"])
def test_a_blank_reply_is_empty(reply):
    assert failure(reply).code == "empty"


def test_an_object_without_anything_in_it_is_empty():
    class Nothing(Strict):
        name: str | None = None

    assert failure("{}", Version(output_model=Nothing)).code == "empty"


@pytest.mark.parametrize(
    ("reply", "path", "value"),
    [
        ("{}", "$.name", ""),
        ('{"name": 1}', "$.name", "1"),
        ('{"name": "A", "count": "12"}', "$.count", "12"),
        ('{"name": "A", "count": true}', "$.count", "true"),
        ('{"name": "A", "count": 1.5}', "$.count", "1.5"),
        ('{"name": "A", "category": "other"}', "$.category", "other"),
        ('{"name": "A", "due": "02.01.2026"}', "$.due", "02.01.2026"),
        ('{"name": "A", "extra": {"a": 1}}', "$.extra", '{"a":1}'),
        (
            '{"name": "A", "lines": [{"text": "x", "amount": 1}, {"text": "y", "amount": "2"}]}',
            "$.lines[1].amount",
            "2",
        ),
        ('{"name": "A", "lines": [{"amount": 1}]}', "$.lines[0].text", ""),
        ('{"name": "A", "either": []}', "$.either", "[]"),
        ("[]", "$", "[]"),
        ("null", "$", "null"),
        ('"N/A"', "$", "N/A"),
    ],
)
def test_what_does_not_fit_the_contract_is_named_by_path_and_value(reply, path, value):
    failed = failure(reply)
    assert failed.code == "schema"
    assert (failed.violations[0].path, failed.violations[0].value) == (path, value)
    assert failed.violations[0].check == "schema"
    assert path in failed.detail


def test_every_violation_is_listed_up_to_fifty_and_the_detail_names_three():
    lines = [{"text": 1, "amount": 1}] * 80
    failed = failure(json.dumps({"name": "A", "lines": lines}))
    assert len(failed.violations) == 50
    assert "and 47 more" in failed.detail


def test_long_values_are_cut():
    failed = failure(json.dumps({"name": "A", "due": "x" * 10_000}))
    assert failed.violations[0].value == "x" * 200
    assert len(failed.detail) < 500


@pytest.mark.parametrize("mode", ["text", "json_object"])
@pytest.mark.parametrize("reply", ['```json\n{"name": "A"}\n```', '```\n{"name": "A"}```\n', ' {"name": "A"} '])
def test_where_nothing_holds_a_model_to_bare_json_one_fence_is_taken_off(mode, reply):
    assert judged(reply, Version(structured=mode))["name"] == "A"


@pytest.mark.parametrize(
    "reply",
    [
        'Here you are:\n```json\n{"name": "A"}\n```',
        '```json\n{"name": "A"}\n```\nAnything else?',
        '```json\n{"name": "A"}\n```\n```json\n{"name": "B"}\n```',
        '```json\n```json\n{"name": "A"}\n```\n```',
        '```python\n{"name": "A"}\n```',
    ],
)
def test_more_than_one_fence_is_not_forgiven(reply):
    assert failure(reply, Version(structured="text")).code == "not_json"


@pytest.mark.parametrize("mode", ["strict_tool", "json_schema"])
def test_structured_modes_know_no_fence(mode):
    assert failure('```json\n{"name": "A"}\n```', Version(structured=mode)).code == "not_json"


def test_a_placeholder_is_a_violation_with_its_path():
    failed = failure('{"name": "Acme", "note": "N/A"}')
    assert failed.code == "placeholder"
    assert [(found.path, found.check, found.value) for found in failed.violations] == [("$.note", "placeholder", "N/A")]


def test_a_placeholder_is_shown_in_the_sentence_and_not_once_more_behind_it():
    assert failure('{"name": "string"}').detail == '$.name: The reply holds "string", which is a placeholder.'


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (12345, "it is the number 12345."),
        (None, "it is null."),
        (True, "it is true."),
        (["a"], 'it is the array ["a"].'),
        ({"a": "b" * 99}, 'it is the object {"a":"' + "b" * 54 + "…."),
    ],
)
def test_a_value_that_is_no_text_stands_in_the_sentence_with_its_kind(value, told):
    failed = failure(json.dumps({"name": value}))
    assert failed.violations[0].message == f"Input should be a valid string; {told}"
    assert value_beside(failed.violations[0]) == ""
    assert failed.detail == f"$.name: Input should be a valid string; {told}"


def test_a_text_stands_in_quotes_behind_the_sentence():
    failed = failure(json.dumps({"name": "a", "count": "12345"}))
    assert failed.violations[0].message == "Input should be a valid integer."
    assert value_beside(failed.violations[0]) == "'12345'"
    assert failed.detail == "$.count: Input should be a valid integer. (it is '12345')"


def test_violations_are_joined_without_a_full_stop_between():
    detail = failure('{"name": "n/a", "note": "tbd"}').detail
    assert detail.count(".;") == 0
    assert detail.endswith('; $.note: The reply holds "tbd", which is a placeholder.')


def test_the_operators_own_words_are_no_placeholders():
    assert judged('{"name": "Acme", "category": "unknown"}')["category"] == "unknown"


def test_all_checks_report_and_the_first_gives_the_code():
    failed = failure('{"name": "n/a", "note": " "}')
    assert failed.code == "empty"
    assert {found.check for found in failed.violations} == {"empty", "placeholder"}


def test_a_check_can_be_switched_off_and_told_what_is_real():
    off = Version(checks={"placeholder": False}, label="off")
    real = Version(checks={"placeholder": {"allow": {"$.name": ["Null"]}}}, label="real")
    assert judged('{"name": "Null"}', off)["name"] == "Null"
    assert judged('{"name": "Null"}', real)["name"] == "Null"
    assert failure('{"name": "Null"}').code == "placeholder"


def test_two_versions_with_one_label_keep_their_own_checks():
    off = Version(checks={"placeholder": False})
    assert judged('{"name": "n/a"}', off)["name"] == "n/a"
    assert failure('{"name": "n/a"}', Version()).code == "placeholder"


def test_a_byte_order_mark_is_skipped():
    assert judged('\ufeff{"name": "A"}')["name"] == "A"


def test_a_whole_number_of_any_size_is_kept():
    assert judged('{"name": "A", "count": 123456789012345678901234567890}')["count"] == 123456789012345678901234567890


def test_a_result_that_cannot_be_written_as_utf8_is_not_published():
    assert failure('{"name": "A"}', Version(output_model=Surprising)).code == "schema"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)


@given(st.text() | JSON.map(json.dumps) | st.builds(lambda note: json.dumps({"name": "A", "note": note}), JSON))
def test_any_reply_is_either_fit_to_be_published_or_an_output_error(reply):
    try:
        output = judged(reply, Version(structured="text"))
    except OutputError as error:
        failed = error
    else:
        strict_json.dumps(output)
        return
    assert failed.code == failed.violations[0].check
