"""What a commit claims, decoded from the contract alone, agrees with what the worker encodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.offsets import WINDOW, DoneMap, MapError, MapFault, decode_map, encode_map, topic_hash
from stream.kafka.accounting.claims import Claim, claim

TOPIC, TOPIC_ID = "llm.requests", "NQMOfPVyRAGBuYBIq1c2cg"
OURS = topic_hash(TOPIC_ID, TOPIC)
MAPS = st.builds(
    DoneMap,
    base=st.integers(0, 2**62),
    bits=st.integers(0, 2**64 - 1) | st.integers(0, 2**WINDOW - 1),
    epoch=st.integers(-1, 2**31 - 1),
)


@given(MAPS)
def test_every_map_a_worker_commits_is_read_as_it_was_meant(done: DoneMap) -> None:
    found = claim(done.base, encode_map(done, OURS), TOPIC, TOPIC_ID)
    assert found == Claim(done.base, done.bits, done.epoch)


@given(st.integers(0, 50), st.integers(0, 2**20), st.integers(0, 80))
def test_an_offset_is_finished_exactly_where_the_map_contains_it(base: int, bits: int, offset: int) -> None:
    done = DoneMap(base, bits)
    assert claim(base, encode_map(done, OURS), TOPIC, TOPIC_ID).finished(offset) is (offset in done)


@given(MAPS, st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_never_believed_by_one_reader_and_refused_by_the_other(
    done: DoneMap, place: int, byte: int
) -> None:
    text = encode_map(done, OURS)
    place %= len(text)
    changed = text[:place] + chr(byte) + text[place + 1 :]
    try:
        believed = decode_map(changed, done.base, OURS)
    except MapError:
        believed = None
    found = claim(done.base, changed, TOPIC, TOPIC_ID)
    assert (found.fault is None) is (believed is not None)


@pytest.mark.parametrize("metadata", [None, "", "offset set by hand", "{}", "ls", "lsomething else"])
def test_empty_and_foreign_metadata_claim_only_what_lies_below_the_offset(metadata: str | None) -> None:
    found = claim(7, metadata, TOPIC, TOPIC_ID)
    assert found.fault == "no_map"
    assert found.finished(6)
    assert not found.finished(7)


@pytest.mark.parametrize(
    ("metadata", "fault", "worker_says"),
    [
        ("ls1.????", "damaged", MapFault.DAMAGED),
        ("ls1.", "damaged", MapFault.DAMAGED),
        ("ls1.AAAAAAAA", "damaged", MapFault.DAMAGED),
        ("ls2.AAAAAAAA", "newer", MapFault.NEWER),
        (encode_map(DoneMap(7), topic_hash("another", TOPIC)), "other_topic", MapFault.OTHER_TOPIC),
        (encode_map(DoneMap(6, 1), OURS), "mirrored", MapFault.MIRRORED),
    ],
)
def test_a_commit_that_cannot_be_believed_claims_nothing(metadata: str, fault: str, worker_says: MapFault) -> None:
    found = claim(7, metadata, TOPIC, TOPIC_ID)
    assert found.fault == fault
    assert not found.finished(0)
    with pytest.raises(MapError) as refused:
        decode_map(metadata, 7, OURS)
    assert refused.value.fault is worker_says


def test_no_commit_claims_nothing() -> None:
    assert claim(None, None, TOPIC, TOPIC_ID) == Claim(None, fault="no_commit")
    assert not Claim(None, fault="no_commit").finished(0)


def test_an_unknown_topic_id_on_either_side_switches_that_comparison_off() -> None:
    assert claim(7, encode_map(DoneMap(7), OURS), TOPIC, None).fault is None
    assert claim(7, encode_map(DoneMap(7), topic_hash(None, TOPIC)), TOPIC, TOPIC_ID).fault is None


def test_a_mark_does_not_hold_for_a_record_of_a_later_leader_epoch() -> None:
    found = Claim(10, 0b10, epoch=3)
    assert found.finished(11, leader_epoch=3)
    assert not found.finished(11, leader_epoch=4)
    assert found.finished(11, leader_epoch=None)
    assert Claim(10, 0b10, epoch=-1).finished(11, leader_epoch=4)
    assert found.finished(9, leader_epoch=4)
