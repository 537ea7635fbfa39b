"""`llm-stream config`, as a person types it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.main import app

GOOD = """
[kafka]
bootstrap_servers = "broker.example.com:9092"
[providers.anthropic]
kind = "anthropic"
"""
TASK = {
    "task.toml": 'model = "anthropic:claude-haiku-4-5"\nactive = { v1 = 100 }\n',
    "contract.py": "from pydantic import BaseModel, ConfigDict\n"
    "class Base(BaseModel):\n    model_config = ConfigDict(extra='forbid', allow_inf_nan=False)\n"
    "class Input(Base):\n    text: str\nclass Output(Base):\n    topic: str\n",
    "v1.md": "# system\nYou name topics.\n\n# user\n<text>\n{{ text }}\n</text>\n",
}


@pytest.fixture
def llm_stream(monkeypatch):
    """The command line, in this process."""

    def run(folder: Path, *args: str, **environ: str):
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("LLM_STREAM", "ANTHROPIC"))]:
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, args)

    return run


@pytest.fixture
def project(tmp_path):
    (tmp_path / "llm-stream.toml").write_text(GOOD)
    task = tmp_path / "prompts" / "name-topic"
    task.mkdir(parents=True)
    for name, text in TASK.items():
        (task / name).write_text(text)
    return tmp_path


def test_check_of_a_right_project_ends_with_0_and_says_what_it_found(project, llm_stream):
    done = llm_stream(project, "config", "check", ANTHROPIC_API_KEY="sk-ant-test")
    assert (done.exit_code, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert [line[0] for line in lines] == ["✓"] * 3
    assert "task name-topic@v1#" in lines[1]
    assert lines[2] == "✓ provider anthropic: anthropic, its official address"


def test_check_says_that_a_key_is_missing_here_without_failing(project, llm_stream):
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 0
    assert "! providers.anthropic has no API key: the environment variable ANTHROPIC_API_KEY is not set." in done.stderr


def test_check_of_wrong_settings_ends_with_2_and_says_every_problem(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + "[worker]\nmax_in_fligt = 3\ndelivery = 'often'\n")
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "✗ worker.max_in_fligt (llm-stream.toml, line 7) is not known (did you mean max_in_flight?)." in done.stderr
    assert '✗ worker.delivery (llm-stream.toml, line 8) is "often"; it must be one of' in done.stderr
    assert done.stderr.endswith("Error: 2 problems to correct.\n")


def test_check_finds_a_mistyped_librdkafka_property_with_where_it_was_set_and_what_was_meant(project, llm_stream):
    done = llm_stream(project, "config", "check", LLM_STREAM__KAFKA__PROPERTIES__SASL_PASWORD="hunter2")
    assert done.exit_code == 2
    assert (
        '✗ kafka.properties."sasl.pasword" ($LLM_STREAM__KAFKA__PROPERTIES__SASL_PASWORD) is not a property of '
        "librdkafka (did you mean sasl.password?)."
    ) in done.stderr
    assert "hunter2" not in done.stderr


def test_check_finds_every_value_that_librdkafka_refuses(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + '[kafka.properties]\nlinger.ms = "soon"\nqwertz = 1\n')
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert '✗ kafka.properties."linger.ms" (llm-stream.toml, line 7) is refused by librdkafka: Invalid' in done.stderr
    assert "✗ kafka.properties.qwertz (llm-stream.toml, line 8) is not a property of librdkafka.\n" in done.stderr


def test_check_finds_a_property_that_may_not_be_set_and_a_mistyped_one_at_once(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + '[kafka.properties]\nacks = "1"\nlinger.mss = 5\n')
    done = llm_stream(project, "config", "check", LLM_STREAM__KAFKA__PROPERTIES__SASL_PASWORD="hunter2")
    assert "✗ kafka.properties.acks (llm-stream.toml, line 7) can't be set: " in done.stderr
    assert '✗ kafka.properties."linger.mss" (llm-stream.toml, line 8) is not a property of librdkafka' in done.stderr
    assert '✗ kafka.properties."sasl.pasword" ($LLM_STREAM__KAFKA' in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stderr.endswith("Error: 3 problems to correct.\n")


def test_check_finds_properties_that_do_not_go_together(project, llm_stream):
    done = llm_stream(project, "config", "check", LLM_STREAM__KAFKA__PROPERTIES__SECURITY_PROTOCOL="SASL_PLAINTEXT")
    assert done.exit_code == 2
    assert 'a login needs "sasl.mechanism"' in done.stderr
    assert done.stderr.endswith("Error: 1 problem to correct.\n")


def test_check_takes_properties_that_librdkafka_takes(project, llm_stream):
    (project / "llm-stream.toml").write_text(
        GOOD + '[kafka.properties]\n"linger.ms" = 20\n"sasl.mechanism" = "PLAIN"\n"security.protocol" = "SASL_SSL"\n'
        '"sasl.username" = "shop"\n'
    )
    done = llm_stream(project, "config", "check", LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD="hunter2")
    assert done.exit_code == 0, done.stderr


def test_check_says_what_is_wrong_in_the_settings_and_in_the_tasks_at_once(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + "[worker]\ndelivery = 'often'\n")
    shutil.copytree(project / "prompts" / "name-topic", project / "prompts" / "another")
    with (project / "prompts" / "another" / "task.toml").open("a") as toml:
        toml.write("[checks]\nempti = true\nplaceholder = 7\n")
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "✗ worker.delivery" in done.stderr
    assert "another/task.toml: checks.empti: there is no such check" in done.stderr
    assert "another/task.toml: checks.placeholder" in done.stderr
    assert "✓ task name-topic@v1#" in done.stderr
    assert done.stderr.endswith("Error: 3 problems to correct.\n")


def test_check_names_a_misspelt_provider_of_tasks_that_cannot_be_loaded_too(project, llm_stream):
    toml = 'model = "antropic:claude-haiku-4-5"\nmax_output_token = 9\nactive = { v1 = 90 }\n'
    (project / "prompts" / "name-topic" / "task.toml").write_text(toml)
    another = shutil.copytree(project / "prompts" / "name-topic", project / "prompts" / "another")
    (another / "task.toml").write_text('model = "anthropic:claude-haiku-4-5"\nactive = { v1 = 100 }\n')
    (another / "v1.md").write_text("---\nmodel: opnai:gpt-5\n---\nHello.\n")
    done = llm_stream(project, "config", "check")
    assert "name-topic/task.toml: max_output_token: there is no such key" in done.stderr
    assert "name-topic/task.toml: active: the shares (v1 = 90)" in done.stderr
    assert "Task name-topic (v1) calls the provider 'antropic', which isn't in the settings (did you" in done.stderr
    assert "another/v1.md line 4: text before the first heading" in done.stderr
    assert "Task another (v1) calls the provider 'opnai', which isn't in the settings" in done.stderr
    assert done.stderr.endswith("Error: 5 problems to correct.\n")


def test_check_of_a_table_that_stands_twice_says_so_in_the_words_of_toml(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + "[kafka]\n")
    done = llm_stream(project, "config", "check")
    assert "is not TOML: [kafka] is declared twice (at line 6" in done.stderr


def test_check_of_a_text_without_quotes_shows_its_line_and_what_is_missing(project, llm_stream):
    (project / "llm-stream.toml").write_text(GOOD + "[kafka.properties]\nclient.id = shop\n")
    done = llm_stream(project, "config", "check")
    assert (
        'is not TOML: Invalid value (at line 7, column 13): client.id = shop; text needs quotes: "shop".' in done.stderr
    )
    (project / "llm-stream.toml").write_text(GOOD + "[kafka.properties]\nsasl.password = hunter2\n")
    done = llm_stream(project, "config", "check")
    assert "is not TOML: Invalid value (at line 7, column 17); text needs quotes." in done.stderr
    assert "hunter2" not in done.stderr


def test_check_of_a_wrong_task_ends_with_2(project, llm_stream):
    (project / "prompts" / "name-topic" / "task.toml").write_text('model = "openai:gpt"\nactive = { v1 = 100 }\n')
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "calls the provider 'openai', which isn't in the settings (there are: anthropic)" in done.stderr


def test_check_of_a_task_that_cannot_be_loaded_ends_with_2(project, llm_stream):
    (project / "prompts" / "name-topic" / "v1.md").unlink()
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "there is no v1.md" in done.stderr


def test_what_a_contract_prints_does_not_spoil_data_on_stdout(project, llm_stream):
    contract = project / "prompts" / "name-topic" / "contract.py"
    shout = "@field_validator('topic')\n    def seen(cls, value):\n        print('checked')\n        return value\n"
    contract.write_text(f"from pydantic import field_validator\nprint('loaded')\n{contract.read_text()}    {shout}")
    done = llm_stream(project, "config", "check", "--json")
    assert json.loads(done.stdout)["ok"]
    assert "loaded" in done.stderr
    done = llm_stream(project, "try", "name-topic", '{"text": "Hi"}', "--json")
    assert json.loads(done.stdout)["outcome"]
    assert "checked" in done.stderr


def test_check_names_each_line_of_the_examples_that_is_no_request(project, llm_stream):
    examples = project / "prompts" / "name-topic" / "examples.jsonl"
    examples.write_text('{"input": {"text": "Hi"}}\n{"input": {}\n\n[1]\n')
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "✗ prompts/name-topic/examples.jsonl, line 2: Not JSON at column 13" in done.stderr
    assert "✗ prompts/name-topic/examples.jsonl, line 4: must be a JSON object" in done.stderr
    assert done.stderr.endswith("Error: 2 problems to correct.\n")


def test_check_counts_the_wrong_lines_of_an_examples_file_that_has_nothing_but_those(project, llm_stream):
    (project / "prompts" / "name-topic" / "examples.jsonl").write_text("no\n" * 1_500)
    done = llm_stream(project, "config", "check", "--json")
    problems = json.loads(done.stdout)["problems"]
    assert len(problems) == 11
    assert problems[-1].endswith("examples.jsonl: 1,490 more lines can't be read as requests.")


def test_check_says_what_is_wrong_with_examples_and_with_their_task_at_once(project, llm_stream):
    (project / "prompts" / "name-topic" / "examples.jsonl").write_text("no\n")
    (project / "prompts" / "name-topic" / "v1.md").unlink()
    done = llm_stream(project, "config", "check")
    assert "examples.jsonl, line 1" in done.stderr
    assert "there is no v1.md" in done.stderr


def test_check_of_an_examples_file_that_cannot_be_read_says_why(project, llm_stream):
    (project / "prompts" / "name-topic" / "examples.jsonl").mkdir()
    done = llm_stream(project, "config", "check")
    assert done.exit_code == 2
    assert "✗ prompts/name-topic/examples.jsonl can't be read: Is a directory." in done.stderr


def test_check_of_an_address_that_would_leak_the_key_ends_with_2(project, llm_stream):
    done = llm_stream(project, "config", "check", LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL="http://a.example.com")
    assert done.exit_code == 2
    assert "unencrypted" in done.stderr


def test_check_without_a_file_says_that_there_is_none_and_which_variables_are_set(tmp_path, llm_stream):
    done = llm_stream(
        tmp_path,
        "config",
        "check",
        LLM_STREAM__KAFKA__GROUP_ID="shop",
        LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD="hunter2",
    )
    assert done.stderr.splitlines()[0] == (
        "! There is no llm-stream.toml here: settings come from the defaults and 2 environment variables "
        "(LLM_STREAM__KAFKA__GROUP_ID, LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD). "
        "Is this the project's folder? -c FILE names a file elsewhere."
    )
    assert "hunter2" not in done.stderr


def test_check_says_that_there_is_no_file_also_where_the_variables_alone_make_no_sense(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "config", "check", LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL="http://127.0.0.1:8089")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "! There is no llm-stream.toml here: settings come from the defaults and 1 environment"
    )
    assert "✗ providers.anthropic: kind is missing" in done.stderr


def test_check_without_a_file_and_without_variables_says_that_all_is_at_its_default(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "config", "check")
    assert "There is no llm-stream.toml here, and no LLM_STREAM__... variable is set: every setting is" in done.stderr


def test_show_without_a_file_says_so(tmp_path, llm_stream):
    done = llm_stream(tmp_path, "config", "show", LLM_STREAM__KAFKA__GROUP_ID="shop")
    assert done.stderr.startswith("There is no llm-stream.toml here: settings come from the defaults and 1 environment")


def test_check_notes_a_model_that_may_be_mistyped_without_failing(project, llm_stream):
    task = project / "prompts" / "name-topic" / "task.toml"
    task.write_text(task.read_text().replace("claude-haiku-4-5", "claude-haiku-45"))
    done = llm_stream(project, "config", "check", ANTHROPIC_API_KEY="sk-ant-test")
    assert done.exit_code == 0
    assert "! Model anthropic:claude-haiku-45 has no price: what it costs will be unknown." in done.stderr
    assert "Did you mean claude-haiku-4-5?" in done.stderr


def test_check_names_variables_that_look_like_ours_and_are_not_read(project, llm_stream):
    done = llm_stream(project, "config", "check", LLM_STREAM_WORKER_MAX_IN_FLIGHT="3")
    assert done.exit_code == 2
    assert "LLM_STREAM_WORKER_MAX_IN_FLIGHT is not known (did you mean LLM_STREAM__WORKER__MAX_IN" in done.stderr
    done = llm_stream(project, "config", "check", LLM_STREAM_IMAGE="x")
    assert done.exit_code == 0
    assert "! LLM_STREAM_IMAGE is not read: " in done.stderr


def test_check_as_json(project, llm_stream):
    done = llm_stream(project, "config", "check", "--json", LLM_STREAM__AUDIT__RATE="2")
    assert done.exit_code == 2
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["problems"] == ["audit.rate ($LLM_STREAM__AUDIT__RATE) is 2.0; it must be a number from 0 to 1."]


def test_show_tells_value_and_source_and_masks_secrets(project, llm_stream):
    done = llm_stream(project, "config", "show", LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD="hunter2")
    assert done.exit_code == 0
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert rows["kafka.bootstrap_servers"].split("  ")[-1] == "llm-stream.toml, line 3"
    assert '"***"' in rows['kafka.properties."sasl.password"']
    assert rows["worker.max_in_flight"].endswith("default")
    assert "hunter2" not in done.stdout + done.stderr


def test_show_as_json(project, llm_stream):
    values = json.loads(llm_stream(project, "config", "show", "--json").stdout)["values"]
    assert values["kafka.bootstrap_servers"] == {
        "value": "broker.example.com:9092",
        "source": "llm-stream.toml, line 3",
    }


def test_schema_is_one_that_the_settings_are_valid_for(project, llm_stream):
    schema = json.loads(llm_stream(project, "config", "schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) >= {"kafka", "worker", "providers"}


def test_a_missing_file_ends_with_2_and_what_to_do(project, llm_stream):
    done = llm_stream(project, "config", "show", "-c", "other.toml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: There is no configuration file other.toml.")
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_reading_ends_it_quietly(project):
    command = f"{sys.executable} -m stream config show --json | true"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, shell=True, cwd=project, env=environ, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
