"""A set of offsets at one bit each behaves like a set, and is small."""

from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.accounting.bitmap import OffsetSet

OFFSETS = st.integers(0, 300) | st.integers(65_500, 65_600) | st.integers(0, 2**62)


@given(st.lists(st.tuples(st.booleans(), OFFSETS), max_size=60), st.tuples(OFFSETS, OFFSETS))
def test_it_behaves_like_a_set(steps: list[tuple[bool, int]], span: tuple[int, int]) -> None:
    ours, model = OffsetSet(), set[int]()
    for adding, offset in steps:
        if adding:
            assert ours.add(offset) is (offset not in model)
            model.add(offset)
        else:
            assert ours.discard(offset) is (offset in model)
            model.discard(offset)
    assert list(ours) == sorted(model)
    assert len(ours) == len(model)
    assert all(offset in ours for offset in model)
    first, end = sorted(span)
    inside = sorted(offset for offset in model if first <= offset < end)
    assert list(ours.between(first, end)) == inside
    assert ours.count(first, end) == len(inside)
