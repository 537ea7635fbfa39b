"""Requests that come too late: how long ago is said as people say it."""

import pytest

from stream.core.errors import RouteError
from stream.core.expiry import in_words, refuse_expired


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (4.25, "4.2 s"),
        (59.99, "1 min"),
        (200, "3 min"),
        (3_599.6, "1 h 0 min"),
        (7_500, "2 h 5 min"),
        (4 * 86_400 + 7_200, "4 d 2 h"),
        (400 * 86_400, "400 d 0 h"),
        (217_636_033.4, "7 years"),
        (1e12, "31,688 years"),
    ],
)
def test_a_time_is_said_in_units_of_its_size(seconds: float, words: str):
    assert in_words(seconds) == words


def test_a_request_that_expired_years_ago_is_refused_in_years():
    with pytest.raises(RouteError, match=r"^the request expired 7 years ago \(ce_expirytime\)"):
        refuse_expired(0, 217_636_033_400)


def test_a_request_is_refused_from_the_very_moment_of_its_expiry():
    refuse_expired(1_001, 1_000)
    refuse_expired(None, 1_000)
    with pytest.raises(RouteError):
        refuse_expired(1_000, 1_000)
