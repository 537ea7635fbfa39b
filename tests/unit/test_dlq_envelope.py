"""A dead letter read: what it says, and that nothing malformed can break the reading."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import headers as names
from stream.core.errors import Violation
from stream.dlq.envelope import coordinates, dead_letter_from
from stream.dlq.letters import Filter
from tests.support.letters import dead_letter, record


def test_everything_the_worker_wrote_is_read():
    letter = dead_letter_from(dead_letter("r", "greet"))
    assert (letter.id, letter.request_id, letter.task, letter.reason) == ("2:9", "r", "greet", "validate/placeholder")
    assert letter.violations == (Violation("$.name", "placeholder", "N/A", "$.name is a placeholder"),)
    assert (letter.attempts, letter.calls, letter.cost_micro_usd, letter.at_ms) == (1, 2, 1234, 5_000)
    assert letter.usage == {"input_tokens": 5, "output_tokens": 3}
    assert letter.source["topic"] == "llm.requests"
    assert (letter.source["partition"], letter.source["offset"]) == (2, 7)


def test_the_original_headers_are_those_the_request_came_with():
    assert dict(dead_letter_from(dead_letter()).original_headers) == {"ce_id": b"r-1", "tenant": b"a"}


def test_a_foreign_dead_letter_is_read_with_what_it_says():
    foreign = record(value=b"\xff", headers=(("kafka_dlt-original-topic", b"orders"),))
    letter = dead_letter_from(foreign)
    assert letter.reason == "?/?"
    assert "not written by llm-stream" in letter.detail


def test_the_dlq_errors_family_alone_tells_where_it_came_from():
    family = (("__dlq.errors.topic", b"llm.requests"), ("__dlq.errors.partition", b"1"), ("__dlq.errors.offset", b"0"))
    source = dead_letter_from(record(value=b"x", headers=family)).source
    assert (source["topic"], source["partition"], source["offset"]) == ("llm.requests", 1, 0)


def test_an_unknown_cost_is_not_zero():
    kept = tuple(pair for pair in dead_letter().headers or () if pair[0] != names.COST)
    assert dead_letter_from(dead_letter(headers=kept)).cost_micro_usd is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]
            ),
            st.none() | st.binary(max_size=20),
        )
    ),
    st.none() | st.binary(max_size=50),
)
def test_no_record_however_malformed_breaks_the_reading(pairs: list[tuple[str, bytes | None]], value: bytes | None):
    letter = dead_letter_from(record(headers=tuple(pairs), value=value))
    assert json.dumps(letter.as_json())


def test_headers_that_cannot_be_read_are_no_obstacle():
    assert dead_letter_from(record(headers=None, value=b"x")).request_id is None


@pytest.mark.parametrize("text", ["3", "3:", ":4", "a:1", "3:4:5", "-1:2", "٣:1", "3:99999999999999999999"])
def test_what_is_no_id_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        coordinates(text)


def test_an_id_is_partition_and_offset():
    assert coordinates(" 3:1042 ") == (3, 1042)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), True),
        (Filter(task="greet"), True),
        (Filter(task="other"), False),
        (Filter(stage="validate", code="placeholder"), True),
        (Filter(stage="call"), False),
        (Filter(code="validate/placeholder"), True),
        (Filter(code="empty"), False),
    ],
)
def test_a_filter_takes_what_matches_every_part(wanted: Filter, taken: bool):
    assert wanted.takes(dead_letter_from(dead_letter())) is taken
