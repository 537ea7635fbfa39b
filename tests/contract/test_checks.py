"""Every check of the table against its examples in `check_examples/`: a new check needs a file there, but no test."""

import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from stream.core.errors import CODES, ConfigError, Violation
from stream.core.records import Request
from stream.validation import CHECKS, verify_checks
from stream.validation.check import SHOWN_CHARACTERS, Reply
from stream.validation.shape import Shape

EXAMPLES = Path(__file__).parent / "check_examples"


class Line(BaseModel):
    text: str


class Kind(Enum):
    UNKNOWN = "unknown"


class Output(BaseModel):
    """What the examples are replies to; they may leave fields out."""

    name: str
    note: str | None
    kind: Kind
    either: Literal["n/a"] | str
    day: str
    amount: float
    sure: bool
    lines: list[Line]
    by_key: dict[str, str]
    anything: Any
    defaulted: str = ""


SHAPE = Shape(Output)


def found(name: str, example: dict[str, Any]) -> list[Violation]:
    check = CHECKS[name].bind(example.get("options", True), SHAPE)
    return check(Reply(example["output"], SHAPE.texts(example["output"]), Request("1", "t", {})))


def examples(outcome: str) -> list[Any]:
    return [
        pytest.param(name, example, id=f"{name} {json.dumps(example['output'], ensure_ascii=True)}")
        for name in CHECKS
        for example in json.loads((EXAMPLES / f"{name}.json").read_text())[outcome]
    ]


@pytest.mark.parametrize(("name", "example"), examples("passes"))
def test_a_good_reply_passes(name, example):
    assert found(name, example) == []


@pytest.mark.parametrize(("name", "example"), examples("fails"))
def test_a_bad_reply_is_found_at_its_place(name, example):
    violations = found(name, example)
    assert [violation.path for violation in violations] == example["paths"]
    for violation in violations:
        assert violation.check == name
        assert len(violation.value) <= SHOWN_CHARACTERS
        assert violation.message.endswith(".")


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_examples_of_both_kinds(name):
    example = json.loads((EXAMPLES / f"{name}.json").read_text())
    assert len(example["passes"]) >= 5
    assert len(example["fails"]) >= 5


def test_no_examples_belong_to_a_check_that_is_not_there():
    assert {path.stem for path in EXAMPLES.iterdir()} == set(CHECKS)


def test_the_codes_of_the_validate_stage_are_the_checks_and_three_more():
    assert CODES["validate"] == CHECKS.keys() | {"not_json", "schema", "unknown_stop_reason"}


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_can_be_switched_off_and_takes_true(name):
    verify_checks({name: False}, Output)
    verify_checks({name: True}, Output)


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("options", ["yes", 3, {"no_such_option": 1}])
def test_every_check_refuses_options_it_does_not_know(name, options):
    with pytest.raises(ConfigError, match=f"^{name}"):
        verify_checks({name: options}, Output)
