"""`llm-stream dlq` on a real Kafka."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.codecs.requests import encode_request
from stream.core.records import Headers
from stream.kafka.local import LocalKafka
from tests.support.command_line import CommandLine
from tests.support.kafka import Topics, Unsent, create_topic, produce
from tests.support.letters import headers
from tests.support.topic_settings import settings_for


@pytest.fixture
def llm_stream(kafka: LocalKafka, topics: Callable[..., Topics], tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, settings_for(kafka.bootstrap_servers, topics(partitions=3)))


def dead_letter(llm_stream: CommandLine, request_id: str = "r-1", *, partition: int = 1, **more: str) -> str:
    """A dead letter, as a worker writes it; its id."""
    settings = llm_stream.settings
    event, value = encode_request("greet", request_id, {"name": "x"}, source="/tests", at_ms=0)
    ours = {
        "llm__request_id": request_id,
        "llm__task": "greet",
        "llm__error__stage": "validate",
        "llm__error__code": "placeholder",
        "llm__error__detail": "$.name is a placeholder",
        "llm__source__topic": settings.topics.requests[0],
        "llm__source__partition": str(partition),
        "__dlq.errors.timestamp": "1000",
        **more,
    }
    sent: Headers = (*event, ("tenant", b"a"), *headers(**ours))
    unsent = Unsent(value, b"some-key", sent, partition=partition)
    [where] = produce(settings.kafka.bootstrap_servers, settings.topics.dlq, [unsent])
    return f"{where.partition}:{where.offset}"


def result_of(llm_stream: CommandLine, request: dict[str, object]) -> None:
    """A worker's result for a request, as thin as it may be."""
    settings = llm_stream.settings
    source = headers(
        ce_causationid="r-1",
        ce_type="llm.result.greet",
        llm__source__group=settings.kafka.group_id,
        llm__source__topic=str(request["topic"]),
        llm__source__partition=str(request["partition"]),
        llm__source__offset=str(request["offset"]),
    )
    produce(settings.kafka.bootstrap_servers, settings.topics.results, [Unsent(b"{}", headers=source)])


def test_dead_letters_are_listed_newest_first_and_filtered(llm_stream: CommandLine):
    old = dead_letter(llm_stream, "old", partition=2)
    new = dead_letter(llm_stream, "new", partition=0, **{"__dlq.errors.timestamp": "2000"})
    other = dead_letter(llm_stream, "other", llm__task="sum", llm__error__stage="call", llm__error__code="refused")
    found = [letter["id"] for letter in llm_stream("dlq", "list", "--json").json]
    assert found[0] == new
    assert sorted(found) == sorted([old, new, other])
    assert [row["id"] for row in llm_stream("dlq", "list", "--task", "sum", "--json").json] == [other]
    assert [row["id"] for row in llm_stream("dlq", "list", "--stage", "call", "--json").json] == [other]
    assert len(llm_stream("dlq", "list", "--code", "placeholder", "--limit", "1", "--json").json) == 1
    assert "$.name is a placeholder" in llm_stream("dlq", "list").stdout


def test_what_failed_before_any_call_is_shown_and_sent_again_with_a_warning(llm_stream: CommandLine):
    there = dead_letter(llm_stream, llm__error__stage="decode", llm__error__code="not_json")
    shown = llm_stream("dlq", "show", there).stderr
    assert shown.startswith("\n! A replay sends the same bytes, and fails the same way (decode/not_json) unless")
    assert "Send it again if it has (--why may be left out):" in shown
    again = llm_stream("dlq", "replay", there)
    assert again.exit_code == 0
    assert again.stderr.startswith("! A replay sends the same bytes")


def test_a_stage_that_does_not_exist_is_wrong_usage(llm_stream: CommandLine):
    assert llm_stream("dlq", "list", "--stage", "validation").exit_code == 2


def test_show_tells_what_was_wrong_and_the_request_as_it_came(llm_stream: CommandLine):
    ran = llm_stream("dlq", "show", dead_letter(llm_stream))
    assert ran.exit_code == 0
    for told in ("validate/placeholder", "$.name is a placeholder", "tenant: a", '"name": "x"', "some-key"):
        assert told in ran.stdout


def test_show_gives_undecodable_bytes_as_base64(llm_stream: CommandLine):
    settings = llm_stream.settings
    produce(settings.kafka.bootstrap_servers, settings.topics.dlq, [Unsent(b"\xff\xfe", partition=0)])
    assert llm_stream("dlq", "show", "0:0", "--json").json["value"] == {"base64": "//4="}


def test_a_dead_letter_that_is_not_there_is_exit_code_1_and_no_id_is_2(llm_stream: CommandLine):
    for absent in ("0:7", "99:0"):
        ran = llm_stream("dlq", "show", absent)
        assert ran.exit_code == 1
        assert f"no dead letter at {absent}" in ran.stderr
        assert "llm-stream dlq list" in ran.stderr
    assert llm_stream("dlq", "show", "seven").exit_code == 2


def test_a_replay_is_a_new_request_and_a_decision(llm_stream: CommandLine):
    letter = dead_letter(llm_stream)
    ran = llm_stream("dlq", "replay", letter, "--why", "prompt fixed", "--json")
    assert (ran.exit_code, ran.json["count"], ran.json["request"]["partition"]) == (0, 1, 1)
    [request] = llm_stream("tail", "requests").lines
    assert (request["key"], request["value"]) == ("some-key", {"name": "x"})
    assert (request["headers"]["ce_id"], request["headers"]["tenant"]) == ("r-1", "a")
    ours = {name: value for name, value in request["headers"].items() if name.startswith(("llm.", "__dlq"))}
    assert ours.pop("llm.replay.by").count("@") == 1
    assert ours == {"llm.replay.count": "1", "llm.replay.id": letter}
    [decision] = llm_stream("tail", "decisions").lines
    assert (decision["value"]["kind"], decision["value"]["why"]) == ("replay", "prompt fixed")
    assert decision["value"]["scope"]["dead_letter"] == letter


def test_a_replay_is_seen_by_show_and_find(llm_stream: CommandLine):
    letter = dead_letter(llm_stream)
    llm_stream("dlq", "replay", letter, "--why", "prompt fixed")
    assert "prompt fixed" in llm_stream("dlq", "show", letter).stdout
    found = llm_stream("find", "r-1", "--json").json
    assert [each["value"]["kind"] for each in found["decisions"]] == ["replay"]
    assert [asked["status"] for asked in found["requests"]] == ["pending"]


def test_a_third_replay_is_refused_without_force(llm_stream: CommandLine):
    letter = dead_letter(llm_stream)
    assert [llm_stream("dlq", "replay", letter).exit_code for _ in range(3)] == [0, 0, 1]
    assert len(llm_stream("tail", "requests").lines) == 2
    assert llm_stream("dlq", "replay", letter, "--force").exit_code == 0


def test_a_replay_of_what_has_a_result_is_refused_without_force(llm_stream: CommandLine):
    letter = dead_letter(llm_stream)
    request = llm_stream("dlq", "replay", letter, "--json").json["request"]
    result_of(llm_stream, request)
    refused = llm_stream("dlq", "replay", letter)
    assert refused.exit_code == 1
    assert "has a result" in refused.stderr
    assert "has a result" in llm_stream("dlq", "show", letter).stdout
    assert len(llm_stream("tail", "requests").lines) == 1
    assert llm_stream("dlq", "replay", letter, "--force").exit_code == 0


def test_a_replay_beside_one_that_waits_is_sent_with_a_warning(llm_stream: CommandLine):
    letter = dead_letter(llm_stream)
    llm_stream("dlq", "replay", letter)
    again = llm_stream("dlq", "replay", letter)
    assert again.exit_code == 0
    assert "has no outcome yet: both will be called and paid for" in again.stderr


def test_the_list_shows_what_was_sent_again(llm_stream: CommandLine):
    once, never = dead_letter(llm_stream, "r-1", partition=0), dead_letter(llm_stream, "r-2", partition=1)
    llm_stream("dlq", "replay", once, "--why", "prompt fixed")
    listed = {each["id"]: each["replays"] for each in llm_stream("dlq", "list", "--json").json}
    assert [each["why"] for each in listed[once]] == ["prompt fixed"]
    assert listed[never] == []


def test_replays_before_this_dead_letter_count_too(llm_stream: CommandLine):
    letter = dead_letter(llm_stream, llm__replay__count="2", llm__replay__id="1:0", llm__replay__by="ops@host")
    ran = llm_stream("dlq", "replay", letter)
    assert ran.exit_code == 1
    assert "2 times already" in ran.stderr


def test_a_value_that_was_too_large_to_keep_is_not_replayed(llm_stream: CommandLine):
    ran = llm_stream("dlq", "replay", dead_letter(llm_stream, llm__value__sha256="ab" * 32), "--force")
    assert ran.exit_code == 1
    assert "SHA-256" in ran.stderr


def test_without_its_decision_nothing_is_sent(kafka: LocalKafka, llm_stream: CommandLine, tmp_path: Path):
    letter = dead_letter(llm_stream)
    small = f"{llm_stream.settings.topics.decisions}.small"
    create_topic(kafka.bootstrap_servers, small, 1, {"max.message.bytes": "100"})
    topics = llm_stream.settings.topics.model_copy(update={"decisions": small})
    broken = CommandLine(tmp_path, llm_stream.settings.model_copy(update={"topics": topics}))
    ran = broken("dlq", "replay", letter)
    assert ran.exit_code == 2
    assert llm_stream("tail", "requests").stdout == ""
