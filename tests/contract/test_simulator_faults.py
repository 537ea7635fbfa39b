"""Every row of the simulator's table of faults does what it says, in both dialects."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from stream.simulator import Simulator
from stream.simulator.faults import FAULTS

SCHEMA = {
    "type": "object",
    "properties": {
        "category": {"enum": ["billing", "technical"]},
        "customer": {"type": "string"},
        "amount": {"type": "number"},
        "summary": {"type": "string"},
    },
    "required": ["category", "customer", "amount", "summary"],
    "additionalProperties": False,
}
TEXT = "Customer: Acme Retail GmbH\nWe were charged EUR 120.50 twice, please refund one of the payments."
GOOD = {
    "category": "billing",
    "customer": "Acme Retail GmbH",
    "amount": 120.5,
    "summary": "We were charged EUR 120.50 twice, please refund one of the payments.",
}
ANTHROPIC: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": TEXT}],
    "tools": [{"name": "report", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "report"},
}
OPENAI: dict[str, Any] = {
    "model": "gpt-x",
    "messages": [{"role": "user", "content": TEXT}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "report", "schema": SCHEMA}},
}
ASKS = {"anthropic": ("/v1/messages", ANTHROPIC), "openai": ("/v1/chat/completions", OPENAI)}
PATIENCE_S = 0.4
OPTIONS = {"slow": {"delay_s": 0.05}, "drip": {"delay_s": 0.2}, "rate_limit": {"retry_after_s": 2.5}}


@dataclass
class Answer:
    """What a client got. status: None if nothing. ended: "whole", "broken" or "silent"."""

    dialect: str
    status: int | None = None
    headers: Any = None
    body: bytes = b""
    ended: str = "whole"

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.data["error"]

    @property
    def stop(self) -> Any:
        return self.data["stop_reason"] if self.dialect == "anthropic" else self.data["choices"][0]["finish_reason"]

    @property
    def reply(self) -> Any:
        """The tool's input, or the text."""
        if self.dialect == "openai":
            return self.data["choices"][0]["message"]["content"]
        block = self.data["content"][0]
        return json.dumps(block["input"]) if block["type"] == "tool_use" else block["text"]

    @property
    def value(self) -> Any:
        return json.loads(self.reply)


def is_refused(status: int, anthropic_type: str, openai_code: str | None, **headers: str) -> Callable[[Answer], bool]:
    def check(answer: Answer) -> bool:
        right = (
            answer.error["type"] == anthropic_type
            if answer.dialect == "anthropic"
            else answer.error["code"] == openai_code
        )
        named = all(answer.headers.get(name.replace("_", "-")) == value for name, value in headers.items())
        return answer.status == status and right and named and answer.error["message"] != ""

    return check


def is_overloaded(answer: Answer) -> bool:
    if answer.dialect == "anthropic":
        return (answer.status, answer.error["type"]) == (529, "overloaded_error")
    return answer.status == 503


def is_cut_reply(answer: Answer) -> bool:
    if answer.dialect == "anthropic":
        return answer.stop == "max_tokens" and 0 < len(answer.value) < 4
    return answer.stop == "length" and 0 < len(answer.reply) < len(json.dumps(GOOD)) and not is_json(answer.reply)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_refusal(answer: Answer) -> bool:
    if answer.dialect == "anthropic":
        return answer.stop == "refusal" and answer.data["content"] == []
    message = answer.data["choices"][0]["message"]
    return bool(message["refusal"]) and message["content"] is None


def is_filtered(answer: Answer) -> bool:
    return is_refusal(answer) if answer.dialect == "anthropic" else answer.stop == "content_filter"


def has_other_strings(answer: Answer) -> bool:
    value = answer.value
    kept = value["category"] == "billing" and value["amount"] == 120.5
    return kept and value["customer"] == value["summary"] != GOOD["summary"]


def breaks_schema(answer: Answer) -> bool:
    value = answer.value
    return set(value) != set(GOOD) or any(type(value[name]) is not type(GOOD[name]) for name in GOOD)


def is_spent_quota(answer: Answer) -> bool:
    if answer.dialect == "anthropic":
        return answer.status == 429 and answer.error["details"]["error_code"] == "enforced_spend_limit_reached"
    return (answer.status, answer.error["type"]) == (429, "insufficient_quota")


EXPECTED: dict[str, Callable[[Answer], bool]] = {
    "rate_limit": is_refused(429, "rate_limit_error", "rate_limit_exceeded", retry_after="2.5"),
    "rate_limit_bare": lambda a: (
        is_refused(429, "rate_limit_error", "rate_limit_exceeded")(a) and "retry-after" not in a.headers
    ),
    "overload": is_overloaded,
    "server_error": is_refused(500, "api_error", None),
    "bad_gateway_html": lambda a: a.status == 502 and a.headers["content-type"] == "text/html" and b"<html>" in a.body,
    "unavailable": is_refused(503, "api_error", None),
    "bad_request": is_refused(400, "invalid_request_error", None),
    "context_too_long": is_refused(400, "invalid_request_error", "context_length_exceeded"),
    "auth": is_refused(401, "authentication_error", "invalid_api_key"),
    "payment": is_refused(402, "billing_error", "payment_required"),
    "forbidden": is_refused(403, "permission_error", "unsupported_country_region_territory"),
    "insufficient_quota": is_spent_quota,
    "unknown_model": lambda a: is_refused(404, "not_found_error", "model_not_found")(a) and "-x" in a.error["message"],
    "hang": lambda a: (a.status, a.ended) == (None, "silent"),
    "slow": lambda a: a.value == GOOD,
    "cut": lambda a: (a.status, a.ended) == (200, "broken") and 0 < len(a.body) < int(a.headers["content-length"]),
    "reset": lambda a: (a.status, a.ended) == (None, "broken"),
    "drip": lambda a: (a.status, a.ended) == (200, "silent") and 0 < len(a.body) < 10,
    "html": lambda a: a.status == 200 and b"<html>" in a.body,
    "junk": lambda a: a.status == 200 and not is_json(a.body.decode()) and "json" in a.headers["content-type"],
    "empty": lambda a: (a.status, a.body) == (200, b""),
    "wrong_shape": lambda a: (a.status, a.body) == (200, b"{}"),
    "error_in_200": lambda a: a.status == 200 and "verloaded" in a.error["message"],
    "redirect": lambda a: a.status == 302 and "location" in a.headers,
    "truncate": is_cut_reply,
    "truncate_valid": lambda a: a.value == GOOD and a.stop in ("max_tokens", "length"),
    "refuse": is_refusal,
    "content_filter": is_filtered,
    "placeholder": lambda a: has_other_strings(a) and a.value["customer"] != "",
    "blank": lambda a: has_other_strings(a) and a.value["customer"] == "",
    "wrong_language": lambda a: a.value["customer"] == GOOD["customer"] and "viesti" in a.value["summary"],
    "schema_violation": breaks_schema,
    "not_json_text": lambda a: not is_json(a.reply),
    "nan": lambda a: math.isnan(a.value["amount"]),
    "unknown_stop": lambda a: a.value == GOOD and a.stop == "paused_for_review",
}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def answer_of(client: aiohttp.ClientSession, sim: Simulator, dialect: str, **changes: Any) -> Answer:
    path, body = ASKS[dialect]
    answer = Answer(dialect)
    headers = {"authorization": "Bearer a-key", "x-client-request-id": "r-1"}
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            client.post(sim.base_url + path, json={**body, **changes}, headers=headers, allow_redirects=False) as got,
        ):
            answer.status, answer.headers = got.status, got.headers
            async for piece in got.content.iter_any():
                answer.body += piece
    except TimeoutError:
        answer.ended = "silent"
    except aiohttp.ClientError:
        answer.ended = "broken"
    return answer


def test_every_kind_has_its_expectation() -> None:
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_a_fault_does_what_the_table_says(client: aiohttp.ClientSession, kind: str, dialect: str) -> None:
    async with Simulator(script=[{"kind": kind, **OPTIONS.get(kind, {})}], latency_ms=0) as sim:
        answer = await answer_of(client, sim, dialect)
        assert EXPECTED[kind](answer), answer
        call = sim.ledger[0]
        assert (call.fault, call.status, call.request_id) == (kind, answer.status, "r-1")


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_the_expectations_go_red_without_the_fault(
    client: aiohttp.ClientSession, kind: str, dialect: str
) -> None:
    if kind == "slow":  # it changes nothing but the time
        async with Simulator(script=[{"kind": kind, "delay_s": 60}], latency_ms=0) as sim:
            assert (await answer_of(client, sim, dialect)).ended == "silent"
        return
    async with Simulator(latency_ms=0) as sim:
        answer = await answer_of(client, sim, dialect)
        assert answer.value == GOOD
        try:
            assert not EXPECTED[kind](answer)
        except (KeyError, ValueError):
            return


@pytest.mark.parametrize(
    ("violation", "broken"),
    [
        ("missing", lambda value: set(GOOD) - set(value) == {"category"}),
        ("type", lambda value: value["category"] == 12345),
        ("extra", lambda value: len(set(value) - set(GOOD)) == 1),
    ],
)
async def test_the_violation_can_be_chosen(
    client: aiohttp.ClientSession, violation: str, broken: Callable[[Any], bool]
) -> None:
    script = [{"kind": "schema_violation", "violation": violation}]
    async with Simulator(script=script, latency_ms=0) as sim:
        assert broken((await answer_of(client, sim, "anthropic")).value)


async def test_an_error_inside_a_stream_is_an_event(client: aiohttp.ClientSession) -> None:
    async with Simulator(script=[{"kind": "error_in_200"}], latency_ms=0) as sim:
        answer = await answer_of(client, sim, "anthropic", stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.startswith(b"event: error\ndata: ")
    assert b"overloaded_error" in answer.body


async def test_one_poisoned_request_fails_however_often_it_is_sent(client: aiohttp.ClientSession) -> None:
    async with Simulator(script=[{"kind": "server_error", "match": "ORDER-4711"}], latency_ms=0) as sim:
        poisoned = [{"role": "user", "content": f"{TEXT} ORDER-4711"}]
        statuses = [
            (await answer_of(client, sim, "openai", **({"messages": poisoned} if turn % 2 else {}))).status
            for turn in range(6)
        ]
    assert statuses == [200, 500] * 3


async def test_a_client_that_leaves_stays_in_the_ledger_without_a_status(client: aiohttp.ClientSession) -> None:
    async with Simulator(latency_ms=60_000, latency_sigma=0) as sim:
        assert (await answer_of(client, sim, "openai")).ended == "silent"
        assert [(call.n, call.status, call.fault) for call in sim.ledger] == [(1, None, None)]


async def test_the_latency_is_drawn_by_the_seed(client: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    async with Simulator(latency_ms=60, latency_sigma=0) as sim:
        started_s = loop.time()
        assert (await answer_of(client, sim, "openai")).value == GOOD
        assert loop.time() - started_s >= 0.058
