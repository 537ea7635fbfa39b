"""TOML's mistakes in TOML's words."""

import tomllib

import pytest

from stream.core.toml_words import toml_trouble


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kafka]\na = 1\n[kafka]\n", "[kafka] is declared twice (at line 3, column 7)"),
        ("[a.b]\n[a.b]\n", "[a.b] is declared twice (at line 2, column 5)"),
        ("a = 1\na = 2\n", "a key is set twice (at line 2, column 6)"),
        ("a = {b = 1}\na.c = 2\n", "a is set already (at line 2"),
        ("a = \n", "Invalid value (at line 1, column 5)"),
    ],
)
def test_a_mistake_is_told_without_the_parsers_python(text, words):
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    assert toml_trouble(error.value).startswith(words)
