"""`bootstrap_servers` that no broker can be found by are refused, with the form they must have."""

import pytest
from typer.testing import CliRunner

from stream.cli.main import app
from stream.settings import SettingsError, load
from stream.settings.servers import trouble


@pytest.mark.parametrize(
    "servers",
    [
        "localhost:9092",
        "a:1,b.example.com:65535",
        "my_kafka-0.svc.cluster.local:9092",
        "[::1]:9092",
        "10.0.0.1:09092",
        "a:9092, b:9092",
    ],
)
def test_hosts_with_ports_are_taken(servers):
    assert trouble(servers) is None


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        (
            "http://localhost:9092",
            'without "http://" ("security.protocol" under [kafka.properties] says how to connect)',
        ),
        ("localhost", '"localhost" has no port'),
        ("a:9092,b", '"b" has no port'),
        ("localhost:", '"localhost:" has no port, or is no host'),
        ("::1", '"::1" has no port, or is no host'),
        ("localhost:90920", "90920 is no port (they go from 1 to 65,535)"),
        ("localhost:0", "0 is no port (they go from 1 to 65,535)"),
        ("localhost 9092", "no spaces"),
        ("a:9092,", "a comma too many"),
        ("a:9092\n", "no spaces"),
    ],
)
def test_what_is_no_host_with_a_port_is_named_with_the_right_form(servers, why):
    told = trouble(servers)
    assert told is not None
    assert told.endswith(f"; it must be host:port, several with commas: {why}")


@pytest.mark.parametrize("servers", ["https://me:secret-1@a:9092", "me:secret-1@a:9092"])
def test_a_password_in_it_is_not_repeated(servers):
    told = trouble(servers)
    assert told is not None
    assert "secret-1" not in told


def test_the_settings_name_the_key_and_its_place(tmp_path):
    file = tmp_path / "llm-stream.toml"
    file.write_text('[kafka]\nbootstrap_servers = "localhost"')
    with pytest.raises(SettingsError) as refusal:
        load(file, {})
    (problem,) = refusal.value.problems
    assert problem.startswith(
        'kafka.bootstrap_servers (llm-stream.toml, line 2) is "localhost"; it must be host:port, '
    )


def test_the_demo_refuses_such_an_address_at_once():
    done = CliRunner().invoke(app, ["demo", "--kafka", "http://localhost:9092"])
    assert done.exit_code == 2
    assert 'Error: --kafka is "http://localhost:9092"; it must be host:port' in done.stderr
