"""Reading the settings: which file, what the environment adds, where each value came from."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from stream.core.errors import ConfigError
from stream.settings import Loaded, Settings, SettingsError, load


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str, name: str = "llm-stream.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(environ: dict[str, str] | None = None, path: Path | None = None) -> Loaded:
    return load(path, environ or {})


def test_without_a_file_everything_is_at_its_default(project):
    result = loaded()
    assert result.settings == Settings()
    assert result.file is None
    assert result.source(("worker", "max_in_flight")) == "default"


def test_the_file_named_wins_over_the_variable_and_that_over_the_current_directory(project):
    written(project, "[kafka]\ngroup_id = 'here'")
    by_variable = written(project, "[kafka]\ngroup_id = 'variable'", "b.toml")
    named = written(project, "[kafka]\ngroup_id = 'named'", "c.toml")
    environ = {"LLM_STREAM_CONFIG": str(by_variable)}
    assert loaded().settings.kafka.group_id == "here"
    assert loaded(environ).settings.kafka.group_id == "variable"
    assert loaded(environ, named).settings.kafka.group_id == "named"


@pytest.mark.parametrize("environ", [{}, {"LLM_STREAM_CONFIG": "missing.toml"}])
def test_a_named_file_that_is_not_there_is_an_error_that_says_what_to_do(project, environ):
    with pytest.raises(ConfigError, match=r"no configuration file missing\.toml.*llm-stream init"):
        load(None if environ else Path("missing.toml"), environ)


def test_a_directory_in_the_files_place_is_an_error(project):
    with pytest.raises(ConfigError, match=r"can't be read"):
        load(project, {})


def test_a_syntax_error_names_its_line(project):
    path = written(project, "[kafka]\n\ngroup_id = \n")
    with pytest.raises(ConfigError, match=r"llm-stream\.toml is not TOML: .*line 3"):
        loaded(path=path)


def test_a_file_that_is_not_utf_8_is_an_error(project):
    (project / "llm-stream.toml").write_bytes(b'[kafka]\ngroup_id = "\xff"')
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 21\)"):
        loaded()


def test_a_byte_order_mark_is_no_error(project):
    (project / "llm-stream.toml").write_bytes(b'\xef\xbb\xbf[kafka]\ngroup_id = "g"')
    assert loaded().settings.kafka.group_id == "g"


def test_each_value_knows_its_source(project):
    written(
        project,
        '# x\n[worker]\nmax_in_flight = 16\ncommit_interval_ms = 50\n[kafka.properties]\nsasl.mechanism = "PLAIN"',
    )
    result = loaded({"LLM_STREAM__WORKER__COMMIT_INTERVAL_MS": "70"})
    assert result.source(("worker", "max_in_flight")) == "llm-stream.toml, line 3"
    assert result.source(("worker", "commit_interval_ms")) == "$LLM_STREAM__WORKER__COMMIT_INTERVAL_MS"
    assert result.source(("kafka", "properties", "sasl.mechanism")) == "llm-stream.toml, line 6"
    assert result.source(("worker", "ordering")) == "default"
    assert result.settings.worker.commit_interval_ms == 70


def test_every_kind_of_value_can_come_from_the_environment(project):
    result = loaded(
        {
            "LLM_STREAM__WORKER__MAX_IN_FLIGHT": "7",
            "LLM_STREAM__WORKER__DRAIN_TIMEOUT_S": "1.5",
            "LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS": "a:1,b:2",
            "LLM_STREAM__TOPICS__REQUESTS": '["a", "b"]',
            "LLM_STREAM__TOPICS__REPLICATION_FACTOR": "",
            "LLM_STREAM__TOPICS__RETENTION_HOURS__DLQ": "24",
            "LLM_STREAM__PRICES": '{"p:m": {"input_usd": 3, "output_usd": 15.5}}',
            "LLM_STREAM__PROVIDERS": '{"p": {"kind": "openai", "base_url": "https://a.example.com"}}',
            "LLM_STREAM__PROVIDERS__P__INSECURE": "True",
            "LLM_STREAM__PROVIDERS__P__POOLS__MAIN__MODELS": '["m*"]',
        }
    ).settings
    assert (result.worker.max_in_flight, result.worker.drain_timeout_s) == (7, 1.5)
    assert (result.kafka.bootstrap_servers, result.topics.requests) == ("a:1,b:2", ["a", "b"])
    assert (result.topics.replication_factor, result.topics.retention_hours.dlq) == (None, 24)
    assert result.prices["p:m"].output_usd == 15.5
    assert (result.providers["p"].insecure, result.providers["p"].base_url) == (True, "https://a.example.com")
    assert result.providers["p"].pools["main"].models == ["m*"]


def test_a_provider_of_the_file_is_found_by_its_name_in_a_variable(project):
    written(project, '[providers.My-Server]\nkind = "openai"')
    result = loaded({"LLM_STREAM__PROVIDERS__MY_SERVER__BASE_URL": "https://a.example.com"})
    assert result.settings.providers["My-Server"].base_url == "https://a.example.com"
    assert list(result.settings.providers) == ["My-Server"]


def test_a_provider_can_be_made_by_variables_alone(project):
    result = loaded({"LLM_STREAM__PROVIDERS__LOCAL__KIND": "openai"})
    assert result.settings.providers["local"].kind == "openai"


def test_a_librdkafka_property_may_stand_with_or_without_quotes(project):
    written(project, '[kafka.properties]\n"security.protocol" = "SSL"\nssl.ca.location = "/ca.pem"\nlinger.ms = 2')
    properties = loaded({"LLM_STREAM__KAFKA__PROPERTIES__SOCKET_KEEPALIVE_ENABLE": "true"}).settings.kafka.properties
    assert properties == {
        "security.protocol": "SSL",
        "ssl.ca.location": "/ca.pem",
        "linger.ms": 2,
        "socket.keepalive.enable": "true",
    }


def test_a_secret_comes_from_the_environment_hidden(project):
    result = loaded({"LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD": "hunter2"})
    assert result.settings.kafka.properties == {"sasl.password": SecretStr("hunter2")}
    assert "hunter2" not in repr(result)


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_secret_is_read_from_a_file(project, by_environment):
    written(project, "hunter2\n", "secret")
    text = "" if by_environment else '[kafka.properties]\n"ssl.key.password_file" = "secret"'
    written(project, text)
    environ = {"LLM_STREAM__KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE": "secret"} if by_environment else {}
    result = loaded(environ)
    assert result.settings.kafka.properties == {"ssl.key.password": SecretStr("hunter2")}
    assert result.source(("kafka", "properties", "ssl.key.password")).startswith("file ")


def test_relative_paths_of_the_file_are_looked_for_beside_it(project, tmp_path):
    (tmp_path / "conf" / "prompts").mkdir(parents=True)
    path = written(tmp_path / "conf", '[providers.a]\nkind = "openai"\napi_key_file = "key"')
    settings = loaded(path=path).settings
    assert settings.tasks.path == str(tmp_path / "conf" / "prompts")
    assert settings.providers["a"].api_key_file == str(tmp_path / "conf" / "key")


def test_relative_paths_that_are_only_in_the_current_directory_are_found_there(project, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "prompts").mkdir()
    path = written(tmp_path / "conf", '[tasks]\npath = "prompts"')
    assert loaded(path=path).settings.tasks.path == "prompts"


def test_paths_of_the_environment_count_from_the_current_directory(project, tmp_path):
    (tmp_path / "conf" / "prompts").mkdir(parents=True)
    path = written(tmp_path / "conf", "")
    assert loaded({"LLM_STREAM__TASKS__PATH": "prompts"}, path).settings.tasks.path == "prompts"


def test_other_variables_are_left_alone(project):
    assert (
        loaded({"LLM_STREAM_DEBUG": "1", "LLM_STREAM_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}).settings == Settings()
    )


def test_all_problems_are_said_at_once(project):
    written(project, "[worker]\nmax_in_flight = 0\nordring = 'key'\n[nope]\nx = 1")
    with pytest.raises(SettingsError) as refusal:
        loaded({"LLM_STREAM__WORKER__START": "middle"})
    assert len(refusal.value.problems) == 4
    assert "4 problems:" in str(refusal.value)


def test_a_table_of_which_only_the_environment_speaks_makes_one_ask_for_the_folder(project):
    """As in a terminal where a project's variables are set, in another folder."""
    with pytest.raises(
        SettingsError, match=r"Only \$LLM_STREAM__PROVIDERS__MAIN__BASE_URL speaks of it: is this .* unset it"
    ):
        loaded({"LLM_STREAM__PROVIDERS__MAIN__BASE_URL": "http://127.0.0.1:8089"})
    written(project, "[providers.main]\nbase_url = 'http://127.0.0.1:8089'")
    with pytest.raises(SettingsError) as caught:
        loaded()
    assert "is this the project's folder" not in str(caught.value)


@pytest.mark.parametrize("written_as", ["antropic", "anthropics"])
def test_a_provider_that_the_file_spells_otherwise_than_a_variable_makes_one_look_at_the_names(project, written_as):
    written(project, f"[providers.{written_as}]\nkind = 'anthropic'\n[providers.openai]\nkind = 'openai'")
    with pytest.raises(SettingsError) as caught:
        loaded({"LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL": "http://127.0.0.1:8089"})
    (problem,) = caught.value.problems
    assert problem.endswith(
        "Only $LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL speaks of it, and the file has "
        f"[providers.{written_as}]: is one of the two misspelt?"
    )


def test_where_a_tables_name_is_not_known_nobody_is_asked_for_the_folder(project):
    written(project, "[provider.anthropic]\nkind = 'anthropic'")
    with pytest.raises(SettingsError) as caught:
        loaded({"LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL": "http://127.0.0.1:8089"})
    unknown, missing = caught.value.problems
    assert unknown.endswith("is not known (did you mean providers?).")
    assert missing.endswith("Only $LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL speaks of it.")
