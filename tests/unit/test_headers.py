"""Reading headers tolerantly: nothing in them can stop a record."""

import pytest

from stream.core.headers import integer, text


def test_the_last_value_of_a_name_counts() -> None:
    assert text((("a", b"1"), ("b", b"2"), ("a", b"3")), "a") == "3"


@pytest.mark.parametrize("headers", [None, (), (("a", None),), (("a", b"\xff"),), (("other", b"1"),)])
def test_what_is_absent_null_or_not_utf8_is_none(headers: tuple[tuple[str, bytes | None], ...] | None) -> None:
    assert text(headers, "a") is None
    assert integer(headers, "a") is None


@pytest.mark.parametrize(
    ("value", "number"), [(b"0", 0), (b"41", 41), (b"-1", -1), (b"9223372036854775807", 2**63 - 1)]
)
def test_a_decimal_integer_is_read(value: bytes, number: int) -> None:
    assert integer((("a", value),), "a") == number


@pytest.mark.parametrize(
    "value", [b"", b"-", b"--1", b"1.0", b"1e3", b" 1", b"0x1", "٣".encode(), b"1" * 21, b"-" + b"1" * 20]
)
def test_anything_else_is_no_integer_and_no_error(value: bytes) -> None:
    assert integer((("a", value),), "a") is None
