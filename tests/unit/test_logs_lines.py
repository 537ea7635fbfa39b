"""A log line is one line, bounded and free of secrets, whatever stands in it."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs.redact import KINDS, redact
from stream.telemetry.log_lines import MAX_CHARS, AsText, as_json, safe, scrub
from stream.telemetry.log_watch import LogWatch
from tests.support.telemetry_parts import completed, dead_lettered, logging_to_a_pipe, record

KEY = "sk-ant-api03-abcdefghij0123456789"

HOSTILE = {
    "line feed": 'r\n{"level":"error","event":"forged"}',
    "carriage return": "r\rforged",
    "other line breaks": "r\x0bf\x0cf\x85f\u2028f\u2029f",
    "terminal sequence": "r\x1b[2J\x1b[31mred",
    "c1 sequence": "r\x9b31mred",
    "direction marks": "r\u202egnp.exe\u2066",
    "null": "r\x00",
    "delete": "r\x7f",
    "lone surrogate": "r\ud800\udfff",
    "quotes": 'r" level=error event="forged',
    "one megabyte": "r" * 1_000_000,
    "one megabyte of escapes": "\x1b" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_hostile_request_id_can_not_break_a_line(name, log_format):
    with logging_to_a_pipe(log_format) as written:
        watch = LogWatch(written.logs.logger)
        watch.finished(record(), completed(HOSTILE[name]))
        watch.finished(record(), dead_lettered(HOSTILE[name], HOSTILE[name], detail=HOSTILE[name]))
    assert len(written.raw_lines) == 2
    assert all(line.isprintable() and len(line) < 10 * MAX_CHARS for line in written.raw_lines)
    assert len(written.text.splitlines()) == 2


def test_a_forged_field_in_text_stays_inside_quotes():
    with logging_to_a_pipe("text") as written:
        LogWatch(written.logs.logger).finished(record(), completed(HOSTILE["quotes"]))
    (line,) = written.raw_lines
    value = re.search(r'request_id=("(?:[^"\\]|\\.)*")', line)
    assert value is not None
    assert json.loads(value[1]) == HOSTILE["quotes"]


def rendered(render: Any, **event: Any) -> bytes:
    line: bytes = render(None, "info", scrub(None, "info", event))
    return line


anything = st.text() | st.integers() | st.none() | st.floats() | st.binary(max_size=9) | st.lists(st.text(), max_size=3)
names = st.sampled_from(["request_id", "detail", "task", "code", "source", "reason"])


@given(st.text(), st.dictionaries(names, anything))
def test_any_event_is_one_printable_json_object(event, fields):
    fields.pop("source", None)
    line = rendered(as_json, event=event, **fields)
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)


@given(st.text(), st.dictionaries(names, st.text() | st.integers()))
def test_any_event_is_one_printable_line_of_text(event, fields):
    fields.pop("source", None)
    line = rendered(AsText(colours=False), event=event, **fields).decode()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@pytest.mark.parametrize("field", ["event", "detail", "request_id", "task", "model", "reason"])
def test_a_key_is_taken_out_of_every_field(field):
    assert KEY not in rendered(as_json, **{"event": "x", field: f"refused {KEY}"}).decode()


def test_a_key_that_the_bound_would_cut_is_taken_out_whole():
    for lead in range(MAX_CHARS - len(KEY), MAX_CHARS + 1):
        assert "sk-" not in safe("." * lead + KEY)


@given(st.text(max_size=2_000))
def test_what_is_safe_is_bounded_and_printable(text):
    clean = safe(text)
    assert clean.isprintable()
    assert len(clean) <= MAX_CHARS


def test_ordinary_text_stays_as_it_is():
    text = "Rechnung № 2031-0042: „fällig“ in 14 Tagen — 東京 🙂"
    assert safe(text) == text


def test_a_number_that_json_can_not_say_does_not_lose_the_line():
    assert json.loads(rendered(as_json, event="x", n=2**80))["n"] == repr(2**80)


PREFIXES = """
sk- pk- sk_live_ sk_test_ rk_live_ pk_live_ gho_ ghp_ ghs_ ghu_ ghr_ github_pat_ glpat- xoxa- xoxb- hf_ npm_ pypi- AIza
AKIA ASIA eyJ :// @ a.example Bearer basic key= KEY: token secret= PassWord= pa\u017f\u017fword= pwd: passphrase=
-----BEGIN PRIVATE KEY----- 0123456789abcdefghij 0123456789ABCDEF , .
"""
fragments = st.sampled_from([*PREFIXES.split(), "\n", " "])


def searched_for_every_kind(text: str) -> str:
    for kind in KINDS:
        text = kind.pattern.sub(kind.replacement, text)
    return text


@given(st.lists(fragments | st.text(max_size=4), max_size=12).map("".join))
def test_the_signs_of_a_secret_never_hide_one(text):
    """A kind whose signs aren't there isn't searched for: that must not change what is taken out."""
    assert redact(text) == searched_for_every_kind(text)


@pytest.mark.parametrize("prefix", PREFIXES.split())
@pytest.mark.parametrize(
    "rest", ["0123456789ABCDEF", "a1b2c3d4e5f6g7h8i9j0", " 0123456789abcdefghij", "a:b1c2@d.example"]
)
def test_no_prefix_of_a_secret_is_without_its_sign(prefix, rest):
    assert redact(prefix + rest) == searched_for_every_kind(prefix + rest)


def test_a_line_of_a_megabyte_costs_no_more_than_a_long_one():
    text = "x@" * 500_000
    started = time.process_time()
    for _ in range(50):
        safe(text)
    assert time.process_time() - started < 0.5
