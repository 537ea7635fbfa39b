"""`llm-stream demo` as a person runs it: it ends by itself, its accounts are right, and it leaves nothing behind."""

import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.support.processes import CHECKOUT, Child
from tests.support.waiting import wait_until

ENDS_WITHIN_S = 90
"""Nowhere near what it takes (12 s): the machine may be busy with other tests."""


def llm_stream(folder: Path, *arguments: str, name: str = "demo", **env: str) -> Child:
    """A command in an empty environment of ours, its temporary files under `folder`."""
    ours = {key: "" for key in os.environ if key.startswith("LLM_STREAM_") and "KAFKA_LIBS" not in key}
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    env = ours | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(temporary), "ANTHROPIC_API_KEY": "sk-users"} | env
    return Child("-m", "stream", *arguments, log=folder / f"{name}.log", cwd=folder, env=env)


def accounts_in(output: str) -> dict[str, int]:
    """The figures of "The accounts"."""
    lines = output.partition("The accounts")[2].partition("Dead letters")[0]
    figures = re.findall(r"([\d,]+) ([a-z ]+)$", lines, re.MULTILINE)
    return {name.strip(): int(amount.replace(",", "")) for amount, name in figures}


def assert_balanced(output: str, records: int) -> None:
    figures = accounts_in(output)
    assert figures["requests sent"] == records == figures["results"] + figures["dead letters"]
    assert figures["lost"] == figures["doubled"] == figures["dead letters because of the storm"] == 0
    assert f"✓ Balanced: {records} requests = {figures['results']} results" in output
    assert "✓ The accounts balance" in output
    calls, counted = map(int, re.findall(r"calls +(\d+) +and (\d+) by the provider's own count", output)[0])
    assert calls == counted > figures["results"]


def ended(child: Child) -> tuple[int, str]:
    with child:
        code = child.wait(ENDS_WITHIN_S)
    return code, child.output


def test_without_anything_it_shows_a_storm_and_balances(tmp_path):
    code, output = ended(llm_stream(tmp_path, "demo", "--records", "40"))
    assert code == 0, output
    assert_balanced(output, 40)
    acts = ["at least once", "fine weather", "STORM", "gate shut", "it gets worse", "well again", "has its outcome"]
    places = [output.find(each) for each in acts]
    assert -1 not in places
    assert places == sorted(places)
    for reason in ("decode/not_json", "decode/null_value", "route/unknown_task", "render/invalid_input"):
        assert reason in output
    assert "\x1b" not in output
    assert re.search(r"Next.*try extract-invoice", output, re.DOTALL)


def test_on_a_local_kafka_it_runs_exactly_once_and_leaves_no_file_behind(tmp_path):
    code, output = ended(llm_stream(tmp_path, "demo", "--records", "40", "--kafka", "local"))
    assert code == 0, output
    assert "delivery: exactly once (results and offsets in one transaction)" in output
    assert_balanced(output, 40)
    assert list((tmp_path / "tmp").glob("llm-stream-demo*")) == []


def test_on_somebodys_kafka_it_uses_topics_of_its_own_and_removes_them(tmp_path, kafka):
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 3})
    before = set(admin.list_topics(timeout=10).topics) - {"__consumer_offsets", "__transaction_state"}
    code, output = ended(llm_stream(tmp_path, "demo", "--records", "40", "--kafka", kafka.bootstrap_servers))
    assert code == 0, output
    assert_balanced(output, 40)
    assert "made 6 topics llm-stream-demo-" in output
    after = set(admin.list_topics(timeout=10).topics) - {"__consumer_offsets", "__transaction_state"}
    assert [topic for topic in after - before if topic.startswith("llm-stream-demo")] == []
    groups = {each.group_id for each in admin.list_consumer_groups(request_timeout=10).result().valid}
    assert [group for group in groups if group.startswith("llm-stream-demo")] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_ends_it_cleanly(tmp_path, number, code):
    with llm_stream(tmp_path, "demo") as child:
        wait_until(lambda: "STORM" in child.output, ENDS_WITHIN_S, lambda: child.output)
        os.kill(child.pid, number)
        assert child.wait(30) == code
        assert f"Ended by {number.name}: worker, broker and simulator are stopped." in child.output
        assert "Traceback" not in child.output


def test_a_signal_while_it_loads_waits_for_nothing(tmp_path):
    with llm_stream(tmp_path, "demo") as child:
        wait_until(lambda: "loading the providers' SDKs" in child.output, ENDS_WITHIN_S, lambda: child.output)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(30) == 130
        assert child.output.splitlines()[-1] == "Ended by SIGINT: worker, broker and simulator are stopped."


@pytest.fixture
def project(tmp_path):
    """What `llm-stream init` makes."""
    assert ended(llm_stream(tmp_path, "init", "project", name="init"))[0] == 0
    return tmp_path / "project"


def test_kept_with_ones_own_tasks_it_can_be_looked_at_from_another_terminal(tmp_path, project):
    arguments = ("-c", str(project / "llm-stream.toml"), "demo", "--records", "30", "--keep")
    with llm_stream(tmp_path, *arguments) as child:
        wait_until(lambda: "reconcile --cost" in child.output, ENDS_WITHIN_S, lambda: child.output)
        assert "30 requests for classify-ticket of" in child.output
        assert_balanced(child.output, 30)
        exported = re.findall(r"^  export (\w+)=(.*)$", child.output, re.MULTILINE)
        env = {name: shlex.split(value)[0] for name, value in exported}
        code, output = ended(llm_stream(tmp_path, "reconcile", name="other", **env))
        assert code == 0, output
        assert "✓ Balanced: 30 requests" in output
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(30) == 0


def test_tasks_without_examples_are_refused_with_where_to_write_them(tmp_path, project):
    (project / "requests.jsonl").unlink()
    (project / "prompts" / "classify-ticket" / "examples.jsonl").unlink()
    code, output = ended(llm_stream(tmp_path, "-c", str(project / "llm-stream.toml"), "demo"))
    assert code == 2
    assert "There are no examples of classify-ticket: write some" in output
    assert "examples.jsonl" in output


def test_a_broker_that_is_not_there_ends_it_with_3(tmp_path):
    code, output = ended(llm_stream(tmp_path, "demo", "--kafka", "127.0.0.1:1"))
    assert code == 3
    assert "No Kafka broker answered at 127.0.0.1:1" in output
    assert "removed" not in output.partition("No Kafka broker")[2]


def test_a_machine_without_java_is_told_what_to_install(tmp_path):
    code, output = ended(llm_stream(tmp_path, "demo", "--kafka", "local", JAVA_HOME=str(tmp_path)))
    assert code == 3
    assert "a local Kafka needs Java 17 or later: install one" in output
