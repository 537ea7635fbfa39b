"""Amounts in words: one way for everybody."""

import pytest

from stream.core.counting import counted


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (1_204, "1,204 calls"), (None, "? calls")]
)
def test_only_one_is_singular(number, told):
    assert counted(number, "call") == told


def test_a_plural_of_its_own_can_be_given():
    assert (counted(1, "reply", "replies"), counted(2, "reply", "replies")) == ("1 reply", "2 replies")
