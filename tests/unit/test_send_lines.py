"""What a line of `llm-stream send` asks for."""

import json

import pytest

from stream.codecs.requests import RequestDecoder
from stream.core.records import Record
from stream.kafka.sending import LineError, NewRequest, lines_of, record_for, request_from


def test_a_line_is_the_tasks_input():
    assert request_from(1, b'{"text": "hello", "id": 5}') == NewRequest(1, None, None, {"text": "hello", "id": 5})


def test_the_long_form_gives_id_key_and_input():
    line = b'{"id": "r", "key": "k", "input": {"text": "hello"}}'
    assert request_from(3, line) == NewRequest(3, "r", "k", {"text": "hello"})


def test_the_long_form_may_leave_out_id_and_key():
    assert request_from(1, b'{"input": [1]}') == NewRequest(1, None, None, [1])


def test_an_input_that_has_other_keys_beside_input_is_no_long_form():
    assert request_from(1, b'{"input": "x", "lang": "en"}') == NewRequest(1, None, None, {"input": "x", "lang": "en"})


def test_an_empty_line_asks_for_nothing():
    assert request_from(1, b"  \r\n") is None


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1]", b'"x"', b"\xff", b'{"id": 5, "input": 1}', b'{"id": " ", "input": 1}', b'{"key": 1, "input": 1}'],
)
def test_a_line_that_is_no_request_is_refused_with_its_number(line: bytes):
    with pytest.raises(LineError, match="line 7: "):
        request_from(7, line)


def test_all_bad_lines_are_told_and_the_good_ones_read():
    refused: list[LineError] = []
    good = list(lines_of([b"{}", b"bad", b"", b'{"a": 1}', b"[]"], refused.append))
    assert [request.line for request in good] == [1, 4]
    assert [error.line for error in refused] == [2, 5]


def test_the_record_is_a_cloud_event_that_a_worker_understands():
    sent = record_for(NewRequest(1, "r", None, {"text": "x"}), "greet", "llm.requests", at_ms=0)
    request = RequestDecoder()(Record(sent.topic, 0, 0, sent.key, sent.value, sent.headers, 0))
    assert (request.id, request.task, request.input, sent.key) == ("r", "greet", {"text": "x"}, None)


def test_without_an_id_each_request_gets_one_of_its_own():
    first, second = (record_for(NewRequest(1, None, "k", {}), "greet", "t", at_ms=0) for _ in range(2))
    assert dict(first.headers)["ce_id"] != dict(second.headers)["ce_id"]
    assert first.key == b"k"


def test_a_request_larger_than_its_topic_takes_is_refused_by_line():
    request = request_from(4, json.dumps({"text": "x" * 1_000}).encode())
    assert request is not None
    with pytest.raises(LineError, match="line 4: makes a record of"):
        record_for(request, "greet", "t", at_ms=0, max_bytes=500)
