"""What a command says when a real Kafka turns it away: the cause in words, what to do, and no secret."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.core.errors import DependencyError
from stream.kafka import admin, clients, reading
from stream.kafka.local import free_port
from stream.kafka.sending import deliver
from stream.settings import Settings
from tests.support.command_line import CommandLine
from tests.support.guarded_kafka import PASSWORD, USER, GuardedKafka, guarded_kafka

ASKED_FOR_S = 2.0
"""For answers that only time tells; where a broker says no, it is known sooner."""

PATIENTLY_S = 30.0
UNKNOWN_HOST = "no-such-host..invalid"  # two dots: refused by the resolver itself, with or without a network
WRONG_PASSWORD = "wrong-password"
LOGIN = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": USER}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded")) as running:
        yield running


def settings_at(where: str, **properties: str) -> Settings:
    named = {name.replace("__", "."): value for name, value in properties.items()}
    return Settings.model_validate({"kafka": {"bootstrap_servers": where, "properties": named}})


def told(where: str, timeout_s: float = ASKED_FOR_S, **properties: str) -> str:
    """What a command would say."""
    with pytest.raises(DependencyError) as raised:
        admin.broker_count(settings_at(where, **properties), timeout_s)
    return str(raised.value)


def test_nobody_listens(guarded: GuardedKafka):
    nobody = f"127.0.0.1:{free_port()}"
    said = told(nobody)
    assert said.startswith(f"No Kafka broker answered at {nobody}: Connection refused. Is Kafka running there")
    assert "LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS" in said


def test_a_host_name_that_nobody_knows():
    said = told(f"{UNKNOWN_HOST}:9092")
    assert f"this machine does not know the host {UNKNOWN_HOST} (" in said
    assert "bootstrap_servers" in said


def test_tls_spoken_to_a_plaintext_port(guarded: GuardedKafka):
    said = told(guarded.plain, PATIENTLY_S, security__protocol="SSL")
    assert 'the port does not speak TLS, but "security.protocol" is SSL. Set it to PLAINTEXT' in said


def test_a_login_over_tls_spoken_to_a_port_without_tls(guarded: GuardedKafka):
    properties = {**LOGIN, "security.protocol": "SASL_SSL", "sasl.password": PASSWORD}
    assert "Set it to SASL_PLAINTEXT" in told(guarded.login, PATIENTLY_S, **properties)


@pytest.mark.parametrize("port", ["tls", "login"])
def test_plaintext_spoken_to_a_port_that_wants_more(guarded: GuardedKafka, port: str):
    said = told(getattr(guarded, port))
    assert "closes it without a word. The port may want TLS or a login" in said
    assert '"security.protocol" under [kafka.properties] (it is PLAINTEXT)' in said


def test_a_certificate_that_nobody_trusts(guarded: GuardedKafka):
    said = told(guarded.tls, PATIENTLY_S, security__protocol="SSL")
    assert "the broker's certificate could not be verified" in said
    assert '"ssl.ca.location"' in said


def test_a_broker_that_wants_a_certificate_of_ours(guarded: GuardedKafka):
    certificate = {"ssl.ca.location": str(guarded.certificate)}
    said = told(guarded.two_way_tls, PATIENTLY_S, security__protocol="SSL", **certificate)
    assert "wants one and got none" in said
    assert '"ssl.certificate.location"' in said


def test_with_the_right_certificate_and_the_right_password_it_answers(guarded: GuardedKafka):
    trusting = {"security.protocol": "SSL", "ssl.ca.location": str(guarded.certificate)}
    assert admin.broker_count(settings_at(guarded.tls, **trusting)) == 1
    assert admin.broker_count(settings_at(guarded.login, **LOGIN, **{"sasl.password": PASSWORD})) == 1


def test_a_login_at_a_port_that_takes_none(guarded: GuardedKafka):
    said = told(guarded.plain, PATIENTLY_S, **LOGIN, **{"sasl.password": PASSWORD})
    assert 'that port takes no logins, and "security.protocol" is SASL_PLAINTEXT' in said


def test_a_login_of_another_kind_than_the_broker_takes(guarded: GuardedKafka):
    said = told(guarded.login, PATIENTLY_S, **{**LOGIN, "sasl.mechanism": "SCRAM-SHA-256", "sasl.password": PASSWORD})
    assert 'no logins of the kind SCRAM-SHA-256, but of these: PLAIN. Set "sasl.mechanism"' in said


def test_a_wrong_password_is_said_at_once_and_not_shown(guarded: GuardedKafka, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD", WRONG_PASSWORD)
    for name, value in LOGIN.items():
        monkeypatch.setenv(f"LLM_STREAM__KAFKA__PROPERTIES__{name.replace('.', '_').upper()}", value)
    llm_stream = CommandLine(tmp_path, settings_at(guarded.login))
    for command in (["topics", "check"], ["lag"], ["tail", "results"], ["send", "greet"], ["reconcile"]):
        started_s = time.monotonic()
        ran = llm_stream(*command, stdin="{}")
        assert time.monotonic() - started_s < clients.BROKER_WAIT_S / 2, f"{command} waited although it had an answer"
        assert ran.exit_code == 3
        start = f"Error: Kafka at {guarded.login} does not let us in: the login failed (Authentication failed"
        assert ran.stderr.startswith(start), command
        assert '"sasl.password"' in ran.stderr
        assert WRONG_PASSWORD not in ran.stderr + ran.stdout


def test_a_broker_that_sends_us_on_to_a_host_that_nobody_knows(guarded: GuardedKafka):
    with pytest.raises(DependencyError) as raised:
        admin.describe(settings_at(guarded.elsewhere), ["llm.requests"], ASKED_FOR_S)
    said = str(raised.value)
    assert f"Kafka at {guarded.elsewhere} sends us on to {UNKNOWN_HOST}:" in said
    assert '"advertised.listeners"' in said


def test_every_client_says_the_same(guarded: GuardedKafka, monkeypatch):
    monkeypatch.setattr(clients, "_ASK_AGAIN_S", (0.5,))
    settings = settings_at(guarded.login, **LOGIN, **{"sasl.password": WRONG_PASSWORD})
    said = set()
    for asks in (
        lambda: admin.broker_count(settings),
        lambda: reading.spans(settings, ["llm.requests"]),
        lambda: deliver(settings, [], lambda _: None),
    ):
        with pytest.raises(DependencyError) as raised:
            asks()
        said.add(str(raised.value))
    assert len(said) == 1
