"""The OffsetTracker and the done-map: the invariants everything else rests on."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.offsets import (
    WINDOW,
    Delivery,
    DoneMap,
    MapError,
    MapFault,
    OffsetTracker,
    decode_map,
    encode_map,
    topic_hash,
)

TOPIC = topic_hash("abc", "requests")

maps = st.builds(
    DoneMap,
    base=st.integers(0, 2**62),
    bits=st.integers(0, 2**WINDOW - 1),
    epoch=st.integers(-1, 2**31 - 1),
)


@given(maps)
def test_a_map_comes_back_from_metadata_as_it_was(done: DoneMap) -> None:
    assert decode_map(encode_map(done, TOPIC), done.base, TOPIC) == done


def test_the_widest_map_fits_into_a_commit() -> None:
    assert len(encode_map(DoneMap(2**62, 2**WINDOW - 1, 2**31 - 1), TOPIC)) <= 4096


def test_a_map_wider_than_the_window_is_refused() -> None:
    with pytest.raises(OverflowError):
        encode_map(DoneMap(0, 1 << WINDOW), TOPIC)


@given(maps, st.data())
def test_a_single_flipped_bit_is_noticed(done: DoneMap, data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(encode_map(done, TOPIC)[4:]))
    position = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[position // 8] ^= 1 << (position % 8)
    with pytest.raises(MapError) as caught:
        decode_map("ls1." + base64.b64encode(raw).decode(), done.base, TOPIC)
    assert caught.value.fault is MapFault.DAMAGED


@pytest.mark.parametrize(
    ("metadata", "offset", "fault"),
    [
        ("", 5, MapFault.FOREIGN),
        (None, 5, MapFault.FOREIGN),
        ("someone else's note", 5, MapFault.FOREIGN),
        ("ls2.AAAA", 5, MapFault.NEWER),
        ("ls1.!!!", 5, MapFault.DAMAGED),
        ("ls1.AAAA", 5, MapFault.DAMAGED),
        (encode_map(DoneMap(5), TOPIC), 6, MapFault.MIRRORED),
        (encode_map(DoneMap(5), topic_hash("other", "requests")), 5, MapFault.OTHER_TOPIC),
    ],
)
def test_metadata_that_cannot_be_believed_says_why(metadata: str | None, offset: int, fault: MapFault) -> None:
    with pytest.raises(MapError) as caught:
        decode_map(metadata, offset, TOPIC)
    assert caught.value.fault is fault


def test_the_layout_is_the_contract() -> None:
    metadata = encode_map(DoneMap(base=258, bits=0b101_0000_0000, epoch=7), bytes(range(8)))
    raw = base64.b64decode(metadata.removeprefix("ls1."))
    assert raw[4:] == bytes(range(8)) + (258).to_bytes(8, "big") + (7).to_bytes(4, "big") + b"\x00\x05"


def prove_all(tracker: OffsetTracker) -> None:
    """Somebody looked into every gap and found no record."""
    for gap in sorted(tracker.unproven):
        tracker.prove(gap)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[int], list[list[int]]]:
    """A start, the offsets that hold records, and the order in which attempts finish them, some never."""
    start = draw(st.integers(0, 50))
    offsets = sorted(draw(st.sets(st.integers(start, start + 80), max_size=60)))
    order = draw(st.permutations(offsets))
    attempts: list[list[int]] = [[]]
    for offset in order[: draw(st.integers(0, len(order)))]:
        attempts[-1].append(offset)
        if draw(st.booleans()):
            attempts.append([])
    return start, offsets, attempts


@given(histories(), st.data())
def test_a_commit_never_passes_an_unfinished_offset_and_marks_exactly_what_is_finished(
    history: tuple[int, list[int], list[list[int]]], data: st.DataObject
) -> None:
    start, offsets, attempts = history
    tracker = OffsetTracker(DoneMap(start))
    for offset in offsets:
        assert tracker.delivered(offset, 1) is Delivery.RUN
        if data.draw(st.booleans()):
            prove_all(tracker)
    finished: set[int] = set()
    for attempt in attempts:
        done = tracker.plan((offset, 1) for offset in attempt)
        if data.draw(st.booleans()):
            tracker.acknowledge(done)
            finished |= set(attempt)
        assert all(offset in tracker.committed for offset in finished)
        assert not any(offset in tracker.committed for offset in set(offsets) - finished)


@given(histories())
def test_after_a_restart_exactly_the_unfinished_records_run_again(
    history: tuple[int, list[int], list[list[int]]],
) -> None:
    start, offsets, attempts = history
    tracker = OffsetTracker(DoneMap(start))
    for offset in offsets:
        tracker.delivered(offset, 1)
    for attempt in attempts:
        tracker.acknowledge(tracker.plan((offset, 1) for offset in attempt))
    finished = {offset for attempt in attempts for offset in attempt}
    metadata = encode_map(tracker.committed, TOPIC)
    again = OffsetTracker(decode_map(metadata, tracker.committed.base, TOPIC))
    seen = [o for o in offsets if o >= again.position and again.delivered(o, 1) is Delivery.RUN]
    assert seen == sorted(set(offsets) - finished)


def test_all_finished_means_that_the_base_is_the_position() -> None:
    tracker = OffsetTracker(DoneMap(10))
    for offset in (10, 11, 15):
        tracker.delivered(offset, None)
    tracker.passed(20)
    prove_all(tracker)
    assert tracker.plan([(11, None), (15, None), (10, None)]) == DoneMap(20)


def test_a_single_offset_passed_over_is_a_transaction_marker() -> None:
    tracker = OffsetTracker(DoneMap(0))
    tracker.delivered(0, None)
    tracker.delivered(2, None)
    assert not tracker.unproven
    assert tracker.plan([(0, None), (2, None)]) == DoneMap(3)


def test_a_longer_gap_holds_the_commit_back_until_somebody_else_has_looked() -> None:
    tracker = OffsetTracker(DoneMap(0))
    tracker.delivered(0, None)
    tracker.delivered(5, None)
    assert tracker.unproven == {(1, 5)}
    assert tracker.plan([(0, None), (5, None)]) == DoneMap(1, 0b1_0000)
    tracker.prove((1, 5))
    assert tracker.plan([(0, None), (5, None)]) == DoneMap(6)


def test_reading_back_is_no_gap() -> None:
    tracker = OffsetTracker(DoneMap(10))
    tracker.passed(4)
    assert tracker.position == 10
    assert not tracker.unproven


def test_a_gap_wider_than_the_window_is_crossed_once_what_lies_before_it_is_finished() -> None:
    tracker = OffsetTracker(DoneMap(0))
    tracker.delivered(0, None)
    tracker.delivered(1_000_000, None)
    prove_all(tracker)
    waiting = tracker.plan([])
    assert waiting.base == 0
    assert waiting.bits.bit_length() <= WINDOW
    assert tracker.plan([(0, None)]) == DoneMap(1_000_000)


def test_a_marked_record_that_comes_back_with_a_newer_leader_epoch_runs_again() -> None:
    tracker = OffsetTracker(DoneMap(0, 0b10, epoch=3))
    tracker.delivered(0, 4)
    assert tracker.delivered(1, 4) is Delivery.RUN
    assert 1 not in tracker.plan([])


def test_a_log_cut_while_an_open_attempt_takes_the_base_past_the_cut_is_read_again_from_there() -> None:
    """Offset 10 closes the gap before the marks of 11 to 20; 11 comes in a new epoch before the commit's answer."""
    tracker = OffsetTracker(DoneMap(10, 0b11_1111_1111_0, epoch=3))
    tracker.delivered(10, 3)
    planned = tracker.plan([(10, 3)])
    assert planned.base == 21
    assert tracker.delivered(11, 5) is Delivery.RUN
    tracker.acknowledge(planned)
    assert tracker.committed == DoneMap(11, 0, epoch=3)
    assert tracker.delivered(12, 5) is Delivery.RUN
    assert tracker.plan([(11, 5)]) == DoneMap(12, 0, epoch=5)


def test_a_base_that_passed_marks_of_a_log_cut_since_falls_back_to_what_is_new() -> None:
    tracker = OffsetTracker(DoneMap(10, 0b11_1111_1111_0, epoch=3))
    tracker.delivered(10, 3)
    tracker.acknowledge(tracker.plan([(10, 3)]))
    assert tracker.committed.base == 21
    assert tracker.delivered(11, 5) is Delivery.RUN
    assert tracker.plan([(11, 5)]) == DoneMap(12, 0, epoch=5)


def test_an_unknown_epoch_on_either_side_switches_the_comparison_off() -> None:
    assert OffsetTracker(DoneMap(0, 0b1, epoch=-1)).delivered(0, 9) is Delivery.SKIP
    assert OffsetTracker(DoneMap(0, 0b1, epoch=3)).delivered(0, None) is Delivery.SKIP


def test_an_older_offset_with_a_newer_epoch_means_that_the_log_was_cut() -> None:
    tracker = OffsetTracker(DoneMap(0))
    tracker.delivered(5, 1)
    assert tracker.delivered(3, 1) is Delivery.SKIP
    assert tracker.delivered(3, 2) is Delivery.TRUNCATED
