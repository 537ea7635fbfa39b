"""Live, ready, or why not: judged from figures alone."""

from dataclasses import replace

import pytest

from stream.telemetry.figures import Figures
from stream.telemetry.health import POLL_LIMIT_S, not_live, not_ready
from stream.telemetry.shut_gates import ShutGates
from stream.telemetry.watch import EVENTS, Watch, fan_out

WORKING = Figures(in_flight=3, partitions=("t:0",), assignment_known=True)


def test_a_worker_that_works_is_live_and_ready():
    assert not_live(WORKING) == []
    assert not_ready(WORKING) == []


def test_a_poll_loop_that_hangs_is_not_live_but_may_be_ready():
    hung = replace(WORKING, ticked_s_ago=POLL_LIMIT_S + 15)
    assert not_live(hung) == ["the poll loop last went round 45 s ago (limit 30 s)"]
    assert not_ready(hung) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [({"assignment_known": False}, "group"), ({"brokers_up": False}, "broker"), ({"draining": True}, "draining")],
)
def test_what_makes_a_worker_unready_is_named_and_leaves_it_live(change, word):
    troubled = replace(WORKING, **change)
    (reason,) = not_ready(troubled)
    assert word in reason
    assert not_live(troubled) == []


def test_several_reasons_are_all_named():
    assert len(not_ready(Figures(brokers_up=False, draining=True))) == 3


def test_a_worker_without_partitions_is_ready_once_it_knows_so():
    assert not_ready(replace(WORKING, partitions=())) == []


def test_a_stopped_partition_does_not_make_a_worker_unready():
    assert not_ready(replace(WORKING, stopped={"t:0": "retention_gap"})) == []


def change(gates: ShutGates, scope: str, *, is_open: bool, opens_in_s: float | None = 60.0) -> None:
    gates.gate_changed("main", scope, is_open=is_open, cause="account", detail="no\ncredit", opens_in_s=opens_in_s)


def test_gates_that_are_shut_are_known_with_the_time_to_their_next_probe():
    now_s = [100.0]
    gates = ShutGates(lambda: now_s[0])
    change(gates, "account", is_open=False)
    now_s[0] += 20
    change(gates, "account", is_open=False, opens_in_s=40.0)  # a probe failed
    assert gates.now() == [
        {
            "provider": "main",
            "scope": "account",
            "cause": "account",
            "detail": "no\\ncredit",
            "shut_for_s": 20.0,
            "next_probe_s": 40.0,
        }
    ]
    now_s[0] += 60
    assert gates.now()[0]["next_probe_s"] == 0.0


def test_a_gate_that_opened_is_forgotten():
    gates = ShutGates()
    change(gates, "account", is_open=False)
    change(gates, "account", is_open=True, opens_in_s=None)
    change(gates, "model:never-shut", is_open=True, opens_in_s=None)
    assert gates.now() == []


class Listener(Watch):
    """Listens to one event."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def trouble(self, what: str) -> None:
        self.heard.append(what)


def test_a_fan_of_watches_passes_each_event_on_to_all_that_listen():
    first, second = Listener(), Listener()
    together = fan_out([first, Watch(), fan_out([second])])
    together.trouble("x")
    together.received(3)
    assert (first.heard, second.heard) == (["x"], ["x"])


def test_a_fan_knows_every_event():
    assert "finished" in EVENTS
    assert all(callable(getattr(fan_out([]), name)) for name in EVENTS)
