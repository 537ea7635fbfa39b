"""Quotas of a script, as both official SDKs meet them: refusals, headers, keys, models, cuts, windows."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from stream.simulator import Simulator
from stream.simulator.metering import Clock
from stream.simulator.quota import Level
from stream.simulator.rate_headers import go_duration, openai_headers

LASTING: Any = {"window_s": 600.0, "refill": "at_once"}
"""What is taken stays taken while a test lasts."""
SAYS: Any = [{"role": "user", "content": "Hello, is it working?"}]
DIALECTS = ["anthropic", "openai"]


EXACT = {"anthropic": None, "openai": "100"}


class Now:
    """A clock that goes only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def later(self, seconds: float) -> None:
        self.now_s += seconds


class Client:
    """One SDK, asked for one reply at a time. ask: the status and the headers of the answer."""

    def __init__(self, dialect: str, base_url: str, key: str) -> None:
        self.sdk: Any = (
            anthropic.AsyncAnthropic(base_url=base_url, api_key=key, max_retries=0)
            if dialect == "anthropic"
            else openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)
        )
        self._create = (
            self.sdk.messages.with_raw_response.create
            if dialect == "anthropic"
            else self.sdk.chat.completions.with_raw_response.create
        )
        self.error: Any = None

    async def ask(self, model: str = "m", max_tokens: int = 50, **options: Any) -> tuple[int, Any]:
        try:
            got = await self._create(**{"model": model, "max_tokens": max_tokens, "messages": SAYS, **options})
        except (anthropic.APIStatusError, openai.APIStatusError) as error:
            self.error = error
            return error.status_code, error.response.headers
        return 200, got.headers

    async def statuses(self, times: int, **options: Any) -> list[int]:
        return [(await self.ask(**options))[0] for _ in range(times)]


@asynccontextmanager
async def playing(
    *quotas: dict[str, Any], clock: Clock = time.monotonic, **tables: Any
) -> AsyncIterator[tuple[Simulator, Callable[..., Client]]]:
    """A simulator with these quotas, and clients for it by dialect and key."""
    async with AsyncExitStack() as stack:
        script = {"quota": list(quotas), **tables}
        sim = await stack.enter_async_context(Simulator(script=script, latency_ms=0, clock=clock))
        clients: dict[tuple[str, str], Client] = {}

        def client(dialect: str = "anthropic", key: str = "key") -> Client:
            if (dialect, key) not in clients:
                clients[dialect, key] = one = Client(dialect, sim.base_url, key)
                stack.push_async_callback(one.sdk.close)
            return clients[dialect, key]

        yield sim, client


def quota_headers(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ratelimit" in name}


async def test_anthropics_headers_tell_each_limit_that_there_is() -> None:
    limits = {"requests_per_minute": 60, "input_tokens_per_minute": 6000, "output_tokens_per_minute": 600}
    async with playing({**limits, **LASTING}) as (sim, client):
        _, headers = await client().ask()
        call, shown = sim.ledger[0], quota_headers(headers)
    assert {name: value for name, value in shown.items() if not name.endswith("-reset")} == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": str(600 - 1),
        "anthropic-ratelimit-input-tokens-limit": "6000",
        "anthropic-ratelimit-input-tokens-remaining": str(60_000 - call.input_tokens),
        "anthropic-ratelimit-output-tokens-limit": "600",
        "anthropic-ratelimit-output-tokens-remaining": str(6000 - call.output_tokens),
    }
    for name in ("requests", "input-tokens", "output-tokens"):
        reset = datetime.fromisoformat(shown[f"anthropic-ratelimit-{name}-reset"])
        assert 580 < reset.timestamp() - time.time() <= 601


async def test_anthropics_headers_tell_all_tokens_together_where_they_are_limited() -> None:
    async with playing({"tokens_per_minute": 6000, **LASTING}) as (sim, client):
        _, headers = await client().ask()
        used = sim.ledger[0].input_tokens + sim.ledger[0].output_tokens
    assert headers["anthropic-ratelimit-tokens-limit"] == "6000"
    assert headers["anthropic-ratelimit-tokens-remaining"] == str(60_000 - used)


async def test_openais_headers_tell_requests_and_tokens_and_resets_as_durations() -> None:
    limits = {"requests_per_minute": 1, "tokens_per_minute": 6000, "output_tokens_per_minute": 6000}
    async with playing({**limits, **LASTING}) as (sim, client):
        _, headers = await client("openai").ask(max_tokens=94)
        left = 60_000 - sim.ledger[0].input_tokens - 94
    shown = quota_headers(headers)
    for name in ("requests", "tokens"):
        assert re.fullmatch(r"10m0s|9m[345]?\d(\.\d{1,3})?s", shown.pop(f"x-ratelimit-reset-{name}"))
    assert shown == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": str(left),
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "1ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (59.9999, "1m0s"),
        (3725.25, "1h2m5.25s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
    assert openai_headers({"requests": Level(1, 1, seconds)})["x-ratelimit-reset-requests"] == text


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_over_the_quota_is_a_429_in_the_providers_words(dialect: str) -> None:
    async with playing({"requests_per_minute": 1}) as (sim, client):
        one = client(dialect)
        assert await one.statuses(2) == [200, 429]
        assert isinstance(one.error, anthropic.RateLimitError | openai.RateLimitError)
        assert [(call.status, call.fault) for call in sim.ledger] == [(200, None), (429, "quota")]
        assert (sim.ledger[1].input_tokens, sim.ledger[1].output_tokens) == (0, 0)
        error = one.error.response.json()["error"]
    assert error["type"] == ("rate_limit_error" if dialect == "anthropic" else "requests")
    assert error["message"] == "This request would exceed the limit of 1 requests per minute."
    assert 50 < int(one.error.response.headers["retry-after"]) <= 60


async def test_openai_says_which_quota_it_was_and_the_wait_in_milliseconds() -> None:
    async with playing({"tokens_per_minute": 100}) as (_, client):
        one = client("openai")
        assert await one.statuses(2) == [200, 429]
    assert (one.error.type, one.error.code) == ("tokens", "rate_limit_exceeded")
    headers = one.error.response.headers
    assert 0 < int(headers["retry-after"]) * 1000 - int(headers["retry-after-ms"]) < 1000 or (
        int(headers["retry-after"]) * 1000 == int(headers["retry-after-ms"])
    )


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_after_the_retry_after_the_call_passes(dialect: str) -> None:
    now = Now()
    async with playing({"requests_per_minute": 600, "window_s": 0.1}, clock=now) as (_, client):
        assert await client(dialect).statuses(2) == [200, 429]
        headers = client(dialect).error.response.headers
        assert (headers["retry-after"], headers.get("retry-after-ms")) == ("1", EXACT[dialect])
        now.later(0.1)
        assert await client(dialect).statuses(1) == [200]


@pytest.mark.parametrize(("says", "value"), [("none", None), ("absurd", "31536000")])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_retry_after_can_be_missing_or_absurd(dialect: str, says: str, value: str | None) -> None:
    async with playing({"requests_per_minute": 1, "retry_after": says}) as (_, client):
        assert await client(dialect).statuses(2) == [200, 429]
        headers = client(dialect).error.response.headers
    assert (headers.get("retry-after"), headers.get("retry-after-ms")) == (value, None)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_larger_than_the_whole_quota_is_told_so_without_a_retry_after(dialect: str) -> None:
    async with playing({"input_tokens_per_minute": 1}) as (_, client):
        assert await client(dialect).statuses(1) == [429]
        response = client(dialect).error.response
    assert "retry-after" not in response.headers
    assert "Request too large" in response.json()["error"]["message"]
    assert "Limit 1, Requested" in response.json()["error"]["message"]


async def test_each_key_has_a_quota_of_its_own() -> None:
    async with playing({"requests_per_minute": 1}) as (_, client):
        assert await client(key="one").statuses(2) == [200, 429]
        assert await client(key="two").statuses(2) == [200, 429]


async def test_the_models_of_one_entry_share_it_and_others_are_ruled_by_theirs() -> None:
    haiku, claude = ({"models": models, "requests_per_minute": 2} for models in ("claude-haiku-*", "claude-*"))
    async with playing(haiku, claude) as (_, client):
        one = client()
        assert await one.statuses(3, model="claude-haiku-x") == [200, 200, 429]
        assert await one.statuses(1, model="claude-sonnet-x") == [200]
        assert await one.statuses(2, model="claude-opus-x") == [200, 429]
        status, headers = await one.ask(model="gpt-x")
    assert status == 200
    assert int(headers["anthropic-ratelimit-requests-limit"]) > 2, "no quota rules it"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_answer_for_the_model_tells_the_quota(dialect: str) -> None:
    name = {"anthropic": "anthropic-ratelimit-requests-remaining", "openai": "x-ratelimit-remaining-requests"}[dialect]
    faults = [
        {"kind": "server_error", "to_call": 1},
        {"kind": "overload", "to_call": 2},
        {"kind": "html", "to_call": 3},
    ]
    async with playing({"requests_per_minute": 2, "rejects_count": False}, fault=faults) as (_, client):
        one = client(dialect)
        answers = [await one.ask() for _ in range(3)]
        answers += [await one.ask(messages=[])]
        answers += [await one.ask() for _ in range(3)]
    overloaded = 529 if dialect == "anthropic" else 503
    assert [status for status, _ in answers] == [500, overloaded, 200, 400, 200, 200, 429]
    assert [headers[name] for _, headers in answers] == ["2", "2", "2", "2", "1", "0", "0"]


async def test_a_fault_that_changes_the_reply_takes_what_the_reply_takes() -> None:
    async with playing({"requests_per_minute": 2}, fault=[{"kind": "truncate"}]) as (sim, client):
        assert await client().statuses(3) == [200, 200, 429]
        assert [call.fault for call in sim.ledger] == ["truncate", "truncate", "quota"]


async def test_a_slow_reply_is_refused_at_once_where_the_quota_has_no_room() -> None:
    async with playing({"requests_per_minute": 1}, fault=[{"kind": "slow", "from_call": 2, "delay_s": 60}]) as (
        _,
        client,
    ):
        async with asyncio.timeout(5):
            assert await client().statuses(2) == [200, 429]


async def test_a_wrong_key_takes_nothing_from_anybody() -> None:
    async with playing({"requests_per_minute": 1}) as (_, client):
        assert await client(key="wrong").statuses(2) == [401, 401]
        assert await client(key="right").statuses(1) == [200]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_provider_can_say_nothing_of_its_quotas(dialect: str) -> None:
    async with playing({"requests_per_minute": 1, "headers": False}) as (_, client):
        answers = [await client(dialect).ask() for _ in range(2)]
    assert [status for status, _ in answers] == [200, 429]
    assert [quota_headers(headers) for _, headers in answers] == [{}, {}]
    assert "retry-after" in answers[1][1], "that is another question"


@pytest.mark.parametrize(
    ("dialect", "changes", "left"),
    [("openai", {}, "0"), ("openai", {"rejects_count": False}, "4"), ("anthropic", {}, "4")],
)
async def test_refused_calls_take_requests_where_they_count(dialect: str, changes: Any, left: str) -> None:
    name = {"anthropic": "anthropic-ratelimit-requests-remaining", "openai": "x-ratelimit-remaining-requests"}[dialect]
    limits = {"requests_per_minute": 4, "input_tokens_per_minute": 1}
    async with playing({**limits, **changes}) as (_, client):
        answers = [await client(dialect).ask() for _ in range(4)]
    assert [status for status, _ in answers] == [429] * 4
    assert answers[-1][1][name] == left


async def test_anthropics_cache_reads_are_no_input() -> None:
    system: Any = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]
    async with playing({"input_tokens_per_minute": 100_000, **LASTING}) as (sim, client):
        left = []
        for _ in range(2):
            _, headers = await client().ask(system=system)
            left.append(int(headers["anthropic-ratelimit-input-tokens-remaining"]))
        assert sim.ledger[1].input_tokens > 2000
    assert left[0] < 1_000_000 - 2000
    assert 0 < left[0] - left[1] < 100


async def test_a_cut_takes_most_of_the_quota_and_the_headers_keep_the_limit() -> None:
    cuts = [{"from_s": 60, "to_s": 120, "factor": 0.25}]
    now = Now()
    async with playing({"requests_per_minute": 480, "window_s": 1.0}, cut=cuts, clock=now) as (_, client):
        answers = []
        for wait_s in (0, 60, 61):
            now.later(wait_s)
            answers.append([await client().ask() for _ in range(9)])
    assert [[status for status, _ in each].count(200) for each in answers] == [8, 2, 8]
    assert {headers["anthropic-ratelimit-requests-limit"] for each in answers for _, headers in each} == {"480"}


async def test_windows_come_back_for_every_key_in_the_same_second() -> None:
    now = Now()
    async with playing({"requests_per_minute": 60, "window_s": 2.0, "refill": "at_once"}, clock=now) as (_, client):
        for wait_s in (0, 1.5, 0.5, 1.9, 0.1):
            now.later(wait_s)
            passed = [await client(key=key).statuses(3) for key in ("one", "two")]
            assert passed == [[429] * 3 if wait_s > 1 else [200, 200, 429]] * 2
            waits = {client(key=key).error.response.headers["retry-after"] for key in ("one", "two")}
            assert waits == {"1" if wait_s > 1 else "2"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stream_is_charged_and_refused_as_any_call(stream: bool) -> None:
    async with playing({"requests_per_minute": 1}) as (_, client):
        assert await client().statuses(2, stream=stream) == [200, 429]


async def test_a_reset_fills_the_quotas_again() -> None:
    async with playing({"requests_per_minute": 1}) as (sim, client), aiohttp.ClientSession(sim.base_url) as admin:
        assert await client().statuses(2) == [200, 429]
        async with admin.post("/admin/reset") as done:
            assert done.status == 204
        assert await client().statuses(2) == [200, 429]


async def test_quotas_and_cuts_can_be_posted_and_are_shown_as_they_can_be_posted() -> None:
    script = {
        "fault": [{"kind": "overload", "to_call": 1}],
        "quota": [{"models": "m*", "requests_per_minute": 4}],
        "cut": [{"from_s": 0.0, "to_s": 100.0, "factor": 0.25}],
    }
    async with playing() as (sim, client), aiohttp.ClientSession(sim.base_url) as admin:
        async with admin.post("/admin/faults", json=script) as posted:
            assert (posted.status, await posted.json()) == (200, script)
        async with admin.get("/admin/faults") as shown:
            assert await shown.json() == script
        assert await client().statuses(3) == [529, 200, 429]
        async with admin.post("/admin/faults", json={"quota": [{"requests": 4}]}) as wrong:
            assert wrong.status == 400
            assert "[[quota]] 1: unknown key `requests`" in (await wrong.json())["error"]
        assert await client().statuses(1) == [429], "a mistake changes nothing"
        async with admin.post("/admin/faults", json={"fault": []}) as posted:
            assert await posted.json() == {"fault": []}
        assert await client().statuses(2) == [200, 200]
