"""`llm-stream reconcile` and `llm-stream lag` as a person or a script meets them: words, JSON, exit codes."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stream.cli.main import app
from stream.kafka.local import LocalKafka, free_port
from tests.support.kafka import Topics
from tests.support.reconcile_scene import GROUP, Scene, made_scene


@pytest.fixture
def scene(kafka: LocalKafka, topics: Callable[..., Topics]) -> Iterator[Scene]:
    with made_scene(kafka, topics(partitions=1)) as made:
        yield made


def command(scene: Scene, folder: Path, *words: str) -> Result:
    """`llm-stream` with a configuration file for the scene, in this process."""
    config = folder / "llm-stream.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{scene.settings.kafka.bootstrap_servers}"\ngroup_id = "{GROUP}"\n[topics]\n'
        f'requests = ["{scene.topics.requests}"]\nresults = "{scene.topics.results}"\ndlq = "{scene.topics.dlq}"\n'
        f'decisions = "{scene.topics.decisions}"\n[tasks]\npath = "{folder}"\n'
    )
    return CliRunner().invoke(app, ["--config", str(config), *words])


def test_the_command_proves_a_balance_with_exit_code_0(scene: Scene, tmp_path: Path) -> None:
    scene.worker.attempt(10, results=range(9), dead=[9])
    ended = command(scene, tmp_path, "reconcile")
    assert ended.exit_code == 0, ended.output
    assert "Balanced: 10 requests = 9 results + 1 dead letter; nothing lost, nothing doubled." in ended.stderr
    assert scene.topics.requests in ended.stdout
    told = json.loads(command(scene, tmp_path, "reconcile", "--json").stdout)
    assert (told["balanced"], told["partitions"][0]["verdicts"]["settled"]) == (True, 10)


def test_the_command_ends_with_1_and_names_what_to_do_when_a_request_is_missing(scene: Scene, tmp_path: Path) -> None:
    scene.worker.attempt(10, results=range(9))
    ended = command(scene, tmp_path, "reconcile")
    assert ended.exit_code == 1
    assert "Next: llm-stream find inv-9" in ended.stderr
    told = command(scene, tmp_path, "reconcile", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["partitions"][0]["offsets"]["missing"] == [9]


def test_lag_as_a_command(scene: Scene, tmp_path: Path) -> None:
    scene.worker.attempt(4, results=[*range(4), 6], done=[6])
    ended = command(scene, tmp_path, "lag")
    assert ended.exit_code == 0
    assert "5 records behind, in 1 of 1 partition; the oldest has waited for" in ended.stderr
    assert json.loads(command(scene, tmp_path, "lag", "--json").stdout)["records"] == 5


def test_the_command_ends_with_3_within_15_seconds_where_no_broker_is(scene: Scene, tmp_path: Path) -> None:
    nowhere = {"kafka": scene.settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})}
    scene.settings = scene.settings.model_copy(update=nowhere)
    started_s = time.monotonic()
    ended = command(scene, tmp_path, "reconcile")
    assert ended.exit_code == 3
    assert "No Kafka broker answered" in ended.stderr
    assert time.monotonic() - started_s < 15
