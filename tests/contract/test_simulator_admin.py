"""The simulator's own surface: what it refuses, the ledger, faults replaced while it runs, the command."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from typer.testing import CliRunner

from stream.cli.simulator import simulator
from stream.core.errors import ConfigError
from stream.simulator import Simulator
from stream.simulator.ledger import key_mark
from stream.simulator.storms import STORMS

ASK: dict[str, Any] = {
    "model": "m",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hello, is it working?"}],
}
FIELDS = ["n", "at_s", "key", "model", "request_id", "status", "fault", "input_tokens", "output_tokens"]

command = typer.Typer()
command.command()(simulator)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(latency_ms=0) as running:
        yield running


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sim.base_url, headers={"x-api-key": "a-key"}) as session:
        yield session


async def post(client: aiohttp.ClientSession, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(path, data=io.BytesIO(data), headers=headers) as got:
        text = await got.text()
        return got.status, json.loads(text) if text else None


async def ledger(client: aiohttp.ClientSession, query: str = "") -> list[dict[str, Any]]:
    async with client.get(f"/admin/ledger{query}") as got:
        return [json.loads(line) for line in (await got.text()).splitlines()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "at least one message"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "needs a type"),
        ({"model": None}, "model"),
        ({"tools": "all"}, "tools"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "not among the tools"),
        ({"tool_choice": {"type": "any"}, "tools": [{"name": "x"}]}, "JSON Schema"),
        ({"output_config": {"format": {"type": "yaml"}}}, "output_config"),
    ],
)
async def test_a_bad_messages_request_is_refused_as_the_real_one_would(
    client: aiohttp.ClientSession, changes: Any, words: str
) -> None:
    status, body = await post(client, "/v1/messages", {**ASK, **changes})
    assert (status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert words in body["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"messages": []}, "at least one message"),
        ({"n": 2}, "one choice"),
        ({"response_format": {"type": "json_schema"}}, "json_schema.name"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tool_choice": "required"}, "not among the tools"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ],
)
async def test_a_bad_completions_request_is_refused_as_the_real_one_would(
    client: aiohttp.ClientSession, changes: Any, words: str
) -> None:
    status, body = await post(client, "/v1/chat/completions", {**ASK, **changes}, authorization="Bearer k")
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert words in body["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"model": NaN}'])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_what_is_not_a_json_object_is_a_bad_request(
    client: aiohttp.ClientSession, path: str, body: bytes
) -> None:
    assert (await post(client, path, body, authorization="Bearer k"))[0] == 400


async def test_a_call_without_a_key_is_unauthorised(sim: Simulator) -> None:
    async with aiohttp.ClientSession(sim.base_url) as anonymous:
        status, body = await post(anonymous, "/v1/messages", ASK)
        assert (status, body["error"]["type"]) == (401, "authentication_error")
        status, body = await post(anonymous, "/v1/chat/completions", ASK)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert [call.key for call in sim.ledger] == [None, None]


async def test_a_body_of_five_megabytes_is_taken_and_one_over_32_is_not(client: aiohttp.ClientSession) -> None:
    large = {**ASK, "messages": [{"role": "user", "content": "x" * 5_000_000}]}
    assert (await post(client, "/v1/messages", large))[0] == 200
    status, body = await post(client, "/v1/messages", b" " * (32 * 1024 * 1024 + 1))
    assert (status, body["error"]["type"]) == (413, "request_too_large")


async def test_the_ledger_tells_every_call(client: aiohttp.ClientSession) -> None:
    await post(client, "/v1/messages", ASK)
    await post(client, "/v1/messages", {**ASK, "metadata": {"user_id": "order-1"}})
    await post(client, "/chat/completions", {**ASK, "user": "order-2"}, authorization="Bearer other-key")
    await post(client, "/v1/messages", b"{", **{"x-client-request-id": "order-3"})
    calls = await ledger(client)
    assert all(list(call) == FIELDS for call in calls)
    assert [call["n"] for call in calls] == [1, 2, 3, 4]
    assert calls[0]["at_s"] == 0.0
    assert calls[0]["request_id"].startswith("req_")
    assert [call["request_id"] for call in calls[1:3]] == ["order-1", "order-2"]
    assert [call["key"] for call in calls] == [key_mark(key) for key in ("a-key", "a-key", "other-key", "a-key")]
    assert [call["status"] for call in calls] == [200, 200, 200, 400]
    assert [call["input_tokens"] > 0 for call in calls] == [True, True, True, False]
    assert "a-key" not in json.dumps(calls)
    assert [call["n"] for call in await ledger(client, "?after=3")] == [4]


async def test_faults_can_be_replaced_while_it_runs(client: aiohttp.ClientSession) -> None:
    assert (await post(client, "/v1/messages", ASK))[0] == 200
    script = {"fault": [{"kind": "overload", "to_call": 1}]}
    assert await post(client, "/admin/faults", script) == (200, script)
    async with client.get("/admin/faults") as shown:
        assert await shown.json() == script
    statuses = [(await post(client, "/v1/messages", ASK))[0] for _ in range(2)]
    assert statuses == [529, 200], "calls of a new script are counted from its first"


async def test_a_mistake_in_posted_faults_is_named_and_changes_nothing(client: aiohttp.ClientSession) -> None:
    await post(client, "/admin/faults", {"fault": [{"kind": "overload"}]})
    for wrong in ({"fault": [{"kind": "hnag"}]}, [], b"{"):
        status, body = await post(client, "/admin/faults", wrong)
        assert status == 400
        assert body["error"]
    assert (await post(client, "/v1/messages", ASK))[0] == 529


async def test_a_reset_starts_everything_over(client: aiohttp.ClientSession) -> None:
    await post(client, "/admin/faults", {"fault": [{"kind": "overload", "limit": 1}]})
    first = [(await post(client, "/v1/messages", ASK))[0] for _ in range(2)]
    assert (await post(client, "/admin/reset", b""))[0] == 204
    assert await ledger(client) == []
    assert [(await post(client, "/v1/messages", ASK))[0] for _ in range(2)] == first == [529, 200]
    assert [call["n"] for call in await ledger(client)] == [1, 2]


async def test_other_paths_are_not_found_and_say_so(client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as healthy:
        assert await healthy.json() == {"status": "ok"}
    status, body = await post(client, "/v1/responses", ASK)
    assert status == 404
    assert "/v1/responses is not simulated" in body["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/v1/v1/chat/completions"])
async def test_a_base_url_with_a_v1_too_many_is_named_as_the_likely_cause(
    client: aiohttp.ClientSession, path: str
) -> None:
    status, body = await post(client, path, ASK)
    assert status == 404
    assert body["error"]["message"] == (
        f"POST {path} is not simulated: is base_url right? An Anthropic one must not end in /v1, an OpenAI one must; "
        "see docs/simulator.md."
    )


async def test_a_port_that_is_taken_is_said_plainly(sim: Simulator) -> None:
    with pytest.raises(ConfigError, match=rf"can't listen on 127.0.0.1:{sim.port}"):
        await Simulator(port=sim.port).start()


async def test_closing_ends_calls_that_hang_and_may_be_done_twice() -> None:
    sim = Simulator(script=[{"kind": "hang"}], latency_ms=0)
    await sim.start()
    async with aiohttp.ClientSession(sim.base_url, headers={"x-api-key": "k"}) as client:
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            await client.post("/v1/messages", json=ASK, timeout=aiohttp.ClientTimeout(total=0.1))
        await sim.close()
        await sim.close()


def test_a_wrong_script_is_refused_when_embedded() -> None:
    with pytest.raises(ConfigError, match="unknown kind `nothing`"):
        Simulator(script=[{"kind": "nothing"}])


def test_the_command_ends_with_two_and_names_the_mistake(tmp_path: Path) -> None:
    script = tmp_path / "bad.toml"
    script.write_text('[[fault]]\nkind = "hang"\n[[fault]]\nkind = "cut"\nform_s = 3\n')
    result = CliRunner().invoke(command, ["--script", str(script)])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The script can't be used: ")
    for words in ("bad.toml", "[[fault]] 2", "unknown key `form_s`", "(did you mean `from_s`?).\n"):
        assert words in result.output


def test_a_storm_and_a_script_together_are_a_mistake(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--storm", "cut", "--script", str(tmp_path / "any.toml")])
    assert result.exit_code == 2
    assert "--storm and --script are both given" in result.stderr
    assert "Leave one of them out." in " ".join(result.stderr.split())


def test_an_unknown_storm_ends_with_two_and_names_those_there_are() -> None:
    result = CliRunner().invoke(command, ["--storm", "bad-nigth"])
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert told.startswith("Error: --storm: There is no storm `bad-nigth` (did you mean `bad-night`?); one of cut,")
    assert all(name in told for name in STORMS)


def test_the_help_shows_every_storm() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())
    for row in STORMS.values():
        assert f"{row.name} {row.does.replace('`', '')}" in text


def test_the_command_says_which_storm_it_plays() -> None:
    arguments = [sys.executable, "-c", "import typer; from stream.cli.simulator import simulator; typer.run(simulator)"]
    running = subprocess.Popen([*arguments, "--port", "0", "--storm", "bad-night"], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    line = running.stderr.readline()
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=30)
    assert "(storm bad-night: 3 faults, 1 quota, 1 cut)" in line


def test_the_command_ends_with_two_if_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command, ["--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: The simulator can't listen on 127.0.0.1:{port}")
    assert "--port 0" in result.output


def test_the_command_says_where_it_is_and_ends_with_zero_on_sigterm() -> None:
    arguments = [sys.executable, "-c", "import typer; from stream.cli.simulator import simulator; typer.run(simulator)"]
    running = subprocess.Popen([*arguments, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    line = running.stderr.readline()
    os.kill(running.pid, signal.SIGTERM)
    _, rest = running.communicate(timeout=30)
    assert line.startswith("simulator at http://127.0.0.1:")
    assert 'base_url = "http://127.0.0.1:' in line
    assert "/v1" in line
    assert (running.returncode, rest) == (0, "")


def test_at_a_terminal_the_line_that_says_where_it_is_fits_80_columns() -> None:
    terminal = {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"}
    arguments = [sys.executable, "-c", "import typer; from stream.cli.simulator import simulator; typer.run(simulator)"]
    running = subprocess.Popen(
        [*arguments, "--port", "0"], stderr=subprocess.PIPE, text=True, env={**os.environ, **terminal}
    )
    assert running.stderr is not None
    first = running.stderr.readline()
    os.kill(running.pid, signal.SIGTERM)
    lines = (first + running.stderr.read()).splitlines()  # communicate() would pass over what readline() has buffered
    running.communicate(timeout=30)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/healthz", b"", 200),
        ("GET", "/admin/faults", b"", 200),
        ("POST", "/admin/faults", b'{"fault": [{"kind": "hang"}]}', 200),
        ("POST", "/admin/faults", b"no JSON", 400),
        ("GET", "/admin/ledger", b"", 200),
        ("GET", "/admin/fault", b"", 404),
    ],
)
async def test_what_a_person_asks_with_curl_ends_its_line(client, method, path, body, status):
    await post(client, "/v1/messages", ASK)  # so that the ledger has a line
    async with client.request(method, path, data=io.BytesIO(body)) as got:
        text = await got.text()
    assert (got.status, text[-1:]) == (status, "\n")
    assert [json.loads(line) for line in text.splitlines()]
