"""Failpoints do nothing unless armed, and then exactly what was asked, where it was asked."""

import re
import time
from pathlib import Path

import pytest

from stream.kafka import failpoints
from stream.kafka.failpoints import FAILPOINTS

PACKAGE = Path(failpoints.__file__).parent


def test_every_failpoint_of_the_table_is_reached_somewhere_and_no_other() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.glob("*.py"))
    assert set(re.findall(r'\breach\("(\w+)"\)', source)) == set(FAILPOINTS)


def test_unless_armed_they_do_nothing() -> None:
    assert failpoints.reach is failpoints._ignored


def test_several_are_armed_at_once_each_at_its_visit() -> None:
    assert failpoints._parsed("produced=kill@3,revoke=sleep:0.5,assign=stop") == {
        "produced": ("kill", 3),
        "revoke": ("sleep:0.5", 1),
        "assign": ("stop", 1),
    }


@pytest.mark.parametrize("text", ["nowhere=kill", "produced=explode", "produced", "produced=kill@soon"])
def test_a_wrong_setting_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        failpoints._parsed(text)


def test_one_acts_at_its_visit_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    reach = failpoints._armed({"produced": ("sleep:2.5", 2)})
    for name in ("produced", "committed", "produced", "produced"):
        reach(name)
    assert slept == [2.5]


@pytest.mark.parametrize(("action", "signal"), [("kill", "SIGKILL"), ("stop", "SIGSTOP")])
def test_a_process_is_ended_or_stopped_by_the_kernel(action: str, signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(failpoints.os, "kill", lambda pid, number: sent.append((pid, number)))
    failpoints._armed({"revoke": (action, 1)})("revoke")
    assert sent == [(failpoints.os.getpid(), getattr(failpoints.signal, signal))]
