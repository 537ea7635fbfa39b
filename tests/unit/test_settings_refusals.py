"""What is refused in the settings, and that each refusal names key, place, reason and remedy, and no secret."""

import re
import tomllib
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from stream.settings import SettingsError, load
from stream.settings.checks import NOT_IN_THIS_VERSION
from stream.settings.properties import REFUSED, WELL_KNOWN, is_secret, why_refused
from stream.settings.shape import find, keys, spelled

SECRET = "s3cr3t-Value-0123456789"


def problems(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None) -> tuple[str, ...]:
    path = tmp_path / "llm-stream.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refusal:
        load(path, environ or {})
    assert SECRET not in str(refusal.value)
    return refusal.value.problems


TABLE = tomllib.loads(Path(__file__).with_name("settings_refusals.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", TABLE["file"], ids=lambda row: row["name"])
def test_a_file_that_cannot_work_is_refused_with_a_sentence(tmp_path, row):
    assert problems(tmp_path, row["text"]) == (row["says"],)


@pytest.mark.parametrize("row", TABLE["variable"], ids=lambda row: row["name"])
def test_a_variable_that_cannot_work_is_refused_with_a_sentence(tmp_path, row):
    assert re.sub(r" \(char \d+\)", "", "\n".join(problems(tmp_path, "", row["environ"]))) == row["says"]


@pytest.mark.parametrize(
    ("text", "subject"),
    [("", "The environment: "), ("[worker]\nmax_in_fligt = 1", "{file} and the environment: ")],
)
def test_what_a_variable_got_wrong_is_not_blamed_on_the_file_alone(tmp_path, text, subject):
    file = tmp_path / "llm-stream.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refusal:
        load(file, {"LLM_STREAM__TOPICS__REQUESTS": "nope"})
    assert str(refusal.value).startswith(subject.format(file=file))


def test_a_secret_in_the_file_is_the_files_fault_though_the_remedy_names_a_variable(tmp_path):
    file = tmp_path / "llm-stream.toml"
    file.write_text('[kafka.properties]\n"sasl.password" = "x"')
    with pytest.raises(SettingsError) as refusal:
        load(file, {})
    assert str(refusal.value).startswith(f"{file}: ")


@pytest.mark.parametrize("name", REFUSED)
def test_a_property_that_would_break_delivery_is_refused_by_name_with_the_reason(tmp_path, name):
    (problem,) = problems(tmp_path, f'[kafka.properties]\n"{name}" = "x"')
    assert (
        problem == f"{spelled(('kafka', 'properties', name))} (llm-stream.toml, line 2) can't be set: {REFUSED[name]}."
    )


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_a_property_that_is_suggested_exists_and_may_be_set(name):
    assert why_refused(name) is None
    assert "No such" not in refused_by_librdkafka(name)


def refused_by_librdkafka(name: str) -> str:
    try:
        Producer({"log_level": 0, name: ""})
    except KafkaException as error:
        return str(error.args[0].str())
    return ""


@pytest.mark.parametrize("name", ["rebalance_cb", "error_cb", "ssl.certificate.verify_cb", "partitioner_cb"])
def test_callbacks_are_refused(tmp_path, name):
    (problem,) = problems(tmp_path, f'[kafka.properties]\n"{name}" = "x"')
    assert "only be set by a program" in problem


def test_the_properties_that_hold_secrets_are_known():
    secret = {"sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.config"}
    secret |= {"sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.secret"}
    secret |= {"sasl.oauthbearer.assertion.private.key.pem", "sasl.oauthbearer.assertion.private.key.passphrase"}
    public = {"sasl.username", "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.location", "sasl.oauthbearer.client.id"}
    assert {name for name in secret | public if is_secret(name)} == secret


OTHER_VALUES = {"string": "consumer", "integer": 7, "number": 0.5}


@pytest.mark.parametrize("path", NOT_IN_THIS_VERSION, ids=spelled)
def test_a_key_that_is_not_built_yet_is_refused_unless_it_stands_at_its_default(tmp_path, path):
    path = tuple("a" if name == "*" else name for name in path)
    key = find(path)
    start = '[providers.a]\nkind = "openai"\n' if path[0] == "providers" else ""
    value = OTHER_VALUES[key.kind]
    (problem,) = problems(tmp_path, f"{start}[{'.'.join(path[:-1])}]\n{path[-1]} = {value!r}")
    assert (
        f"{'.'.join(path)} (llm-stream.toml, line {3 + bool(start) * 1 - 1 + bool(start)}) is not in this version"
        in problem
    )
    if key.default is not None:
        (tmp_path / "llm-stream.toml").write_text(f"{start}[{'.'.join(path[:-1])}]\n{path[-1]} = {key.default!r}")
        assert load(tmp_path / "llm-stream.toml", {}).settings


def test_the_table_of_keys_not_built_yet_names_keys_that_exist():
    assert set(NOT_IN_THIS_VERSION) <= {path for path, _ in keys()}
