"""A worker asked over HTTP how it is, the way Prometheus, Kubernetes and a person do."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

import stream
from stream.core.errors import ConfigError
from stream.settings import Settings
from stream.settings.model import TelemetrySettings
from stream.telemetry.figures import Figures
from stream.telemetry.metrics import TABLE
from stream.telemetry.server import Page, TelemetryServer
from stream.telemetry.telemetry import Telemetry, telemetry
from tests.support.faulty_provider import FaultyProvider, model_call
from tests.support.telemetry_parts import SomeVersion, completed, record, scraped

SETTINGS = Settings.model_validate({"telemetry": {"port": 0, "log_format": "json"}})
WORKING = Figures(
    in_flight=3, partitions=("t:0", "t:1"), stopped={"t:1": "retention_gap"}, assignment_known=True, ticked_s_ago=0.1
)


@pytest.fixture
def log() -> Iterator[tuple[int, int]]:
    """A pipe for the log: read end, write end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def one(log: tuple[int, int], settings: Settings = SETTINGS) -> Telemetry:
    return telemetry(settings, [SomeVersion()], log_fd=log[1])


async def get(url: str, method: str = "GET", **more: object) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **more) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.text()


async def test_a_scrape_has_every_metric_of_the_table(log):
    async with one(log) as told:
        status, page = await get(f"{told.url}/metrics")
    names = {f.name + ("_total" if f.type == "counter" else "") for f in text_string_to_metric_families(page)}
    assert status == 200
    assert names == {metric.name for metric in TABLE}


async def test_a_scrape_shows_what_the_worker_told_and_is(log):
    async with one(log) as told:
        told.look_at(lambda: WORKING)
        told.watch.finished(record(), completed())
        await told.observed("main", FaultyProvider(lambda *_: None, latency_s=0)).complete(
            model_call("r", model="small-1")
        )
        samples = scraped((await get(f"{told.url}/metrics"))[1])
    assert samples['llm_stream_outcomes_total{outcome="completed",task="greet"}'] == 1
    assert samples['llm_stream_calls_total{class="ok",model="small-1",provider="main"}'] == 1
    assert samples["llm_stream_in_flight"] == 3
    assert samples['llm_stream_partition_stopped{cause="retention_gap",partition="t:1"}'] == 1


async def test_a_hostile_request_id_is_in_no_page(log):
    async with one(log) as told:
        told.watch.finished(record(), completed('evil"}\nllm_stream_up 1\n', 'evil"}\nllm_stream_up 1\n'))
        pages = [(await get(f"{told.url}/{path}"))[1] for path in ("metrics", "status")]
    assert not any("evil" in page or "llm_stream_up" in page for page in pages)


async def test_a_worker_that_has_not_begun_is_live_and_not_ready(log):
    async with one(log) as told:
        assert await get(f"{told.url}/livez") == (200, "live\n")
        status, why = await get(f"{told.url}/readyz")
    assert status == 503
    assert "group" in why


async def test_a_worker_that_works_is_ready(log):
    async with one(log) as told:
        told.look_at(lambda: WORKING)
        assert await get(f"{told.url}/readyz") == (200, "ready\n")


async def test_readiness_names_each_reason_and_follows_at_once(log):
    async with one(log) as told:
        told.look_at(lambda: replace(WORKING, brokers_up=False, draining=True))
        status, why = await get(f"{told.url}/readyz")
        assert (status, len(why.splitlines())) == (503, 2)
        told.look_at(lambda: WORKING)
        assert (await get(f"{told.url}/readyz"))[0] == 200


async def test_a_poll_loop_that_hangs_fails_liveness_with_the_reason(log):
    async with one(log) as told:
        told.look_at(lambda: replace(WORKING, ticked_s_ago=31.0))
        assert await get(f"{told.url}/livez") == (
            503,
            "not live: the poll loop last went round 31 s ago (limit 30 s)\n",
        )


async def test_an_event_loop_that_hangs_does_not_answer_liveness(log):
    async with one(log) as told:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(told.url.rpartition(":")[2]))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        raw = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
        raw.setblocking(False)
        hung_until_s = time.monotonic() + 0.2
        while time.monotonic() < hung_until_s:  # the loop is busy with this test
            with pytest.raises(BlockingIOError):
                raw.recv(1)
        raw.close()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_status_is_json_with_figures_version_shut_gates_and_failing_requests(log):
    async with one(log) as told:
        told.look_at(lambda: WORKING)
        told.watch.tried_on("r-1", "main", "small-1", 9, "500: internal")
        told.watch.gate_changed("main", "account", is_open=False, cause="account", detail="no credit", opens_in_s=60.0)
        status = json.loads((await get(f"{told.url}/status"))[1])
    assert (status["version"], status["live"], status["ready"]) == (stream.__version__, True, True)
    assert (status["in_flight"], status["stopped"]) == (3, {"t:1": "retention_gap"})
    assert [gate["cause"] for gate in status["gates_shut"]] == ["account"]
    assert [(each["request_id"], each["calls"]) for each in status["failing"]] == [("r-1", 9)]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_only_get_is_answered(log, method):
    async with one(log) as told:
        assert (await get(f"{told.url}/metrics", method))[0] == 405


async def test_other_paths_are_not_found(log):
    async with one(log) as told:
        assert (await get(f"{told.url}/../etc/passwd"))[0] == 404


async def test_a_request_with_huge_headers_is_refused(log):
    async with one(log) as told:
        assert (await get(f"{told.url}/metrics", headers={"x": "y" * 5_000}))[0] == 400
        assert (await get(f"{told.url}/metrics"))[0] == 200


async def test_a_flood_of_scrapes_makes_the_page_twice_a_second_at_most():
    made: list[float] = []

    def page() -> bytes:
        made.append(time.monotonic())
        return b"x 1\n"

    started_s = time.monotonic()
    settings = TelemetrySettings(port=0)
    async with TelemetryServer(settings, page, Figures) as server, aiohttp.ClientSession() as session:

        async def scrape() -> bytes:
            async with session.get(f"{server.url}/metrics") as answer:
                return await answer.read()

        answers = await asyncio.gather(*(scrape() for _ in range(300)))
    assert answers == [b"x 1\n"] * 300
    assert len(made) <= 1 + 2 * (time.monotonic() - started_s)


def test_a_page_is_made_anew_once_it_is_old():
    now_s = [0.0]
    made = iter([b"first", b"second"])
    page = Page(lambda: next(made), lambda: now_s[0])
    assert [page(), page()] == [b"first", b"first"]
    now_s[0] = 0.5
    assert page() == b"second"


async def test_a_port_that_is_taken_is_a_config_error_that_names_the_key_and_leaves_nothing_open(log):
    async with one(log) as told:
        taken = SETTINGS.telemetry.model_copy(update={"port": int(told.url.rpartition(":")[2])})
        with pytest.raises(ConfigError, match=r"\[telemetry\] port: 127\.0\.0\.1:\d+ is taken.* 0 for any free one"):
            async with one(log, SETTINGS.model_copy(update={"telemetry": taken})):
                pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
async def test_a_host_that_is_not_ours_is_a_config_error_that_names_the_key(host):
    with pytest.raises(ConfigError, match=r"\[telemetry\] host"):
        async with TelemetryServer(TelemetrySettings(host=host, port=0), lambda: b"", Figures):
            pass


async def test_an_ipv6_address_is_written_in_brackets():
    async with TelemetryServer(TelemetrySettings(host="::1", port=0), lambda: b"", Figures) as server:
        assert server.url.startswith("http://[::1]:")
        assert (await get(f"{server.url}/livez"))[0] == 200


async def test_after_its_context_the_server_is_gone_and_the_log_is_complete(log):
    async with one(log) as told:
        url = told.url
        told.watch.finished(record(), completed())
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(f"{url}/livez")
    lines = [json.loads(line) for line in os.read(log[0], 1 << 16).splitlines()]
    assert [line["event"] for line in lines] == ["telemetry listens", "completed"]
    assert lines[0]["url"] == url


async def test_lost_log_lines_are_counted_where_prometheus_sees_them():
    read_end, write_end = os.pipe()
    os.close(read_end)
    told = telemetry(SETTINGS, [SomeVersion()], log_fd=write_end)
    os.close(write_end)
    async with told:
        told.watch.trouble("nobody reads this")
        deadline_s = time.monotonic() + 5
        lost = 0.0
        while not lost and time.monotonic() < deadline_s:
            lost = scraped((await get(f"{told.url}/metrics"))[1])["llm_stream_log_lines_lost_total"]
    assert lost >= 1
