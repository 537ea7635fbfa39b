"""How long to wait is believed only where it makes sense."""

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.resilience.retry_after import parse_retry_after

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"RETRY-AFTER-MS": "250"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after-ms": "junk", "retry-after": "60"}, 60.0),
        ({"retry-after-ms": "999999999999", "retry-after": "60"}, 60.0),
        ({"retry-after": formatdate(NOW_S + 30, usegmt=True)}, 30.0),
        ({"retry-after": "900"}, 900.0),
    ],
)
def test_a_wait_is_read_in_all_its_forms(headers: dict[str, str], wait_s: float) -> None:
    assert parse_retry_after(headers, NOW_S) == wait_s


@pytest.mark.parametrize("value", ["901", "86400", formatdate(NOW_S + 3600, usegmt=True)])
def test_a_long_wait_is_cut_to_fifteen_minutes(value: str) -> None:
    assert parse_retry_after({"retry-after": value}, NOW_S) == 900.0


@pytest.mark.parametrize(
    "value",
    [
        *("", "nan", "NaN", "inf", "-inf", "-1", "+1", "1e3", "1_000", "٣", "0x10", "soon", "5, 10"),
        *("86401", "4233600", "9" * 400, "Mon, 99 Foo 2026 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
        formatdate(NOW_S - 5, usegmt=True),
        formatdate(NOW_S + 90_000, usegmt=True),
    ],
)
def test_nonsense_says_nothing(value: str) -> None:
    assert parse_retry_after({"retry-after": value}, NOW_S) is None
    assert parse_retry_after({"retry-after-ms": value if not value.isdigit() else "-1"}, NOW_S) is None


def test_no_header_says_nothing() -> None:
    assert parse_retry_after({"content-type": "text/html"}, NOW_S) is None


@given(st.text(), st.sampled_from(["retry-after", "Retry-After-Ms"]))
def test_any_text_gives_a_bounded_wait_or_none(value: str, name: str) -> None:
    wait_s = parse_retry_after({name: value}, NOW_S)
    assert wait_s is None or (0 <= wait_s <= 900 and math.isfinite(wait_s))


@given(st.floats())
def test_any_number_gives_a_bounded_wait_or_none(value: float) -> None:
    wait_s = parse_retry_after({"retry-after": str(value)}, NOW_S)
    assert wait_s is None or 0 <= wait_s <= 900
