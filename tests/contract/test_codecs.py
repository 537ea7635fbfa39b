"""What every decoder promises: a `Request` or a `DecodeError` out of the closed table, with a sentence for a person."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs.requests import RequestDecoder
from stream.core.errors import CODES, DecodeError
from stream.core.ports import Decoder
from stream.core.records import Record, Replay, Request

DECODERS: dict[str, Decoder] = {"json": RequestDecoder(max_value_bytes=6 * 1024 * 1024)}

PLAIN = {"id": "r-1", "task": "classify-ticket", "input": {"text": "hi"}}
CE = {"ce_specversion": b"1.0", "ce_id": b"r-1", "ce_type": b"llm.request.classify-ticket", "ce_source": b"/shop"}
ENVELOPE = {
    "specversion": "1.0",
    "id": "r-1",
    "type": "llm.request.classify-ticket",
    "source": "/shop",
    "data": {"text": "hi"},
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WANTED = Request("r-1", "classify-ticket", {"text": "hi"})


def record(value, headers=()) -> Record:
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    pairs = tuple(headers.items()) if isinstance(headers, dict) else headers
    return Record("llm.requests", 3, 42, None, raw, pairs, 0)


@pytest.fixture(params=DECODERS)
def decode(request):
    return DECODERS[request.param]


ACCEPTED = {
    "plain": record(PLAIN),
    "plain, with a byte order mark": record(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode()),
    "plain, whatever its content type": record(PLAIN, {"content-type": b"text/plain"}),
    "plain, ce_ headers without a version": record(PLAIN, {"ce_id": b"other", "ce_type": b"com.example"}),
    "binary": record({"text": "hi"}, CE),
    "binary, content type": record({"text": "hi"}, CE | {"content-type": b"application/json; charset=utf-8"}),
    "binary, names in capitals": record({"text": "hi"}, {name.upper(): value for name, value in CE.items()}),
    "binary, time": record({"text": "hi"}, CE | {"ce_time": b"2031-05-06T07:08:09.123Z"}),
    "binary, source missing": record(
        {"text": "hi"}, {name: value for name, value in CE.items() if name != "ce_source"}
    ),
    "binary, the last id counts": record({"text": "hi"}, (("ce_id", b"first"), *CE.items())),
    "structured by content type": record(ENVELOPE, {"content-type": b"application/cloudevents+json"}),
    "structured by its body": record(ENVELOPE),
    "structured with binary headers too": record(ENVELOPE, CE | {"content-type": b"application/cloudevents+json"}),
    "structured, base64": record(
        {k: v for k, v in ENVELOPE.items() if k != "data"} | {"data_base64": "eyJ0ZXh0IjoiaGkifQ=="}
    ),
    "foreign header, not UTF-8": record(PLAIN, {"x": b"\xff"}),
    "foreign header, null": record(PLAIN, {"ce_source": None}),
    "forged headers": record(PLAIN, {"llm.source.offset": b"9", "llm.error.code": b"x", "llm.request_id": b"\xff"}),
    "malformed trace": record(PLAIN, {"traceparent": b"00-zz"}),
    "malformed replay": record(PLAIN, {"llm.replay.count": b"-1", "llm.replay.id": b"0:1", "llm.replay.by": b"ops"}),
    "replay without a name": record(PLAIN, {"llm.replay.count": b"1", "llm.replay.id": b"0:1", "llm.replay.by": b" "}),
    "replay of nothing": record(PLAIN, {"llm.replay.count": b"1", "llm.replay.id": b"abc", "llm.replay.by": b"ops"}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_request_in_any_of_its_forms_is_the_same_request(decode, name):
    assert decode(ACCEPTED[name]) == WANTED


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


REFUSED = {
    "a tombstone": ("null_value", "tombstone", record(None)),
    "no JSON": ("not_json", "line 1, column 1", record(b"<html>")),
    "empty": ("not_json", "empty", record(b"")),
    "not UTF-8": ("not_json", "byte 8 is 0xff", record(b'{"id":"\xff"}')),
    "NaN": ("not_json", "NaN", record(b'{"id":"a","task":"t","input":NaN}')),
    "an id twice": ("not_json", "'id' stands twice", record(b'{"id":"a","id":"b","task":"t","input":1}')),
    "nested too deep": ("not_json", "64 deep", record(b"[" * 100 + b"]" * 100)),
    "binary, no JSON": ("not_json", "line 1", record(b"hello", CE)),
    "an array": ("missing_id", "an array", record([1])),
    "no id": ("missing_id", "missing", record(without(PLAIN, "id"))),
    "empty id": ("missing_id", "''", record(PLAIN | {"id": ""})),
    "a number as id": ("missing_id", "a number", record(PLAIN | {"id": 7})),
    "an endless id": ("missing_id", "2,000 characters", record(PLAIN | {"id": "x" * 2000})),
    "headers without a version": ("bad_cloudevent", "add that one", record({}, without(CE, "ce_specversion"))),
    "headers spelt as in HTTP": (
        "bad_cloudevent",
        "in Kafka they are ce_specversion",
        record({}, {name.replace("_", "-"): value for name, value in CE.items()}),
    ),
    "binary, no id": ("missing_id", "ce_id", record({}, without(CE, "ce_id"))),
    "structured, no id": ("missing_id", " id:", record(without(ENVELOPE, "id"))),
    "empty ce_id": ("bad_cloudevent", "ce_id is ''", record({}, CE | {"ce_id": b""})),
    "endless ce_id": ("bad_cloudevent", "ce_id has 2,000", record({}, CE | {"ce_id": b"x" * 2000})),
    "structured, id a number": ("bad_cloudevent", "id is a number", record(ENVELOPE | {"id": 5})),
    "a foreign type": ("bad_cloudevent", "'com.example.order'", record({}, CE | {"ce_type": b"com.example.order"})),
    "no type": ("bad_cloudevent", "ce_type is missing", record({}, without(CE, "ce_type"))),
    "no task": ("bad_cloudevent", "llm.request.<task>", record({}, CE | {"ce_type": b"llm.request."})),
    "no task, no dot": ("bad_cloudevent", "names no task", record({}, CE | {"ce_type": b"llm.request"})),
    "another version": ("bad_cloudevent", "'0.3'", record({}, CE | {"ce_specversion": b"0.3"})),
    "structured, another version": ("bad_cloudevent", "a number", record(ENVELOPE | {"specversion": 1.0})),
    "a wrong time": ("bad_cloudevent", "ce_time is 'yesterday'", record({}, CE | {"ce_time": b"yesterday"})),
    "a wrong expiry": ("bad_cloudevent", "ce_expirytime", record({}, CE | {"ce_expirytime": b"1700000000"})),
    "structured, wrong expiry": ("bad_cloudevent", "expirytime is a number", record(ENVELOPE | {"expirytime": 17})),
    "text": ("bad_cloudevent", "'text/plain'", record({}, CE | {"content-type": b"text/plain"})),
    "structured, text": ("bad_cloudevent", "datacontenttype is", record(ENVELOPE | {"datacontenttype": "text/plain"})),
    "an Avro envelope": ("bad_cloudevent", "+avro", record({}, {"content-type": b"application/cloudevents+avro"})),
    "a batch": ("bad_cloudevent", "batch", record([], {"content-type": b"application/cloudevents-batch+json"})),
    "no envelope": ("bad_cloudevent", "no JSON object", record([], {"content-type": b"application/cloudevents+json"})),
    "wrong base64": ("bad_cloudevent", "base64", record(ENVELOPE | {"data_base64": "é"})),
    "base64 of no JSON": ("not_json", "line 1", record(ENVELOPE | {"data_base64": "eHg="})),
    "a ce_ header, not UTF-8": ("bad_header", "byte 2 is 0xff", record(PLAIN, {"ce_subject": b"a\xff"})),
    "a header's name, not UTF-8": ("bad_header", "not kept", record(PLAIN, None)),
    "framed Avro": ("avro_unconfigured", "schema id 258", record(b"\0\0\0\1\2avro")),
    "framed in a header": ("avro_unconfigured", "__value_schema_id", record(PLAIN, {"__value_schema_id": b"\1"})),
    "too large": ("too_large", "6,291,457 bytes", record(b" " * (6 * 1024 * 1024 + 1))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_record_that_is_no_request_is_refused_with_its_code_and_the_place(decode, name):
    code, words, bad = REFUSED[name]
    with pytest.raises(DecodeError) as refusal:
        decode(bad)
    assert refusal.value.code == code
    assert words in refusal.value.detail


def test_every_decode_code_has_an_example():
    assert {code for code, _, _ in REFUSED.values()} == CODES["decode"]


headers = st.none() | st.lists(
    st.tuples(
        st.sampled_from([*CE, "ce_time", "ce_expirytime", "content-type", "traceparent", "llm.replay.count", "x"])
        | st.text(),
        st.none()
        | st.binary(max_size=40)
        | st.sampled_from(
            [*CE.values(), b"application/json", b"application/cloudevents+json", b"\x1b[2J", b"x" * 5000]
        ),
    )
).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAIN, *ENVELOPE, "time"]), inner),
    max_leaves=8,
)
bodies = st.none() | st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())


@given(headers, bodies)
def test_any_record_ends_in_a_request_or_a_bounded_printable_sentence(headers, body):
    for decode in DECODERS.values():
        try:
            request = decode(record(body, headers))
        except DecodeError as refusal:
            assert refusal.code in CODES["decode"]  # noqa: PT017  (either way out is right, each has its promise)
            assert refusal.detail.isprintable()  # noqa: PT017
            assert 20 < len(refusal.detail) < 1_500  # noqa: PT017
        else:
            assert request.id.strip()
            assert len(request.id) <= 1_024
            assert len(request.task) <= 250


def test_a_value_of_five_megabytes_is_a_request(decode):
    assert len(decode(record(PLAIN | {"input": {"text": "x" * 5_000_000}})).input["text"]) == 5_000_000


def test_a_request_without_a_task_is_left_to_routing(decode):
    assert decode(record({"id": "r-1"})) == Request("r-1", "", None)
    assert decode(record({"id": "r-1", "task": 5})).task == "a number"


def test_trace_expiry_and_replay_are_carried(decode):
    replay = {"llm.replay.count": b"2", "llm.replay.id": b"3:17", "llm.replay.by": b"ops@host-1"}
    more = {"traceparent": TRACE.encode(), "ce_expirytime": b"2031-05-06T07:08:09Z"}
    assert decode(record({"text": "hi"}, CE | replay | more)) == Request(
        "r-1", "classify-ticket", {"text": "hi"}, TRACE, 1_935_817_689_000, Replay(2, "3:17", "ops@host-1")
    )


def test_the_trace_header_counts_before_the_event_attribute(decode):
    other = TRACE.replace("0af7", "1af7")
    assert decode(record({}, CE | {"ce_traceparent": other.encode()})).traceparent == other
    assert (
        decode(record({}, CE | {"ce_traceparent": other.encode(), "traceparent": TRACE.encode()})).traceparent == TRACE
    )
    assert decode(record(ENVELOPE | {"traceparent": other})).traceparent == other
