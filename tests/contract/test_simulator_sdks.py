"""Both official SDKs, at their strictest, accept what the simulator answers."""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import anthropic
import openai
import pytest
from pydantic import BaseModel, ConfigDict

from stream.simulator import Simulator


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    category: Literal["billing", "technical", "other"]
    email: str | None
    summary: str


SCHEMA = Ticket.model_json_schema()
TEXT = "Hello, I was charged twice for March. Please write to billing@example.com about a refund."
CLAUDE_TOOL: Any = {"name": "report", "description": "x", "strict": True, "input_schema": SCHEMA}
GPT_TOOL: Any = {"type": "function", "function": {"name": "report", "strict": True, "parameters": SCHEMA}}
GPT_SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "report", "strict": True, "schema": SCHEMA}}
EXPECTED = Ticket(category="billing", email="billing@example.com", summary="I was charged twice for March.")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(seed=3, latency_ms=0) as running:
        yield running


@pytest.fixture
async def claude(sim: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=sim.base_url, api_key="key-one", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
async def gpt(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{sim.base_url}/v1", api_key="key-two", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def claude_says(client: anthropic.AsyncAnthropic, **options: Any) -> anthropic.types.Message:
    message: anthropic.types.Message = await client.messages.create(
        **{"model": "claude-x", "max_tokens": 500, "messages": [{"role": "user", "content": TEXT}], **options}
    )
    return message


async def gpt_says(client: openai.AsyncOpenAI, **options: Any) -> Any:
    return await client.chat.completions.create(
        **{"model": "gpt-x", "messages": [{"role": "user", "content": TEXT}], **options}
    )


@pytest.mark.parametrize("choice", [{"type": "tool", "name": "report"}, {"type": "any"}])
async def test_claude_calls_the_tool_it_must(claude: anthropic.AsyncAnthropic, choice: Any) -> None:
    message = await claude_says(claude, tools=[CLAUDE_TOOL], tool_choice=choice)
    block = message.content[0]
    assert block.type == "tool_use"
    assert (message.stop_reason, block.name) == ("tool_use", "report")
    assert Ticket.model_validate(block.input) == EXPECTED


async def test_claude_gives_json_for_a_schema(claude: anthropic.AsyncAnthropic) -> None:
    message = await claude_says(claude, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    assert message.stop_reason == "end_turn"
    assert message.content[0].type == "text"
    assert Ticket.model_validate_json(message.content[0].text) == EXPECTED


async def test_claude_gives_a_sentence_where_nothing_is_asked(claude: anthropic.AsyncAnthropic) -> None:
    message = await claude_says(claude)
    assert message.content[0].type == "text"
    assert message.content[0].text == "I was charged twice for March."


async def test_gpt_gives_json_for_a_schema(gpt: openai.AsyncOpenAI) -> None:
    completion = await gpt_says(gpt, response_format=GPT_SCHEMA)
    assert completion.choices[0].finish_reason == "stop"
    assert Ticket.model_validate_json(completion.choices[0].message.content) == EXPECTED


@pytest.mark.parametrize(
    ("choice", "finish"),
    [({"type": "function", "function": {"name": "report"}}, "stop"), ("required", "tool_calls")],
)
async def test_gpt_calls_the_function_it_must(gpt: openai.AsyncOpenAI, choice: Any, finish: str) -> None:
    completion = await gpt_says(gpt, tools=[GPT_TOOL], tool_choice=choice)
    assert completion.choices[0].finish_reason == finish
    call = completion.choices[0].message.tool_calls[0]
    assert call.function.name == "report"
    assert Ticket.model_validate_json(call.function.arguments) == EXPECTED


async def test_gpt_gives_an_object_in_json_mode(gpt: openai.AsyncOpenAI) -> None:
    system = {"role": "system", "content": "Answer with JSON: `category`, `summary`. The keys: `category`, `summary`"}
    completion = await gpt_says(
        gpt, messages=[system, {"role": "user", "content": TEXT}], response_format={"type": "json_object"}
    )
    assert json.loads(completion.choices[0].message.content)["category"] == "billing"


async def test_gpt_parses_into_a_model_by_itself(gpt: openai.AsyncOpenAI) -> None:
    parsed = await gpt.chat.completions.parse(
        model="gpt-x", messages=[{"role": "user", "content": TEXT}], response_format=Ticket
    )
    assert parsed.choices[0].message.parsed == EXPECTED


async def test_claude_streams_the_same_reply(claude: anthropic.AsyncAnthropic) -> None:
    options: Any = {"tools": [CLAUDE_TOOL], "tool_choice": {"type": "tool", "name": "report"}}
    whole = await claude_says(claude, **options)
    messages: Any = [{"role": "user", "content": TEXT}]
    async with claude.messages.stream(model="claude-x", max_tokens=500, messages=messages, **options) as stream:
        streamed = await stream.get_final_message()
    assert whole.content[0].type == streamed.content[0].type == "tool_use"
    assert streamed.content[0].input == whole.content[0].input
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("tool_use", whole.usage.output_tokens)


async def test_gpt_streams_the_same_reply(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt_says(gpt, response_format=GPT_SCHEMA)
    text, usage, finish = "", None, None
    async for chunk in await gpt_says(
        gpt, response_format=GPT_SCHEMA, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert (text, finish) == (whole.choices[0].message.content, "stop")
    assert usage.total_tokens == whole.usage.total_tokens


async def test_the_models_can_be_listed(claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI) -> None:
    assert "claude-haiku-4-5" in [model.id async for model in claude.models.list()]
    assert "gpt-5-mini" in [model.id async for model in gpt.models.list()]
    assert (await claude.models.retrieve("claude-x")).id == "claude-x"
    assert (await gpt.models.retrieve("gpt-x")).id == "gpt-x"
    with pytest.raises(openai.NotFoundError):
        await gpt.models.retrieve("no-such-model")


async def test_a_reply_longer_than_allowed_is_cut_and_says_so(
    claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI
) -> None:
    message = await claude_says(claude, max_tokens=3)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)
    tool = await claude_says(claude, max_tokens=12, tools=[CLAUDE_TOOL], tool_choice={"type": "any"})
    assert tool.stop_reason == "max_tokens"
    assert tool.content[0].type == "tool_use"
    assert 0 < len(tool.content[0].input) < 3
    completion = await gpt_says(gpt, max_completion_tokens=3, response_format=GPT_SCHEMA)
    assert (completion.choices[0].finish_reason, completion.usage.completion_tokens) == ("length", 3)


async def test_a_long_prefix_is_written_to_the_cache_and_then_read(
    claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI
) -> None:
    system = "You sort tickets. " * 400
    block = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
    first, second = [await claude_says(claude, system=[block]) for _ in range(2)]
    assert (first.usage.cache_creation_input_tokens, first.usage.cache_read_input_tokens) == (1800, 0)
    assert (second.usage.cache_creation_input_tokens, second.usage.cache_read_input_tokens) == (0, 1800)
    assert first.usage.input_tokens == second.usage.input_tokens == -(-len(TEXT) // 4)
    uncached = await claude_says(claude, system=system)
    assert uncached.usage.cache_read_input_tokens == 0
    assert uncached.usage.input_tokens == first.usage.input_tokens + 1800
    messages = [{"role": "system", "content": system}, {"role": "user", "content": TEXT}]
    ones = [await gpt_says(gpt, messages=messages) for _ in range(2)]
    assert [one.usage.prompt_tokens_details.cached_tokens for one in ones] == [0, 1800]
    assert ones[0].usage.prompt_tokens == ones[1].usage.prompt_tokens == uncached.usage.input_tokens


async def test_replies_carry_each_providers_own_headers(
    claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI
) -> None:
    messages: Any = [{"role": "user", "content": TEXT}]
    raw = await claude.messages.with_raw_response.create(model="claude-x", max_tokens=50, messages=messages)
    assert raw.headers["request-id"].startswith("req_")
    assert int(raw.headers["anthropic-ratelimit-input-tokens-remaining"]) > 0
    assert raw.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    other = await gpt.chat.completions.with_raw_response.create(model="gpt-x", messages=messages)
    assert other.headers["x-request-id"].startswith("req_")
    assert other.headers["x-ratelimit-reset-requests"] == "1ms"


async def test_the_rejected_key_and_a_missing_model_are_refused_in_each_providers_format(
    sim: Simulator, claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI
) -> None:
    with pytest.raises(anthropic.AuthenticationError) as claude_error:
        await claude_says(claude.with_options(api_key="wrong"))
    assert claude_error.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]
    with pytest.raises(openai.AuthenticationError) as gpt_error:
        await gpt_says(gpt.with_options(api_key="wrong"))
    assert gpt_error.value.code == "invalid_api_key"
    with pytest.raises(anthropic.NotFoundError, match="model: no-such-model"):
        await claude_says(claude, model="no-such-model")
    with pytest.raises(openai.NotFoundError) as missing:
        await gpt_says(gpt, model="no-such-model")
    assert missing.value.code == "model_not_found"
    assert [call.status for call in sim.ledger] == [401, 401, 404, 404]
    assert [call.model for call in sim.ledger][2:] == ["no-such-model"] * 2


async def test_the_same_seed_gives_the_same_reply_on_another_day(claude: anthropic.AsyncAnthropic) -> None:
    here = await claude_says(claude, tools=[CLAUDE_TOOL], tool_choice={"type": "any"})
    async with (
        Simulator(seed=3, latency_ms=0) as other,
        anthropic.AsyncAnthropic(base_url=other.base_url, api_key="k") as client,
    ):
        there = await claude_says(client, tools=[CLAUDE_TOOL], tool_choice={"type": "any"})
    assert there == here
