"""Samples and splits by hash: repeatable, independent, of the right size."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from stream.core.sampling import fraction, sampled


def test_the_fraction_is_the_formula_of_the_design():
    digest = hashlib.sha256(b"audit\x00request-1").hexdigest()
    assert fraction("audit", "request-1") == int(digest[:16], 16) / 2**64


def test_the_fraction_of_a_known_id_never_changes():
    assert fraction("audit", "a") == 0.35345195653400185


@given(st.text(st.characters()), st.text(st.characters()))
def test_every_salt_and_id_has_a_place_between_zero_and_one(salt, identity):
    assert 0.0 <= fraction(salt, identity) <= 1.0


@given(st.text())
def test_rate_zero_takes_nobody_and_rate_one_takes_everybody(identity):
    assert not sampled("audit", identity, 0.0)
    assert sampled("audit", identity, 1.0)


def test_a_rate_takes_about_its_share():
    taken = sum(sampled("audit", f"request-{n}", 0.1) for n in range(10_000))
    assert 900 <= taken <= 1_100


def test_shares_with_different_salts_are_independent():
    ids = [f"request-{n}" for n in range(10_000)]
    both = sum(sampled("audit", i, 0.5) and sampled("split/classify-ticket", i, 0.5) for i in ids)
    assert 2_350 <= both <= 2_650


def test_a_larger_rate_keeps_everybody_of_the_smaller_one():
    ids = [f"request-{n}" for n in range(1_000)]
    assert {i for i in ids if sampled("s", i, 0.1)} <= {i for i in ids if sampled("s", i, 0.2)}
