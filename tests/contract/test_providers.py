"""What every provider of the table promises, over real HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from stream.core.errors import ErrorClass, ProviderError
from stream.core.ports import Provider
from stream.core.quotas import Meter, Quota
from stream.core.records import Completion, Prompt, Stop, Usage
from stream.providers.anthropic import API_VERSION
from stream.providers.table import KINDS, api_key, build_provider
from stream.settings.model import ProviderSettings
from tests.support.fault_server import FaultServer, answer, send_then_hang
from tests.support.provider_replies import DIALECTS, model_call
from tests.support.waiting import wait_until_async

KEY = "sk-test-0123456789abcdef"

pytestmark = pytest.mark.parametrize("kind", KINDS)


def price(provider: str, model: str, usage: Usage) -> int | None:
    return {"some-model": 1_000}.get(model)


def provider_at(server: FaultServer, kind: str, *, max_in_flight: int = 8, **settings: Any) -> Provider:
    configured = ProviderSettings(
        kind=kind, base_url=server.url + DIALECTS[kind].base_path, **{"api_key_env": "TEST_KEY", **settings}
    )
    return build_provider("main", configured, api_key("main", configured, {"TEST_KEY": KEY}), max_in_flight, price)


async def completed(kind: str, reply: Any, **call: Any) -> tuple[Completion, FaultServer]:
    """A completion of this reply, and the server with what it received."""
    async with FaultServer(answer(reply)) as server:
        provider = provider_at(server, kind)
        completion = await provider.complete(model_call(**call))
        await provider.aclose()
    return completion, server


async def failure(kind: str, body: Any, status: int, *headers: str) -> ProviderError:
    async with FaultServer(answer(body, status, headers)) as server:
        provider = provider_at(server, kind)
        with pytest.raises(ProviderError) as caught:
            await provider.complete(model_call())
        await provider.aclose()
    return caught.value


async def test_a_reply_becomes_a_completion(kind: str) -> None:
    dialect = DIALECTS[kind]
    completion, server = await completed(kind, dialect.reply("hello", dialect.complete))

    assert completion.text == "hello"
    assert (completion.stop, completion.stop_reason) == (Stop.COMPLETE, dialect.complete)
    assert completion.model_served == "some-model-2026"
    assert completion.usage == Usage(11, 2, cache_read_tokens=3, cache_write_tokens=1)
    assert 0 <= completion.latency_ms < 5_000
    assert [request.path for request in server.received] == [dialect.path]


async def test_the_request_says_what_was_asked(kind: str) -> None:
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("hello", dialect.complete))
    asked = server.received[0].json
    assert asked["model"] == "some-model"
    assert asked["messages"][-1] == {"role": "user", "content": "Hello there"}
    assert 50 in asked.values()
    assert "Be exact." in json.dumps(asked)
    assert not {"temperature", "stream", "tools", "response_format", "output_config"} & asked.keys()


async def test_an_empty_system_part_is_left_out(kind: str) -> None:
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("x", dialect.complete), prompt=Prompt("", "Hello"))
    asked = server.received[0].json
    assert "system" not in asked
    assert asked["messages"] == [{"role": "user", "content": "Hello"}]


async def test_only_a_closed_set_of_headers_leaves(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(variable, "x-evil: 1\nauthorization: Bearer stolen\nhost: evil.example.com")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "stolen")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-stolen")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-stolen")
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("hello", dialect.complete))
    headers = server.received[0].headers
    assert set(headers) <= {
        "host", "accept", "accept-encoding", "content-type", "content-length", "user-agent", "authorization",
        "anthropic-version", "x-client-request-id", "x-stainless-raw-response",
    }  # fmt: skip
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert headers["x-client-request-id"] == "event-1"


async def test_a_request_id_that_is_no_header_value_is_escaped(kind: str) -> None:
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("x", dialect.complete), request_id="Änd\r\nx-evil: 1")
    assert server.received[0].headers["x-client-request-id"] == "%C3%84nd%0D%0Ax-evil:%201"


async def test_no_proxy_and_no_address_is_taken_from_the_environment(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    dialect = DIALECTS[kind]
    completion, _ = await completed(kind, dialect.reply("hello", dialect.complete))
    assert completion.text == "hello"

    settings = ProviderSettings(kind=kind)
    provider: Any = build_provider("main", settings, api_key("main", settings, {KINDS[kind].key_env: KEY}), 1, price)
    assert provider._inner._inner._sdk.base_url.host == dialect.official
    await provider.aclose()


async def test_every_stop_reason_is_told_by_what_it_means(kind: str) -> None:
    dialect = DIALECTS[kind]
    wanted = {
        **dict.fromkeys(dialect.truncated, Stop.TRUNCATED),
        **dict.fromkeys(dialect.refused, Stop.REFUSED),
        **dict.fromkeys((*dialect.unknown, None), Stop.UNKNOWN),
    }
    for reason, stop in wanted.items():
        completion, _ = await completed(kind, dialect.reply("half", reason))
        assert (completion.stop, completion.stop_reason, completion.text) == (stop, reason, "half")


async def test_a_refusal_or_truncation_without_any_text_is_still_one(kind: str) -> None:
    dialect = DIALECTS[kind]
    for reason, stop in ((dialect.truncated[0], Stop.TRUNCATED), (dialect.refused[0], Stop.REFUSED)):
        reply = dialect.reply("", reason)
        if kind == "anthropic":
            reply["content"] = []
        else:
            reply["choices"][0]["message"]["content"] = None
        completion, _ = await completed(kind, reply)
        assert (completion.stop, completion.text) == (stop, "")


async def test_a_forced_tool_is_asked_for_strictly_and_its_input_is_the_reply(kind: str) -> None:
    dialect = DIALECTS[kind]
    given = '{"label":"Größe","score":0.5}'
    completion, server = await completed(kind, dialect.tool_reply(given), structured="strict_tool")
    assert completion.text == given
    assert completion.stop is Stop.COMPLETE

    asked = server.received[0].json
    assert asked["tool_choice"]["type"] == ("tool" if kind == "anthropic" else "function")
    tool = asked["tools"][0] if kind == "anthropic" else asked["tools"][0]["function"]
    schema = tool["input_schema" if kind == "anthropic" else "parameters"]
    assert (tool["name"], tool["strict"]) == ("give_label", True)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["label"] == {"type": "string", "description": "{minLength: 1}"}


async def test_text_in_place_of_a_forced_tool_is_handed_over(kind: str) -> None:
    dialect = DIALECTS[kind]
    completion, _ = await completed(kind, dialect.reply("I'd rather not.", dialect.complete), structured="strict_tool")
    assert completion.text == "I'd rather not."


async def test_several_tool_calls_are_no_json_and_none_is_dropped(kind: str) -> None:
    reply = DIALECTS[kind].tool_reply('{"label":"a"}')
    if kind == "anthropic":
        reply["content"].append(reply["content"][-1])
    else:
        reply["choices"][0]["message"]["tool_calls"] *= 2
    completion, _ = await completed(kind, reply, structured="strict_tool")
    assert completion.text == '{"label":"a"}\n{"label":"a"}'


async def test_a_json_schema_is_asked_for_in_the_providers_own_way(kind: str) -> None:
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("{}", dialect.complete), structured="json_schema")
    asked = server.received[0].json
    if kind == "anthropic":
        assert asked["output_config"]["format"]["type"] == "json_schema"
        assert asked["output_config"]["format"]["schema"]["required"] == ["label"]
    else:
        assert asked["response_format"]["type"] == "json_schema"
        assert asked["response_format"]["json_schema"]["strict"] is True
        assert asked["response_format"]["json_schema"]["schema"]["required"] == ["label", "score"]


@pytest.mark.parametrize("structured", ["strict_tool", "json_schema"])
async def test_a_schema_that_strict_modes_cannot_say_is_sent_without_strict(kind: str, structured: str) -> None:
    dialect = DIALECTS[kind]
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    _, server = await completed(
        kind, dialect.reply("{}", dialect.complete), structured=structured, output_schema=schema
    )
    asked = json.dumps(server.received[0].json)
    assert json.dumps(schema) in asked
    assert '"strict": true' not in asked


async def test_a_json_object_is_asked_for_where_the_provider_knows_that(kind: str) -> None:
    dialect = DIALECTS[kind]
    _, server = await completed(kind, dialect.reply("{}", dialect.complete), structured="json_object")
    wanted = {"type": "json_object"} if kind == "openai" else None
    assert server.received[0].json.get("response_format") == wanted


async def test_the_account_holds_calls_tokens_and_price(kind: str) -> None:
    dialect = DIALECTS[kind]
    async with FaultServer(answer(dialect.reply("hello", dialect.complete))) as server:
        provider = provider_at(server, kind)
        call = model_call()
        await provider.complete(call)
        await provider.complete(call)
        await provider.aclose()
    assert (call.tally.calls, call.tally.known_micro_usd, call.tally.unpriced_calls) == (2, 2_000, 0)
    assert call.tally.usage.input_tokens == 22


async def test_the_key_stands_in_no_error(kind: str) -> None:
    echo = f"Incorrect API key provided: {KEY}\x1b[31m\nand sk-other-key-1234567. " + "y" * 5_000
    error = await failure(kind, DIALECTS[kind].error("authentication_error", echo), 401)
    assert error.error_class is ErrorClass.ACCOUNT
    for text in (str(error), repr(error), error.detail, str(error.__cause__)):
        assert KEY not in text
        assert "sk-other" not in text
    assert len(error.detail) <= 500
    assert error.detail.isprintable()
    assert error.error_type == "authentication_error"


@pytest.mark.parametrize("before", [90, 92, 96])
async def test_no_part_of_the_key_stands_in_the_word_for_an_error_which_is_cut(kind: str, before: int) -> None:
    error = await failure(kind, DIALECTS[kind].error("x" * before + " " + KEY, "no"), 400)
    assert error.error_type is not None
    assert "sk-" not in error.error_type
    assert "sk-" not in error.detail


async def test_a_key_file_is_read_again_after_the_key_was_rejected(kind: str, tmp_path: Path) -> None:
    dialect = DIALECTS[kind]
    key_file = tmp_path / "key"
    key_file.write_text("old-key\n")
    async with FaultServer(answer(dialect.error("authentication_error", "No."), 401)) as server:
        provider = provider_at(server, kind, api_key_env="", api_key_file=str(key_file))
        with pytest.raises(ProviderError):
            await provider.complete(model_call())
        key_file.write_text("new-key\n")
        server.play = answer(dialect.reply("hello", dialect.complete))
        await provider.complete(model_call())
        await provider.aclose()
    assert [request.headers["authorization"] for request in server.received] == ["Bearer old-key", "Bearer new-key"]


@pytest.mark.parametrize(
    ("status", "word", "message", "its_own"),
    [
        (403, "permission_error", "Blocked by a rule.", True),
        (429, "rate_limit_exceeded", "Request too large: Limit 10000, Requested 12000.", True),
        (429, "rate_limit_exceeded", "Limit 10000, Used 9990, Requested 12.", False),
        (401, "authentication_error", "No.", False),
    ],
)
async def test_a_refusal_says_whether_it_may_be_one_requests_own(
    kind: str, status: int, word: str, message: str, its_own: bool
) -> None:
    dialect = DIALECTS[kind]
    async with FaultServer(answer(dialect.error(word, message), status)) as server:
        provider = provider_at(server, kind)
        with pytest.raises(ProviderError) as caught:
            await provider.complete(model_call())
        await provider.aclose()
    assert caught.value.may_be_own is its_own
    assert message in caught.value.detail


async def test_a_wrong_address_is_told_from_a_missing_model(kind: str) -> None:
    error = await failure(kind, b"<html>404 page not found</html>", 404)
    assert error.error_class is ErrorClass.UNKNOWN_MODEL
    assert "check base_url" in error.detail
    assert "127.0.0.1" in error.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>"),
        (400, b'{"message": "Bad Request"}'),
        (419, b"<html>Page expired</html>"),
        (464, b""),
    ],
)
async def test_a_gateways_page_is_nothing_about_the_request(kind: str, status: int, body: bytes) -> None:
    error = await failure(kind, body, status)
    assert error.error_class is ErrorClass.TRANSIENT


async def test_a_bare_sentence_of_an_api_is_about_the_request(kind: str) -> None:
    error = await failure(kind, b'{"error": "prompt must not be empty"}', 400)
    assert error.error_class is ErrorClass.BAD_REQUEST


async def test_a_wait_that_the_provider_asks_for_is_on_the_error(kind: str) -> None:
    error = await failure(kind, DIALECTS[kind].error("rate_limit_error", "Slow."), 429, "Retry-After: 7.5")
    assert (error.error_class, error.retry_after_s) == (ErrorClass.RATE_LIMITED, 7.5)


async def test_cancellation_passes_through_and_leaves_the_call_unpriced(kind: str) -> None:
    async with FaultServer(send_then_hang()) as server:
        provider = provider_at(server, kind)
        call = model_call()
        running = asyncio.create_task(provider.complete(call))
        await wait_until_async(lambda: len(server.received) == 1, 10, "the request at the server")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await provider.aclose()
    assert (call.tally.calls, call.tally.unpriced_calls) == (1, 1)


async def test_as_many_calls_are_in_the_air_as_asked_for(kind: str) -> None:
    """SDKs keep 100 connections by default; the 101st call would wait."""
    async with FaultServer(send_then_hang()) as server:
        provider = provider_at(server, kind, max_in_flight=130)
        running = [asyncio.create_task(provider.complete(model_call())) for _ in range(130)]
        await wait_until_async(lambda: len(server.received) == 130, 10, "130 requests at the server")
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await provider.aclose()


async def test_closing_twice_is_safe_and_a_closed_provider_raises_nothing_foreign(kind: str) -> None:
    dialect = DIALECTS[kind]
    async with FaultServer(answer(dialect.reply("hello", dialect.complete))) as server:
        provider = provider_at(server, kind)
        await provider.complete(model_call())
        await provider.aclose()
        await provider.aclose()
        with pytest.raises(ProviderError):
            await provider.complete(model_call())
    assert len(server.received) == 1


async def test_large_output_limits_are_no_reason_to_refuse(kind: str) -> None:
    """Anthropic's SDK raises ValueError for them unless time-outs are the caller's own."""
    dialect = DIALECTS[kind]
    completion, _ = await completed(kind, dialect.reply("x", dialect.complete), max_output_tokens=200_000)
    assert completion.text == "x"


def test_the_replies_for_these_tests_cover_every_kind(kind: str) -> None:
    assert kind in DIALECTS
    assert set(KINDS) == set(ProviderSettings.model_fields["kind"].annotation.__args__)


def test_the_wire_identifies_itself_as_the_sdk_would(kind: str) -> None:
    """Key and version headers are ours; this goes red when an SDK's next release sends them another way."""
    if kind == "anthropic":
        sdk: Any = anthropic.AsyncAnthropic(api_key="k")
        assert sdk.default_headers["anthropic-version"] == API_VERSION
    else:
        sdk = openai.AsyncOpenAI(api_key="k")
    assert sdk.auth_headers == {"Authorization": "Bearer k"}


RATE_LIMITS = {
    "anthropic": ("anthropic-ratelimit-requests-limit: 600", "anthropic-ratelimit-requests-remaining: 30"),
    "openai": ("x-ratelimit-limit-requests: 600", "X-RateLimit-Remaining-Requests: 30"),
}
HOW_IT_STANDS = {Meter.REQUESTS: Quota(600, 30, 10)}


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_how_the_quotas_stand_is_read_from_every_error(kind: str, status: int) -> None:
    error = await failure(kind, {"error": {"message": "no"}}, status, *RATE_LIMITS[kind])
    assert error.quotas == HOW_IT_STANDS


async def test_how_the_quotas_stand_is_read_from_a_reply(kind: str) -> None:
    dialect = DIALECTS[kind]
    reply = dialect.reply("hello", dialect.complete)
    async with FaultServer(answer(reply, 200, RATE_LIMITS[kind])) as server:
        provider = provider_at(server, kind)
        completion = await provider.complete(model_call())
        await provider.aclose()
    assert completion.quotas == HOW_IT_STANDS


async def test_how_the_quotas_stand_is_read_from_a_200_that_is_an_error_or_junk(kind: str) -> None:
    for body in ({"error": {"type": "overloaded_error", "message": "busy"}}, {}):
        error = await failure(kind, body, 200, *RATE_LIMITS[kind])
        assert error.quotas == HOW_IT_STANDS


async def test_a_provider_that_says_nothing_of_its_quotas_has_none(kind: str) -> None:
    dialect = DIALECTS[kind]
    completion, _ = await completed(kind, dialect.reply("hello", dialect.complete))
    assert completion.quotas == {}
