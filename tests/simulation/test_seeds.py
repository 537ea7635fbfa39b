"""Whole runs through the real worker, in virtual time: whatever a seed brings, each request ends exactly once."""

import os

import pytest

from tests.support.simulated_fleet import Fleet, trouble_with
from tests.support.simulated_plan import FAMILIES, drawn

SEEDS = int(os.environ.get("LLM_STREAM_SEEDS", "500"))


@pytest.mark.parametrize(("family", "share"), [("drawn", 1.0), ("restless", 0.2)])
def test_nothing_is_lost_doubled_or_out_of_order_whatever_happens(family: str, share: float) -> None:
    for seed in range(round(SEEDS * share)):
        found = trouble_with(FAMILIES[family](seed))
        assert not found, f"seed {seed}; again: python -m tests.simulation {seed} {family}\n{found}"


def test_a_seed_gives_the_same_run_every_time() -> None:
    def traces(seed: int) -> list[object]:
        fleet = Fleet(drawn(seed))
        fleet.live()
        return [fleet.world.now_s, [(call.request_id, call.at_s) for call in fleet.calls], fleet.log]

    for seed in range(5):
        assert traces(seed) == traces(seed)
