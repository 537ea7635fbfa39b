"""One line for each outcome and each change, at the right level, and a flood of equal trouble stays readable."""

import json
from dataclasses import replace
from typing import Any

import pytest
import structlog

from stream.core.outcomes import DeadLettered, Failure
from stream.core.records import Cost
from stream.telemetry.log_watch import LogWatch, Repeats, in_ranges
from tests.support.telemetry_parts import completed, dead_lettered, logging_to_a_pipe, record


class Told:
    """A log watch, its clock, and the lines it said."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.lines: list[dict[str, Any]] = []
        logger = structlog.wrap_logger(None, processors=[self._keep]).bind()
        self.watch = LogWatch(logger, lambda: self.now_s)

    def _keep(self, _: Any, level: str, event: dict[str, Any]) -> dict[str, Any]:
        self.lines.append({"level": level, **event})
        raise structlog.DropEvent

    def gate(self, cause: str = "rate_limited", opens_in_s: float | None = 2.0, *, is_open: bool = False) -> None:
        self.watch.gate_changed(
            "main", "pool:default", is_open=is_open, cause=cause, detail="slow down", opens_in_s=opens_in_s
        )


def test_a_completed_request_is_one_line_with_its_account():
    told = Told()
    told.watch.finished(record(), completed())
    assert told.lines == [
        {
            "level": "info",
            "event": "completed",
            "request_id": "r-1",
            "task": "greet",
            "prompt": "greet@v1#0123456789ab",
            "source": "llm.requests:3:7",
            "model": "small-1-2026",
            "latency_ms": 512,
            "attempts": 1,
            "calls": 2,
            "cost_micro_usd": 1_234,
            "unpriced_calls": 1,
        }
    ]


def test_a_request_that_is_tried_on_and_on_is_named_once_a_minute():
    told = Told()
    for _ in range(3):
        told.watch.tried_on("r-1", "main", "small-1", 4, "500: internal")
        told.now_s += 25
    told.watch.tried_on("r-1", "main", "small-1", 9, "500: internal")
    assert [(line["level"], line["request_id"], line["calls"], line.get("times")) for line in told.lines] == [
        ("warning", "r-1", 4, None),
        ("warning", "r-1", 9, 3),
    ]
    assert told.lines[0]["detail"] == "500: internal"


def test_the_last_line_says_how_many_outcomes_were_published():
    told = Told()
    told.watch.committed(3, 0.1)
    told.watch.committed(2, 0.1)
    told.watch.left()
    assert told.lines == [{"level": "info", "event": "left the group", "outcomes_published": 5}]


def test_a_dead_letter_of_what_cannot_be_decoded_is_told_under_the_id_of_its_header():
    told = Told()
    letter = DeadLettered(Failure("decode", "not_json", "no JSON", (), Cost()))
    told.watch.finished(replace(record(), headers=(("ce_id", b"r-9"),)), letter)
    told.watch.finished(replace(record(), headers=None), letter)
    assert [line["request_id"] for line in told.lines] == ["r-9", None]


def test_a_dead_letter_is_one_warning_that_says_why():
    told = Told()
    told.watch.finished(record(), dead_lettered(cost=Cost(4, 5, micro_usd=None)))
    assert told.lines == [
        {
            "level": "warning",
            "event": "dead letter",
            "stage": "validate",
            "code": "placeholder",
            "detail": "$.name is a placeholder",
            "request_id": "r-1",
            "task": "greet",
            "prompt": "greet@v1#0123456789ab",
            "source": "llm.requests:3:7",
            "attempts": 4,
            "calls": 5,
            "cost_micro_usd": None,
        }
    ]


def test_a_dead_letter_that_could_not_be_read_has_its_source():
    told = Told()
    told.watch.finished(record(), DeadLettered(Failure("decode", "not_json", "it isn't JSON")))
    assert told.lines[0]["source"] == "llm.requests:3:7"
    assert told.lines[0]["request_id"] is None


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_holds_an_input_a_prompt_or_a_reply(log_format):
    with logging_to_a_pipe(log_format) as written:
        watch = LogWatch(written.logs.logger)
        watch.finished(record(), completed())
        watch.finished(record(), dead_lettered())
    assert "of the input" not in written.text
    assert "hello" not in written.text


def test_reading_and_committing_say_nothing():
    told = Told()
    told.watch.received(500)
    told.watch.committed(500, 0.1)
    assert told.lines == []


def test_a_rejected_key_is_an_error_at_once_that_says_what_to_do():
    told = Told()
    told.gate("account", 60.0)
    (line,) = told.lines
    assert (line["level"], line["cause"], line["next_probe_s"]) == ("error", "account", 60.0)
    assert "key" in line["what_to_do"]
    assert "dead-lettered" in line["what_to_do"]


def test_each_failed_probe_of_an_account_is_said():
    told = Told()
    for _ in range(3):
        told.gate("account", 10.0)
    assert len(told.lines) == 3


def test_an_unknown_model_is_an_error_that_says_what_to_do():
    told = Told()
    told.gate("unknown_model", 60.0)
    assert told.lines[0]["level"] == "error"
    assert all(word in told.lines[0]["what_to_do"] for word in ("`model`", "base_url", "deployment"))


def test_a_gate_that_flaps_is_said_once_a_minute_with_how_often():
    told = Told()
    for second in range(120):
        told.now_s = 1_000.0 + second
        told.gate()
        told.gate(is_open=True)
    shut = [line for line in told.lines if line["event"].startswith("gate shut")]
    opened = [line for line in told.lines if line["event"].startswith("gate opened")]
    assert (len(shut), len(opened)) == (2, 2)
    assert [line.get("times") for line in shut] == [None, 60]


def test_a_gate_that_shuts_for_long_is_said_though_it_flapped_before():
    told = Told()
    told.gate()
    told.gate(is_open=True)
    told.gate(opens_in_s=600.0)
    assert told.lines[-1]["next_probe_s"] == 600.0


def test_a_gate_whose_shutting_was_said_is_said_to_open():
    told = Told()
    told.gate()
    told.gate()
    told.gate(is_open=True)
    assert [line["event"].split(";")[0] for line in told.lines] == ["gate shut", "gate opened"]


def test_brokers_that_are_gone_are_an_error_and_back_an_info():
    told = Told()
    told.watch.brokers(up=False, detail="all brokers down")
    told.watch.brokers(up=True, detail="")
    assert [line["level"] for line in told.lines] == ["error", "info"]


def test_a_stopped_partition_is_an_error_with_its_remedy():
    told = Told()
    told.watch.stopped("t:0", "retention_gap", "records are gone", "`llm-stream worker --accept-gap t:0`")
    assert told.lines[0]["level"] == "error"
    assert told.lines[0]["what_to_do"] == "`llm-stream worker --accept-gap t:0`"


def test_a_refused_outcome_is_an_error_once_a_minute_for_each_record():
    told = Told()
    for _ in range(5):
        told.watch.refused(record(7), "too large")
        told.watch.refused(record(8), "too large")
    assert [(line["level"], line["source"]) for line in told.lines] == [
        ("error", "llm.requests:3:7"),
        ("error", "llm.requests:3:8"),
    ]


def test_partitions_that_come_and_go_are_said():
    told = Told()
    told.watch.assigned(f"t:{number}" for number in range(14))
    told.watch.started({"t:0": 42, "t:1": 7})
    told.watch.revoked(["t:0"], lost=False, cancelled=0, seconds=0.25)
    told.watch.revoked(["t:1"], lost=True, cancelled=3, seconds=0.0)
    told.watch.draining(30.0, "SIGTERM")
    assert told.lines[-1]["cause"] == "SIGTERM"
    assert [line["level"] for line in told.lines] == ["info", "info", "info", "warning", "info"]
    assert told.lines[0]["partitions"] == "t:0-13"
    assert (told.lines[1]["partitions"], told.lines[1]["offset"]) == ("t:0-1", "42, 7")


def test_partitions_are_said_in_ranges_and_only_the_first_twelve():
    assert in_ranges(["b:3", "a:1", "a:2", "a:10", "a:9", "b:1"]) == "a:1-2, a:9-10, b:1, b:3"
    assert in_ranges(f"t:{number}" for number in range(0, 40, 2)).endswith("t:22 and 8 more")


def test_a_worker_without_a_partition_says_so():
    told = Told()
    told.watch.assigned([])
    assert told.lines[0]["event"] == "joined the group; there is no partition for this worker now"


def test_joining_is_said_at_once_and_explained_when_it_takes_long():
    told = Told()
    told.watch.joining(0.0)
    told.watch.joining(20.0)
    assert told.lines[0]["event"] == "joining the group"
    assert "session times out" in told.lines[1]["event"]
    assert told.lines[1]["waited_s"] == 20


@pytest.mark.parametrize("event", ["trouble", "attempt_failed"])
def test_the_same_trouble_is_said_once_a_minute_with_how_often(event):
    told = Told()
    for second in range(61):
        told.now_s = 1_000.0 + second
        getattr(told.watch, event)("the broker hesitates")
    assert len(told.lines) == 2
    assert told.lines[1]["times"] == 60


def test_different_troubles_are_each_said_at_once():
    told = Told()
    told.watch.trouble("one")
    told.watch.trouble("other")
    assert [line["event"] for line in told.lines] == ["one", "other"]


def test_what_is_remembered_of_repeats_is_bounded():
    repeats = Repeats(60.0, bound=10)
    for number in range(1_000):
        assert repeats.held_back(number, 0.0) == 0
    assert repeats.held_back(999, 0.0) is None
    assert repeats.held_back(1, 0.0) == 0


def test_text_for_people_starts_with_time_level_and_what_happened():
    with logging_to_a_pipe("text") as written:
        LogWatch(written.logs.logger).finished(record(), completed())
    time_of_day, level, event, *fields = written.raw_lines[0].split()
    assert (len(time_of_day), level, event) == (8, "info", "completed")
    assert "request_id=r-1" in fields


def test_json_has_the_moment_in_utc():
    with logging_to_a_pipe() as written:
        LogWatch(written.logs.logger).trouble("x")
    line = json.loads(written.text)
    assert line["at"].endswith("+00:00")
    assert list(line) == ["at", "level", "event"]
