"""A result's `ce_id`: a contract with consumers, who dedupe on it."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.records import Record
from stream.core.settlement import result_id


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**62), st.integers(-1, 2**62))
def test_a_results_id_is_the_uuid5_of_where_and_when_its_request_was_written(
    request_id: str, offset: int, timestamp_ms: int
) -> None:
    record = Record("llm.requests", 3, offset, None, b"{}", (), timestamp_ms)
    source = f"llm.requests/3/{offset}/{timestamp_ms}/{request_id}"
    assert result_id(record, request_id) == str(uuid.uuid5(uuid.NAMESPACE_URL, source))


def test_a_request_id_that_utf8_cannot_carry_is_refused_as_a_value() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        result_id(Record("llm.requests", 0, 1, None, b"{}", (), 0), "\ud800")
