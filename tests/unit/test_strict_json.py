"""JSON that means one thing only: checked against the standard library, and against what each refusal must say."""

import contextlib
import json
import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs.strict_json import StrictJsonError, dumps, parse

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(['":', '" :', '\\":', "\\", '"', '": {"a":1,"a":2}'])
)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(['":', '\\":', "\\"])
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


def oracle(text: str):
    """What the standard library makes of the text, with the same refusals, or the error."""

    def unique(pairs):
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("duplicate")
        return dict(pairs)

    def finite(literal):
        if not math.isfinite(float(literal)):
            raise ValueError("infinite")
        return float(literal)

    def no_constant(literal):
        raise ValueError(literal)

    value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=no_constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_what_the_standard_library_writes_is_read_unchanged(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert repr(parse(text)) == repr(value)
    assert repr(parse(text.encode())) == repr(value)


@given(values)
def test_a_value_written_is_read_back_unchanged(value):
    assert repr(parse(dumps(value))) == repr(value)


PIECES = r"""
{ } [ ] , : "a" "b" "a\":" "\u0061" "\ud800" "\ud83d\ude00" "": {"a":1, "a":2} {"a":1} é
1 -1 1e5 1e999 01 1. 18446744073709551616 NaN -Infinity null true
"""
json_like = st.lists(st.sampled_from([*PIECES.split(), '"a"  :', " ", "\n", '"\x01"', "\ufeff"]), max_size=8).map(
    "".join
)


@given(json_like)
def test_any_text_is_read_or_refused_as_the_standard_library_with_the_same_rules_would(text):
    try:
        expected = repr(oracle(text.removeprefix("\ufeff")))
    except ValueError:
        expected = None
    try:
        got = repr(parse(text))
    except StrictJsonError:
        got = None
    assert got == expected


@given(st.binary(max_size=40))
def test_any_bytes_give_a_value_or_our_own_error(data):
    try:
        value = parse(data)
    except StrictJsonError:
        return
    assert repr(parse(dumps(value))) == repr(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The text is empty."),
        (" \n", "The text is empty."),
        ('{"a": NaN}', "NaN at line 1, column 7 is no JSON number."),
        ("[\n -Infinity]", "Infinity at line 2, column 3 is no JSON number."),
        ("[1e999]", "The number at line 1, column 2 is too large for a 64-bit float."),
        ('{"a":1,"a":1}', "The key 'a' stands twice in one object: which one counts is unclear."),
        ('{"x":[{"a":1,"\\u0061":2}]}', "The key 'a' stands twice in one object: which one counts is unclear."),
        (r'"\ud800"', "A lone surrogate at line 1, column 2: the string can't be written as UTF-8."),
        ("\ud800", "The text has a lone surrogate at character 1."),
        (b'"\xff"', "The text is not UTF-8: byte 2 is 0xff."),
        (b'"\xed\xa0\x80"', "The text is not UTF-8: byte 2 is 0xed."),
        ("[1] [2]", "Not JSON at line 1, column 5: unexpected content after document."),
        ("[1,]", "Not JSON at line 1, column 3: trailing comma is not allowed."),
        ("<html>", "Not JSON at line 1, column 1: unexpected character, expected a JSON value."),
        ("[" * 65 + "]" * 65, "Objects and arrays are nested more than 64 deep."),
        ("[" * 5_000 + "]" * 5_000, "Objects and arrays are nested more than 64 deep."),
        ("9" * 5_000, "The number at line 1, column 1 is too large for a 64-bit float."),
    ],
)
def test_a_refusal_says_what_and_where(text, sentence):
    with pytest.raises(StrictJsonError) as refusal:
        parse(text)
    assert str(refusal.value) == sentence


def test_a_refusal_never_shows_a_long_or_unprintable_key_as_it_is():
    key = json.dumps("\x1b[31m" + "k" * 500)
    with pytest.raises(StrictJsonError) as refusal:
        parse(f"{{{key}:1,{key}:2}}")
    assert len(str(refusal.value)) < 200
    assert str(refusal.value).isprintable()


def test_nesting_up_to_the_limit_is_fine():
    assert parse("[" * 64 + "]" * 64) is not None
    assert parse('{"a":[1]}', max_depth=2) == {"a": [1]}
    with pytest.raises(StrictJsonError):
        parse('{"a":[1]}', max_depth=1)


def test_a_text_of_more_bytes_than_allowed_is_refused_unread():
    assert parse("[1]", max_bytes=3) == [1]
    with pytest.raises(StrictJsonError, match=r"has 4 bytes, more than the 3 allowed"):
        parse("[12]", max_bytes=3)


def test_a_byte_order_mark_is_skipped():
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**60])
def test_whole_numbers_beyond_64_bits_are_kept_exactly(number):
    assert parse(str(number)) == number
    assert parse(f'{{"n":[{number}]}}') == {"n": [number]}
    assert parse(dumps([number])) == [number]


UNSPEAKABLE = [
    math.nan,
    [math.inf],
    {"a": {"b": -math.inf}},
    (math.nan,),
    "\ud800",
    {1: 2},
    {1},
    b"bytes",
    object(),
    [2**70, "\ud800"],
    {1: 2**70},
    [2**70, math.nan],
    [2**70, {1, 2}],
]


@pytest.mark.parametrize("value", UNSPEAKABLE, ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)))
def test_what_json_cannot_say_is_not_written(value):
    with pytest.raises(StrictJsonError):
        dumps(value)


def test_null_and_the_word_null_are_written():
    assert dumps({"a": None, "b": "null"}) == b'{"a":null,"b":"null"}'


HOSTILE = {
    "quotes": '"' * 1_000_000,
    "spaces": '["' + " " * 1_000_000,
    "colons in strings": '["' + '\\":' * 300_000 + '"]',
    "brackets": "[" * 1_000_000,
    "numbers": "[" + "1e19," * 200_000 + "1]",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_read_or_refused_in_linear_time(kind):
    started = time.process_time()
    with contextlib.suppress(StrictJsonError):
        parse(HOSTILE[kind])
    assert time.process_time() - started < 1
