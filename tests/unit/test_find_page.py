"""What `find` shows at a terminal of 80 columns, and in a pipe."""

import re

import pytest

from stream.cli.find import _tell
from stream.kafka.finding import Found, trace
from tests.support.letters import dead_letter, request

DETAIL = b"$.gross_total: Input should be less than or equal to 1000000000000. (it is '1096296296310.0')"
SEARCHED = ["llm.requests", "llm.results", "llm.dlq", "llm.audit", "llm.decisions"]


@pytest.fixture
def found():
    asked = Found("requests", request(partition=2, offset=7))
    letter = Found("dlq", dead_letter(more=(("llm.error.detail", DETAIL),), timestamp_ms=5_000))
    return trace("r-1", "llm-stream", SEARCHED, [asked, letter])


def test_at_80_columns_lines_break_between_pairs_only(found, monkeypatch, capsys):
    for name, value in (("TTY_COMPATIBLE", "1"), ("COLUMNS", "80"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    _tell(found, "earliest")
    captured = capsys.readouterr()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", captured.out).splitlines()
    assert lines[:3] == [
        "when                      what         where",
        "1970-01-01T00:00:01.000Z  request      llm.requests:2:7",
        "    type: llm.request.greet   source: /tests",
    ]
    assert lines[4] == "    stage: validate   code: placeholder"
    assert lines[5].startswith("    detail: $.gross_total")
    assert lines[6].startswith("      ")
    assert lines[-1] == "    cost_micro_usd: 1234"
    told = re.sub(r"\x1b\[[0-9;]*m", "", captured.err).splitlines()
    assert max(len(line) for line in lines + told) <= 80
    assert any("llm-stream dlq show 2:9" in line for line in told)


def test_where_input_and_output_are_shown_is_said_last(found, capsys):
    _tell(found, "earliest")
    assert "--json shows" in capsys.readouterr().err.splitlines()[-1]


def test_piped_a_record_is_a_line(found, capsys):
    _tell(found, "earliest")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "stage=validate  code=placeholder  detail=" in lines[2]
