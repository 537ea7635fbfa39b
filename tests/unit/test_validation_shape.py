"""Where free text may stand, read off the Output model."""

from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from stream.validation.shape import Shape


class Cat(BaseModel):
    kind: Literal["cat"]
    says: Literal["unknown", "meow"]


class Dog(BaseModel):
    kind: Literal["dog"]
    says: str


class Names(RootModel[list[str]]):
    pass


class Tree(BaseModel):
    label: str
    below: "list[Tree]" = []


class Output(BaseModel):
    plain: str
    constrained: Annotated[str, Field(pattern="^a")] | None
    day: date
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]
    names: Names
    tree: Tree
    pair: tuple[str, int]
    by_name: dict[str, list[Dog]]
    loose: dict
    anything: Any
    renamed: str = Field(alias="realName")


SHAPE = Shape(Output)


def paths(**output):
    return [text.path for text in SHAPE.texts(output)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"plain": "a"}, ["$.plain"]),
        ({"constrained": "a"}, ["$.constrained"]),
        ({"day": "2026-01-01"}, []),
        ({"animal": {"kind": "dog", "says": "wuff"}}, ["$.animal.says"]),
        ({"animal": {"kind": "cat", "says": "unknown"}}, []),
        ({"names": ["a", "b"]}, ["$.names[0]", "$.names[1]"]),
        ({"tree": {"label": "a", "below": [{"label": "b"}]}}, ["$.tree.label", "$.tree.below[0].label"]),
        ({"pair": ["a", 1]}, ["$.pair[0]"]),
        ({"by_name": {"x": [{"kind": "dog", "says": "a"}]}}, ["$.by_name.x[0].says"]),
        ({"loose": {"a": {"b": "c"}}}, ["$.loose.a.b"]),
        ({"anything": ["a", {"b": "c"}]}, ["$.anything[0]", "$.anything[1].b"]),
        ({"realName": "a"}, ["$.realName"]),
        ({"nobody_asked": "a"}, []),
    ],
)
def test_free_text_is_found_and_the_operators_own_words_are_not(output, expected):
    assert paths(**output) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "$.plain",
        "$.names[*]",
        "$.tree.below[*].below[*].label",
        '$.by_name["odd key"][*].says',
        "$.anything.x",
        "$.realName",
    ],
)
def test_paths_of_free_text_are_known(pattern):
    assert SHAPE.has(pattern)


@pytest.mark.parametrize(
    "pattern", ["$", "", "$.day", "$.names", "$.names[0]", "$.plain.x", "$.renamed", "plain", "$..plain"]
)
def test_other_paths_are_not(pattern):
    assert not SHAPE.has(pattern)


def test_patterns_of_a_model_that_contains_itself_come_to_an_end():
    assert Shape(Tree).patterns()[:2] == ["$.label", "$.below[*].label"]
