"""Records as JSON lines, and whose they are."""

import json

import pytest

from stream.kafka.lines import about, as_line
from tests.support.letters import dead_letter, headers, record, request


def test_a_line_has_the_seven_fields_of_the_contract():
    line = as_line(record(key=b"k", value={"a": 1}, headers=(("h", b"x"),), partition=3, offset=4))
    assert line == {
        "topic": "llm.dlq",
        "partition": 3,
        "offset": 4,
        "timestamp_ms": 1_000,
        "key": "k",
        "headers": {"h": "x"},
        "value": {"a": 1},
    }


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", "plain"),
        (b"", ""),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"12", 12),
        (b"NaN", "NaN"),
        (b'{"a":1,"a":2}', '{"a":1,"a":2}'),
        (b'"\\ud800"', '"\\ud800"'),
        (None, None),
    ],
)
def test_a_value_is_json_where_it_is_json_else_text_else_base64(data: bytes | None, shown: object):
    assert as_line(record(value=data))["value"] == shown


def test_any_line_can_be_written_as_json():
    line = as_line(record(key=b"\xff", value=b"\xfe", headers=(("h", b"\xfd"), ("n", None))))
    assert json.loads(json.dumps(line))["headers"] == {"h": {"base64": "/Q=="}, "n": None}


def test_a_header_that_stands_twice_is_a_list():
    assert as_line(record(headers=(("h", b"1"), ("h", b"2"))))["headers"] == {"h": ["1", "2"]}


def test_headers_that_cannot_be_read_are_null():
    assert as_line(record(headers=None))["headers"] is None


def test_a_request_is_understood_as_a_worker_would():
    assert about("requests", request("r", "greet")) == ("r", "greet")
    plain = record("llm.requests", value={"id": "p", "task": "greet", "input": {}})
    assert about("requests", plain) == ("p", "greet")
    structured = {"specversion": "1.0", "id": "s", "source": "/x", "type": "llm.request.greet", "data": {}}
    assert about("requests", record("llm.requests", value=structured)) == ("s", "greet")


def test_of_a_request_that_cannot_be_understood_the_headers_tell():
    assert about("requests", request("r", "greet", value=b"junk")) == ("r", "greet")
    assert about("requests", record("llm.requests", value=b"junk")) == (None, None)


def test_a_forged_header_makes_no_request_anothers():
    assert about("requests", request("r", headers=headers(llm__request_id="other", llm__task="other"))) == (
        "r",
        "greet",
    )


def test_a_result_is_known_by_its_headers_or_by_its_fields():
    by_headers = record("llm.results", headers=headers(ce_causationid="r", ce_type="llm.result.greet"))
    assert about("results", by_headers) == ("r", "greet")
    assert about("results", record("llm.results", value={"request_id": "r", "task": "greet"})) == ("r", "greet")


def test_a_dead_letter_is_known_by_what_the_worker_wrote():
    assert about("dlq", dead_letter("r", "greet")) == ("r", "greet")


def test_a_dead_letter_without_our_headers_is_known_as_the_request_it_was():
    assert about("dlq", request("r", "greet", topic="llm.dlq")) == ("r", "greet")


def test_a_decision_is_about_what_its_scope_names():
    assert about("decisions", record(value={"scope": {"task": "greet"}})) == (None, "greet")
    assert about("decisions", record(value=b"junk")) == (None, None)
