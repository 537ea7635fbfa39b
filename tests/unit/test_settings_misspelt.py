"""Variables that look like ours: what is nearly one is refused, what somebody else's may be is only noted."""

import re
from pathlib import Path

import pytest

from stream.settings import Settings, SettingsError, load
from stream.settings.misspelt import SINGLE, misspelt, unread

PACKAGE = Path(__file__).parents[2] / "stream"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("LLM_STREAM_WORKER_MAX_IN_FLIGHT", "LLM_STREAM__WORKER__MAX_IN_FLIGHT"),
        ("LLM_STREAM_WORKER_MAX_INFLIGHT", "LLM_STREAM__WORKER__MAX_IN_FLIGHT"),
        ("LLM_STREAM_MAX_IN_FLIGHT", "LLM_STREAM__WORKER__MAX_IN_FLIGHT"),
        ("LLM_STREAM_WORKR__MAX_IN_FLIGHT", "LLM_STREAM__WORKER__MAX_IN_FLIGHT"),
        ("LLM_STREAM_KAFKA_BOOTSTRAP_SERVERS", "LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS"),
        ("LLM_STREAM_KAFKA_PROPERTIES_SASL_PASSWORD", "LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD"),
        ("LLM_STREAM_PROVIDERS_ANTHROPIC_BASE_URL", "LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL"),
        ("LLM_STREAM_TELEMETRY_PORT", "LLM_STREAM__TELEMETRY__PORT"),
        ("LLM_STREAM_PRICES", "LLM_STREAM__PRICES"),
        ("LLM_STREAM_CONFG", "LLM_STREAM_CONFIG"),
        ("LLM_STREAM_DEBUGG", "LLM_STREAM_DEBUG"),
    ],
)
def test_a_variable_that_nearly_is_one_of_ours_is_refused_with_what_was_meant(tmp_path, monkeypatch, variable, meant):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as refusal:
        load(None, {variable: "3"})
    assert refusal.value.problems == (f"{variable} is not known (did you mean {meant}?).",)
    assert str(refusal.value).startswith(("The settings", "The environment"))


@pytest.mark.parametrize("variable", ["LLM_STREAM_IMAGE", "LLM_STREAM_CFG", "LLM_STREAM_TEAM_OF_MINE"])
def test_a_variable_that_resembles_none_may_be_somebody_elses_and_is_noted(variable):
    assert list(misspelt({variable: "x"})) == []
    (note,) = unread({variable: "x"})
    assert note.startswith(f"{variable} is not read: settings are LLM_STREAM__SECTION__KEY")


SERVICE = {
    "LLM_STREAM_SERVICE_HOST": "10.0.0.1",
    "LLM_STREAM_SERVICE_PORT": "9464",
    "LLM_STREAM_SERVICE_PORT_METRICS": "9464",
    "LLM_STREAM_PORT": "tcp://10.0.0.1:9464",
    "LLM_STREAM_PORT_9464_TCP": "tcp://10.0.0.1:9464",
    "LLM_STREAM_PORT_9464_TCP_ADDR": "10.0.0.1",
    "LLM_STREAM_TELEMETRY_PORT": "tcp://10.0.0.1:9464",
    "LLM_STREAM_TELEMETRY_SERVICE_HOST": "10.0.0.1",
}


@pytest.mark.parametrize("environ", [SERVICE, dict.fromkeys(SINGLE, "1"), {"LLM_STREAM__WORKER__START": "latest"}])
def test_what_kubernetes_says_of_services_and_what_we_read_is_left_alone(environ):
    assert [*misspelt(environ), *unread(environ)] == []


def test_a_variable_that_the_settings_name_for_a_key_is_left_alone(tmp_path):
    file = tmp_path / "llm-stream.toml"
    file.write_text("[providers.openai]\nkind = 'openai'\napi_key_env = 'LLM_STREAM_PROVIDERS_OPENAI_API_KEY_FILE'")
    assert load(file, {"LLM_STREAM_PROVIDERS_OPENAI_API_KEY_FILE": "sk"}).settings != Settings()


def test_every_single_variable_that_the_code_reads_is_known():
    code = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py") if file.name != "misspelt.py")
    assert set(re.findall(r"LLM_STREAM_[A-Z]+(?:_[A-Z]+)*(?!_)", code)) == set(SINGLE)
