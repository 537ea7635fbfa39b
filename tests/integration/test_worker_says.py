"""What a worker says as a process, to whoever starts it, and ends it while Kafka doesn't answer."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream import app
from stream.cli.init import scaffold
from stream.kafka import admin, topics, worker
from stream.kafka.local import LocalKafka, free_port
from stream.settings import Settings
from tests.support.processes import Child
from tests.support.waiting import wait_until

StartWorker = Callable[[str], Child]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """A worker of the project that `init` makes, on the Kafka at this address."""
    started: list[Child] = []
    for name, content in scaffold():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def start(bootstrap_servers: str) -> Child:
        env = {
            "LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "LLM_STREAM__TELEMETRY__PORT": "0",
            "LLM_STREAM__WORKER__STATE_DIR": str(tmp_path / "state"),
            "ANTHROPIC_API_KEY": "not-a-key",
        }
        file = tmp_path / "project" / "llm-stream.toml"
        started.append(Child("-m", "stream", "worker", "-c", file, log=tmp_path / "worker.log", env=env))
        return started[-1]

    yield start
    for child in started:
        child.kill()


def says(child: Child, words: str, deadline_s: float = 60) -> None:
    wait_until(lambda: words in child.output, deadline_s, lambda: f"{words!r} in what it says:\n{child.output}")


def test_ctrl_c_while_kafka_is_silent_says_how_long_it_may_take_and_a_second_one_ends_it_at_once(
    own_kafka: LocalKafka, start_worker: StartWorker
):
    admin.create(Settings.model_validate({"kafka": {"bootstrap_servers": own_kafka.bootstrap_servers}}), _topics())
    child = start_worker(own_kafka.bootstrap_servers)
    says(child, "partitions assigned")
    own_kafka.pause()
    os.kill(child.pid, signal.SIGINT)
    says(child, "leaving; a second Ctrl-C or SIGTERM ends it at once", 5)
    says(child, f'"at_most_s":{30 + app.LEAVING_S}', 5)
    assert child.running
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(5) == -signal.SIGINT
    assert child.output.rstrip().rpartition("\n")[2].count("ended at once; calls in flight will run again") == 1


def test_what_leaving_may_take_is_what_the_worker_allows_for_leaving_the_group_and_for_the_last_transaction():
    assert 2 * worker._LEAVE_S == app.LEAVING_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_kafka_says_why_and_ends_at_the_first_signal(
    start_worker: StartWorker, number: signal.Signals
):
    nobody = f"127.0.0.1:{free_port()}"
    child = start_worker(nobody)
    says(child, f"No Kafka broker answered at {nobody}: Connection refused.")
    says(child, "The worker waits, and asks again every second.")
    os.kill(child.pid, number)
    assert child.wait(5) == 0


def test_a_worker_says_at_its_start_which_models_have_no_price(start_worker: StartWorker, tmp_path: Path):
    task = tmp_path / "project" / "prompts" / "classify-ticket" / "task.toml"
    task.write_text(task.read_text().replace("claude-haiku-4-5", "claude-haiku-45"))
    child = start_worker(f"127.0.0.1:{free_port()}")
    says(child, "Model anthropic:claude-haiku-45 has no price: what it costs will be unknown.")


def _topics() -> list[topics.WantedTopic]:
    return topics.wanted(Settings.model_validate({"topics": {"partitions": 2}}), 1)
