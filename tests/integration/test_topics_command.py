"""`llm-stream topics` on a real Kafka."""

from pathlib import Path

import pytest

from stream.kafka.local import LocalKafka, free_port
from tests.support.command_line import CommandLine, Ran
from tests.support.kafka import create_topic
from tests.support.topic_settings import settings_for
from tests.support.waiting import wait_until


@pytest.fixture
def llm_stream(kafka: LocalKafka, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, settings_for(kafka.bootstrap_servers))


def checked(llm_stream: CommandLine, exit_code: int) -> Ran:
    """The check's end, once the broker shows what was just changed."""

    def told() -> Ran | None:
        ran = llm_stream("topics", "check", "--json")
        return ran if ran.exit_code == exit_code else None

    return wait_until(told, 10, f"topics check ends with {exit_code}")


def test_check_finds_what_is_missing_and_create_makes_it(llm_stream: CommandLine):
    before = llm_stream("topics", "check")
    assert before.exit_code == 1
    assert before.stdout.count("is not there") == 6
    created = llm_stream("topics", "create")
    assert created.exit_code == 0
    assert created.stderr.count("✓ made") == 6
    assert checked(llm_stream, 0).json["ok"] is True


def test_create_says_what_was_there_and_what_it_made(llm_stream: CommandLine, kafka: LocalKafka):
    results = llm_stream.settings.topics.results
    create_topic(kafka.bootstrap_servers, results, 4, {"retention.ms": "1000"})
    rows = {row["topic"]: row for row in llm_stream("topics", "create", "--json").json}
    assert [name for name, row in rows.items() if not row["made"]] == [results]
    assert rows[results]["differs"]["config"] == {"retention.ms": "604800000"}
    assert rows[results]["changed"] is False


def test_an_existing_topic_is_altered_only_with_apply(llm_stream: CommandLine, kafka: LocalKafka):
    requests = llm_stream.settings.topics.requests[0]
    create_topic(kafka.bootstrap_servers, requests, 2, {"cleanup.policy": "compact"})
    left = llm_stream("topics", "create")
    assert "left as it is; --apply changes it" in left.stderr
    [wrong] = [each for each in checked(llm_stream, 1).json["findings"] if each["level"] == "wrong"]
    assert (wrong["where"], wrong["check"]) == (requests, "cleanup")
    changed = llm_stream("topics", "create", "--apply")
    assert "cleanup.policy compact → delete" in changed.stderr
    assert "a key may land in another one than before" in changed.stderr
    checked(llm_stream, 0)


def test_print_shows_commands_and_yaml_and_asks_no_broker(tmp_path: Path):
    ran = CommandLine(tmp_path, settings_for(f"127.0.0.1:{free_port()}"))("topics", "create", "--print")
    assert ran.exit_code == 0
    assert ran.stdout.count("kafka-topics.sh --bootstrap-server") == 6
    assert ran.stdout.count("kind: KafkaTopic") == 6


def test_a_results_topic_of_a_single_task_is_made_too(kafka: LocalKafka, tmp_path: Path):
    task = tmp_path / "prompts" / "greet"
    task.mkdir(parents=True)
    settings = settings_for(kafka.bootstrap_servers)
    own, of_v2 = f"{settings.topics.results}.greet", f"{settings.topics.results}.v2"
    (task / "task.toml").write_text(f'model = "x:y"\nresults_topic = "{own}"\n')
    (task / "v2.md").write_text(f"---\nresults_topic: {of_v2}\n---\n# user\nhello\n")
    ran = CommandLine(tmp_path, settings, tmp_path / "prompts")("topics", "create", "--json")
    assert {own, of_v2} <= {row["topic"] for row in ran.json if row["made"]}


def test_no_broker_is_exit_code_3_with_the_address(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    ran = CommandLine(tmp_path, settings_for(address))("topics", "check")
    assert ran.exit_code == 3
    assert f"No Kafka broker answered at {address}" in ran.stderr
