"""The built-in storms: each does what its line says, second by second."""

import itertools
from pathlib import Path

import pytest

from stream.core.errors import ConfigError
from stream.simulator.script import Performance
from stream.simulator.storms import STORMS, listing, script_of, table

ROOT = Path(__file__).parents[2]
SECONDS = range(330)

FAULTS = {
    "cut": {},
    "outage": {"overload": range(60, 90)},
    "errors": {"server_error": range(60, 90)},
    "hang": {"hang": range(60, 90)},
    "account": {"auth": range(60, 90)},
    "herd": {},
    "bad-night": {"overload": range(150, 180), "auth": range(210, 240), "server_error": range(270, 300)},
}


def cut_to_a_quarter(second: int) -> int:
    """Calls that pass half a second into this one; where the cut ends, half of what comes in was before, half after."""
    return {120: 25 + 100}.get(second, 50 if 60 <= second < 120 else 200)


PASSED = {
    "cut": cut_to_a_quarter,
    "herd": lambda second: 2000 if second % 10 == 0 else 0,
    "bad-night": cut_to_a_quarter,
}


def laid(name: str) -> dict[str, list[int]]:
    """The faults of a call each second, with the seconds."""
    played = Performance(script_of(name), seed=0)
    found: dict[str, list[int]] = {}
    for second in SECONDS:
        fault = played.fault_for(*played.arrival(1000.0 + second), "m", "")
        if fault is not None:
            assert fault.retry_after_s is None
            found.setdefault(fault.kind, []).append(second)
    return found


def passed(name: str) -> list[int] | None:
    """How many calls pass in the middle of each second until one doesn't; None where there is no quota."""
    pool = Performance(script_of(name), seed=0).pools.of("anthropic", "key", "m")
    if pool is None:
        return None
    return [
        next(count for count in itertools.count() if pool.admit(second + 0.5, 1, 1) is not None) for second in SECONDS
    ]


def test_every_storm_has_its_expectation() -> None:
    assert list(FAULTS) == list(STORMS)


@pytest.mark.parametrize("name", STORMS)
def test_a_storms_faults_come_when_its_line_says(name: str) -> None:
    assert laid(name) == {kind: list(seconds) for kind, seconds in FAULTS[name].items()}


@pytest.mark.parametrize("name", STORMS)
def test_a_storms_quota_gives_what_its_line_says(name: str) -> None:
    expected = PASSED.get(name)
    given = passed(name)
    if expected is None:
        assert given is None
        return
    assert given == [expected(second) for second in SECONDS]


def test_a_storm_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no storm `herds` \(did you mean `herd`\?\); one of cut, outage"):
        script_of("herds")


def test_the_documentation_shows_the_table_of_storms_as_it_is() -> None:
    text = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    shown = text.partition("stream/simulator/storms.py -->\n")[2].partition("\n<!-- end of storms -->")[0]
    assert shown == table(), "run: python -c 'from stream.simulator.storms import table; print(table())'"


def test_the_listing_fits_a_terminal() -> None:
    assert max(map(len, listing().splitlines())) <= 78
    assert listing().count("\n") < 12
