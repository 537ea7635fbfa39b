"""`llm-stream init`: the project it makes works."""

import json
import os
import re
import shutil
from inspect import signature
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from stream.cli.commands import COMMANDS
from stream.cli.init import scaffold
from stream.cli.main import app
from stream.cli.simulator import simulator
from stream.demo.samples import samples_of
from stream.kafka.local_libs import KAFKA_VERSION
from stream.settings import load
from stream.tasks import load_catalogue
from stream.validation import verify_checks


@pytest.fixture
def llm_stream(monkeypatch):
    """The command line, in this process."""

    def run(folder: Path, *args: str):
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("LLM_STREAM")]:
            monkeypatch.delenv(name)
        return CliRunner().invoke(app, args)

    return run


@pytest.fixture
def project(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "init", "shop")
    assert done.exit_code == 0
    return tmp_path / "shop"


def test_the_project_passes_config_check_from_inside_and_outside(project, llm_stream):
    assert llm_stream(project, "config", "check").exit_code == 0
    assert llm_stream(project.parent, "config", "check", "-c", "shop/llm-stream.toml").exit_code == 0


def test_it_is_careful_at_first(project):
    assert load(project / "llm-stream.toml", {}).settings.worker.max_in_flight == 16


def test_its_requests_fit_its_task(project):
    task = load_catalogue(project / "prompts", verify_checks).tasks["classify-ticket"]
    lines = (project / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        request = json.loads(line)
        assert set(request) == {"id", "key", "input"}
        task.version_for(request["id"]).input_model.model_validate(request["input"])
    assert len(lines) == 5


def test_its_tasks_examples_fit_it_and_are_found_when_a_second_task_stands_beside_it(project):
    shutil.copytree(project / "prompts" / "classify-ticket", project / "prompts" / "second")
    (project / "prompts" / "second" / "examples.jsonl").unlink()
    task = load_catalogue(project / "prompts", verify_checks).tasks["classify-ticket"]
    examples = samples_of("classify-ticket", project / "prompts")
    for example in examples:
        task.version_for("any").input_model.model_validate(example.input)
    assert len(examples) == 3


def test_try_of_a_task_without_examples_says_that_a_file_can_be_named(project, llm_stream):
    shutil.copytree(project / "prompts" / "classify-ticket", project / "prompts" / "second")
    (project / "prompts" / "second" / "examples.jsonl").unlink()
    done = llm_stream(project, "try", "second")
    assert done.exit_code == 2
    assert "There are no examples of second: write some" in done.stderr
    assert "Or name a file of requests: `llm-stream try second requests.jsonl`." in done.stderr


def test_its_compose_file_runs_one_pinned_kafka_for_this_machine_only(project):
    (kafka,) = yaml.safe_load((project / "compose.yaml").read_text())["services"].values()
    assert kafka["image"] == "apache/kafka:" + KAFKA_VERSION
    assert kafka["ports"] == ["127.0.0.1:9092:9092"]
    assert load(project / "llm-stream.toml", {}).settings.kafka.bootstrap_servers == "localhost:9092"


def test_it_says_what_it_made_and_what_to_do_next(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "init", "my shop")
    assert done.stderr.count("✓") == len(list(scaffold()))
    assert "cd 'my shop'" in done.stderr
    assert "llm-stream config check" in done.stderr


def test_it_says_that_the_first_steps_need_no_key(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "init", "shop")
    assert "llm-stream try classify-ticket" in done.stderr
    assert "None of these needs a key" in done.stderr


def test_its_readme_shows_the_simulator_in_the_providers_place(project, monkeypatch):
    readme = (project / "README.md").read_text()
    variable, url = re.search(r"export (LLM_STREAM__\w+)=(\S+)", readme).groups()
    assert load(project / "llm-stream.toml", {variable: url}).settings.providers["anthropic"].base_url == url
    assert url == f"http://127.0.0.1:{signature(simulator).parameters['port'].default}"
    assert "    llm-stream simulator &" in readme


def test_the_commands_that_its_readme_names_exist(project):
    readme = (project / "README.md").read_text()
    named = {line.split()[1] for line in readme.splitlines() if line.startswith("    llm-stream ")}
    assert named <= {row.name for row in COMMANDS}


def test_a_directory_that_is_not_empty_is_refused_untouched(tmp_path, llm_stream):
    (tmp_path / "notes.txt").write_text("mine")
    done = llm_stream(tmp_path, "init", ".")
    assert done.exit_code == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_directory_is_fine(tmp_path, llm_stream):
    (tmp_path / "empty").mkdir()
    assert llm_stream(tmp_path, "init", "empty").exit_code == 0


def test_a_file_in_the_directorys_place_is_refused(tmp_path, llm_stream):
    (tmp_path / "f").write_text("")
    done = llm_stream(tmp_path, "init", "f")
    assert done.exit_code == 2
    assert "is a file" in done.stderr
