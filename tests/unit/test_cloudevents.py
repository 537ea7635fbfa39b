"""CloudEvents as other libraries write them, and the rules for times, content types and trace contexts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs.cloudevents import is_traceparent, shown, time_ms, time_text, wrong_content_type
from stream.codecs.requests import RequestDecoder, encode_request
from stream.core.records import Record

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda text: text.strip())
inputs = st.dictionaries(words, words | st.integers(-(2**53), 2**53) | st.booleans() | st.none() | st.lists(words))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def record_of(message: KafkaMessage) -> Record:
    return Record("llm.requests", 0, 7, None, message.value, tuple(message.headers.items()), 0)


def event_of(identity, task, data, moment):
    return CloudEvent(
        {"id": identity, "type": f"llm.request.{task}", "source": "/shop", "specversion": "1.0", "time": moment}
        | {"datacontenttype": "application/json", "expirytime": moment.isoformat(), "traceparent": TRACE},
        data,
    )


@pytest.mark.parametrize("write", [to_binary, to_structured])
@given(words, words, inputs, moments)
def test_an_event_written_by_the_cloudevents_library_is_understood(write, identity, task, data, moment):
    request = RequestDecoder()(record_of(write(event_of(identity, task, data, moment), JSONFormat())))
    assert (request.id, request.task, request.input, request.traceparent) == (
        identity,
        task[:249] + "…" * (len(task) > 249),
        data,
        TRACE,
    )
    assert request.expires_at_ms == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(words, words, inputs, st.integers(0, 4_000_000_000_000))
def test_an_event_of_ours_is_understood_by_the_cloudevents_library(identity, task, data, at_ms):
    headers, value = encode_request(task, identity, data, source="/llm-stream/send", at_ms=at_ms)
    event = from_binary(KafkaMessage(dict(headers), None, value), JSONFormat())
    assert (event.get_id(), event.get_type(), event.get_data()) == (identity, f"llm.request.{task}", data)
    assert (event.get_source(), event.get_datacontenttype()) == ("/llm-stream/send", "application/json")
    assert event.get_time() == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


@given(words, words, inputs)
def test_what_we_encode_we_decode(identity, task, data):
    headers, value = encode_request(task, identity, data, source="/x", at_ms=0, traceparent=TRACE)
    request = RequestDecoder()(Record("llm.requests", 0, 0, None, value, headers, 0))
    assert (request.id, request.input, request.traceparent) == (identity, data, TRACE)


@given(st.datetimes(timezones=st.timezones().map(lambda _: UTC)), st.integers(-1439, 1439))
def test_times_with_any_offset_are_read(moment, offset_minutes):
    moment = moment.replace(year=max(2, min(moment.year, 9998)), day=min(moment.day, 28))
    local = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert time_ms(local.isoformat()) == expected


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_written_is_read_back(at_ms):
    assert time_ms(time_text(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.5z", 1_500),
        ("1970-01-01 00:00:00.123456789Z", 123),
        ("1969-12-31T23:59:59.250Z", -750),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
    ],
)
def test_unusual_but_right_times_are_read(text, expected):
    assert time_ms(text) == expected


NO_TIMES = [
    "",
    "now",
    "1700000000",
    "2031-05-06",
    "2031-05-06T07:08:09",
    "2031-05-06T07:08:09Z\n",
    "2031-05-06T07:08:09+0200",
    "2031-05-06T24:00:00Z",
    "2031-13-01T00:00:00Z",
    "2031-02-30T00:00:00Z",
    "2031-W01-1T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "٢٠٣١-05-06T07:08:09Z",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_rfc_3339_time_is_refused(text):
    assert time_ms(text) is None


@pytest.mark.parametrize("text", [TRACE, "cc" + TRACE[2:], "cc" + TRACE[2:] + "-what-the-future-will-be-like"])
def test_well_formed_trace_contexts_are_carried(text):
    assert is_traceparent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACE[:-1],
        TRACE + "-x",
        "ff" + TRACE[2:],
        TRACE.upper(),
        TRACE + "\n",
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
    ],
)
def test_malformed_trace_contexts_are_dropped(text):
    assert not is_traceparent(text)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'text/json;charset="utf-8"',
        "application/vnd.shop.order+json",
        "application/json;v=2",
    ],
)
def test_json_content_types_are_taken(content_type):
    assert wrong_content_type(content_type) is None


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/avro", "json", "application/json;charset=utf-16", "x" * 100_000]
)
def test_other_content_types_are_refused_with_a_short_sentence(content_type):
    sentence = wrong_content_type(content_type)
    assert sentence is not None
    assert len(sentence) < 250


@given(st.text(st.characters()))
def test_foreign_text_is_shown_short_and_without_control_characters(text):
    assert shown(text).isprintable()
    assert len(shown(text)) <= 80 * 10 + 3
