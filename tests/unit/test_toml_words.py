"""TOML's mistakes in TOML's words."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def trouble(text: str) -> str:
    """What is said of this text."""
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    return toml_trouble(error.value, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kafka]\n\n  group_id = llm-stream\n", 'column 14): group_id = llm-stream; text needs quotes: "llm-stream"'),
        ("[kafka]\r\na = b # c\r\n", '(at line 2, column 5): a = b # c; text needs quotes: "b"'),
        ("a = [llm.requests, 'x']\n", "column 6): a = [llm.requests, 'x']; text needs quotes: \"llm.requests\""),
        ("a = 127.0.0.1:9092\n", 'a = 127.0.0.1:9092; text needs quotes: "127.0.0.1:9092"'),
        ("a = “b”\n", 'a = “b”; text needs quotes: "b"'),
        ("a = True\n", "a = True; TOML writes it true"),
        ("max_output_tokens = many", 'max_output_tokens = many; text needs quotes: "many"'),
        ("a = 90 %\n", "a = 90 %"),
        ("a = \n", "(at line 1, column 5): a ="),
        ("a: 1\n", "a: 1"),
        ("[kafka\n", "[kafka"),
        ("a = 1\na = 2\n", "a key is set twice (at line 2, column 6): a = 2"),
        ('a = "x\x1b[2J"\n', r'a = "x\x1b[2J"'),
        ("a = b\\c\n", r"a = b\c; text needs quotes"),
        ('a = """\nb\n', "Unterminated string (at end of document)"),
    ],
)
def test_the_line_is_quoted_with_what_to_do_about_it(text, words):
    assert trouble(text).endswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "api_key = hunter2\n",
        "API-Key = hunter2\n",
        "[kafka.properties]\nsasl.password = hunter2\n",
        "[providers.a.secrets]\nx = hunter2\n",
        '"ssl.key.pem" = hunter2\n',
        "token = [hunter2]\n",
        "a = { client_secret = hunter2 }\n",
        "password = [\n  hunter2,\n]\n",
        'password = [\n  ["hunter2", hunter2],\n]\n',
        'password = """\nx = hunter2\\q\n"""\n',
        "url = https://me:hunter2@example.com/\n",
        "model = sk-hunter2\n",
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_quoted(text):
    said = trouble(text)
    assert "hunter2" not in said
    assert f"(at line {text.split('hunter2')[0].count(chr(10)) + 1}, " in said


def test_an_unquoted_secret_gets_the_hint_without_its_text():
    assert trouble("password = hunter2\n") == "Invalid value (at line 1, column 12); text needs quotes"


def test_what_is_quoted_is_bounded():
    assert len(trouble("a = " + "\U000e0001" * 10_000)) < 300
    assert len(trouble("a = " + "b" * 10_000)) < 300


@given(st.text("[]{}=\"'#:.ab1\n\r -“\x1b", max_size=40).map("a = b".__add__))
def test_every_mistake_is_told_on_one_printable_line(text):
    assert trouble(text).isprintable()
