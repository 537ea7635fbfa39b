"""`llm-stream send`, `tail` and `find` on a real Kafka."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.kafka.local import LocalKafka
from tests.support.command_line import CommandLine
from tests.support.kafka import Topics, Unsent, produce
from tests.support.letters import headers
from tests.support.topic_settings import settings_for


@pytest.fixture
def llm_stream(kafka: LocalKafka, topics: Callable[..., Topics], tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, settings_for(kafka.bootstrap_servers, topics(partitions=3)))


def outcome(llm_stream: CommandLine, topic: str, request: dict[str, object], **more: str) -> None:
    """A worker's outcome for a request, as thin as it may be."""
    settings = llm_stream.settings
    source = headers(
        llm__source__group=settings.kafka.group_id,
        llm__source__topic=str(request["topic"]),
        llm__source__partition=str(request["partition"]),
        llm__source__offset=str(request["offset"]),
        **more,
    )
    value = json.dumps({"request_id": request["id"], "task": "greet"}).encode()
    produce(settings.kafka.bootstrap_servers, topic, [Unsent(value, headers=source)])


def test_what_is_sent_is_what_tail_shows(llm_stream: CommandLine):
    sent = llm_stream("send", "greet", "--json", stdin='{"text": "hi"}\n{"id": "r-2", "key": "k", "input": [1]}\n')
    assert sent.exit_code == 0
    by_id = {line["headers"]["ce_id"]: line for line in llm_stream("tail", "requests").lines}
    assert [row["id"] for row in sent.json] == [row["id"] for row in sent.json if row["id"] in by_id]
    second = by_id["r-2"]
    assert (second["key"], second["value"], second["headers"]["ce_type"]) == ("k", [1], "llm.request.greet")
    assert [second[name] for name in ("topic", "partition", "offset")] == list(sent.json[1].values())[1:]


def test_one_bad_line_and_nothing_is_sent(llm_stream: CommandLine, tmp_path: Path):
    file = tmp_path / "requests.jsonl"
    file.write_text('{"text": 1}\n{"text": \n[]\n')
    ran = llm_stream("send", "greet", str(file))
    assert ran.exit_code == 2
    assert f"{file}:2: " in ran.stderr
    assert f"{file}:3: " in ran.stderr
    assert llm_stream("tail", "requests").stdout == ""


def test_where_there_is_nothing_to_send_that_is_said(llm_stream: CommandLine):
    ran = llm_stream("send", "greet", "--json", stdin="\n")
    assert (ran.exit_code, ran.json) == (0, [])
    assert "nothing to send" in ran.stderr
    assert "sent 0" not in ran.stderr


def test_what_is_sent_needs_a_worker_and_send_says_so(llm_stream: CommandLine):
    assert "llm-stream worker" in llm_stream("send", "greet", stdin="{}").stderr


def test_a_file_that_is_not_there_is_wrong_usage(llm_stream: CommandLine):
    assert llm_stream("send", "greet", "/no/such/file").exit_code == 2


def test_an_unknown_task_is_refused_with_a_suggestion_and_sent_with_force(llm_stream: CommandLine, tmp_path: Path):
    (tmp_path / "prompts" / "greet").mkdir(parents=True)
    (tmp_path / "prompts" / "greet" / "task.toml").write_text('model = "x:y"\n')
    knowing = CommandLine(tmp_path, llm_stream.settings, tmp_path / "prompts")
    refused = knowing("send", "gret", stdin="{}")
    assert refused.exit_code == 2
    assert "did you mean greet?" in refused.stderr
    assert knowing("send", "gret", "--force", stdin="{}").exit_code == 0
    assert knowing("send", "greet", stdin="{}").exit_code == 0


def test_sending_to_a_missing_topic_names_the_remedy(kafka: LocalKafka, tmp_path: Path):
    ran = CommandLine(tmp_path, settings_for(kafka.bootstrap_servers))("send", "greet", stdin="{}")
    assert ran.exit_code == 2
    assert "topics create" in ran.stderr


def test_tail_shows_one_task_and_ends_at_the_limit(llm_stream: CommandLine):
    llm_stream("send", "greet", stdin="{}\n{}\n{}\n")
    llm_stream("send", "other", stdin="{}\n")
    assert len(llm_stream("tail", "requests", "--task", "other").lines) == 1
    assert len(llm_stream("tail", "requests", "--task", "greet", "--limit", "2").lines) == 2


def test_tail_for_a_task_that_is_not_there_says_so(llm_stream: CommandLine, tmp_path: Path):
    (tmp_path / "prompts" / "greet").mkdir(parents=True)
    (tmp_path / "prompts" / "greet" / "task.toml").write_text('model = "x:y"\n')
    ran = CommandLine(tmp_path, llm_stream.settings, tmp_path / "prompts")("tail", "results", "--task", "gret")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert "did you mean greet?" in ran.stderr


def test_tail_that_follows_tells_a_person_what_it_waits_for(llm_stream: CommandLine, monkeypatch: pytest.MonkeyPatch):
    llm_stream("send", "greet", stdin="{}\n")
    follow = ("tail", "requests", "--follow", "--from", "earliest", "--limit", "1")
    topic = llm_stream.settings.topics.requests[0]
    assert "following" not in llm_stream(*follow).stderr
    monkeypatch.setattr("stream.cli.output.progress_wanted", lambda: True)
    assert f"… following {topic} from earliest on; Ctrl-C ends" in llm_stream(*follow).stderr


def test_bytes_that_are_no_text_are_not_told_to_be_made_one_line(llm_stream: CommandLine, tmp_path: Path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    refused = llm_stream("send", "greet", str(tmp_path / "bytes"))
    assert "not UTF-8" in refused.stderr
    assert "jq" not in refused.stderr
    assert "jq" in llm_stream("send", "greet", stdin="{\n").stderr


def test_tail_starts_where_it_is_told_to(llm_stream: CommandLine):
    llm_stream("send", "greet", stdin='{"input": 1, "key": "k"}\n{"input": 2, "key": "k"}\n')
    assert [line["value"] for line in llm_stream("tail", "requests", "--from", "1").lines] == [2]
    assert len(llm_stream("tail", "requests", "--from", "-1h").lines) == 2
    assert llm_stream("tail", "requests", "--from", "latest").stdout == ""


def test_tail_from_nonsense_is_wrong_usage(llm_stream: CommandLine):
    assert llm_stream("tail", "requests", "--from", "yesterday-ish").exit_code == 2


def test_a_request_without_an_outcome_is_found_pending(llm_stream: CommandLine):
    llm_stream("send", "greet", stdin='{"id": "r-1", "input": {}}')
    ran = llm_stream("find", "r-1")
    assert ran.exit_code == 0
    assert "is pending" in ran.stderr
    assert llm_stream("find", "r-1", "--json").json["requests"][0]["status"] == "pending"


def test_everything_about_an_id_is_found(llm_stream: CommandLine):
    topics = llm_stream.settings.topics
    first = llm_stream("send", "greet", "--json", stdin='{"id": "r-1", "input": {}}').json[0]
    second = llm_stream("send", "greet", "--json", stdin='{"id": "r-1", "input": {}}').json[0]
    outcome(llm_stream, topics.results, first)
    outcome(llm_stream, topics.dlq, second, llm__request_id="r-1", llm__task="greet", llm__error__code="schema")
    outcome(llm_stream, topics.audit, first)
    ran = llm_stream("find", "r-1", "--json")
    assert sorted(asked["status"] for asked in ran.json["requests"]) == ["completed", "dead_lettered"]
    assert "value" in ran.json["requests"][0]["request"]
    assert len(ran.json["audit"]) == 1
    told = llm_stream("find", "r-1")
    assert [word in told.stdout for word in ("result", "dead letter", "audit copy")] == [True, True, True]
    assert "dlq show" in told.stderr


def test_nothing_about_an_id_is_exit_code_1_and_says_where_it_looked(llm_stream: CommandLine):
    ran = llm_stream("find", "nobody")
    assert ran.exit_code == 1
    assert llm_stream.settings.topics.dlq in ran.stderr
