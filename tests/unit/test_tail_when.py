"""Where reading starts, as people write it."""

from datetime import UTC, datetime

import pytest
import typer

from stream.cli.moments import moment_ms
from stream.cli.when import start_from
from stream.kafka.reading import EARLIEST, LATEST, Start

NOW_MS = 10_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("earliest", EARLIEST),
        ("latest", LATEST),
        ("1042", Start("offset", 1042)),
        ("-1h", Start("time", NOW_MS - 3_600_000)),
        ("30m", Start("time", NOW_MS - 1_800_000)),
        ("-7d", Start("time", NOW_MS - 604_800_000)),
        ("999999999d", Start("time", 0)),
        ("2001-09-09T01:46:40Z", Start("time", 1_000_000_000_000)),
        ("2001-09-09T03:46:40+02:00", Start("time", 1_000_000_000_000)),
    ],
)
def test_words_offsets_durations_and_times_are_understood(text: str, expected: Start):
    assert start_from(text, NOW_MS, "--from") == expected


def test_a_time_without_a_zone_is_local_time():
    local = datetime.fromtimestamp(1_000_000_000, UTC).astimezone().replace(tzinfo=None).isoformat()
    assert start_from(local, NOW_MS, "--from") == Start("time", 1_000_000_000_000)


@pytest.mark.parametrize("text", ["", "soon", "-1y", "-5", "٣", "9" * 20, "2026-13-01"])
def test_anything_else_is_wrong_usage_with_examples(text: str):
    with pytest.raises(typer.BadParameter, match="-1h"):
        start_from(text, NOW_MS, "--from")


@pytest.mark.parametrize("text", ["yesterday", "latest", "1042"])
def test_where_only_times_are_taken_nothing_else_is_offered(text: str):
    with pytest.raises(typer.BadParameter, match="how long ago") as refused:
        moment_ms(text, NOW_MS, "--from")
    assert "earliest" not in str(refused.value)
    assert "offset" not in str(refused.value)
