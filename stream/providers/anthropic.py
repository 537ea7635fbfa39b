"""Anthropic's Messages API, through its official SDK.

Asked without `temperature` and without streaming. A `json_object` mode doesn't exist there: it is asked for like text.
"""

import time
from collections.abc import Mapping
from typing import Any

import anthropic

from stream.codecs import strict_json
from stream.core.records import Completion, ModelCall, Stop, Usage
from stream.providers.keys import ApiKey
from stream.providers.replies import JunkError, NoCountError, Reply, count, part
from stream.providers.schemas import SchemaCache
from stream.providers.wire import Wire, correlation

OFFICIAL_URL = "https://api.anthropic.com"
API_VERSION = "2026-10-21"

STOPS: Mapping[str, Stop] = {
    "end_turn": Stop.COMPLETE,
    "stop_sequence": Stop.COMPLETE,
    "tool_use": Stop.COMPLETE,
    "max_tokens": Stop.TRUNCATED,
    "model_context_window_exceeded": Stop.TRUNCATED,
    "refusal": Stop.REFUSED,
}
"""What each stop reason means; any other, `pause_turn` among them, is unknown."""


class AnthropicProvider:
    """Implements `core.ports.Provider` for one account at Anthropic, or at a server that speaks its API."""

    def __init__(self, name: str, base_url: str, key: ApiKey, max_in_flight: int) -> None:
        """name: the configured one, for messages. base_url: empty for the official address."""
        url = base_url or OFFICIAL_URL
        self._wire = Wire(
            name,
            url,
            key,
            client_class=anthropic.DefaultAioHttpClient,
            max_in_flight=max_in_flight,
            headers={"anthropic-version": API_VERSION},
        )
        self._schemas = SchemaCache("anthropic")
        self._sdk = anthropic.AsyncAnthropic(
            api_key="sent-by-the-wire",
            base_url=url,
            http_client=self._wire.client,
            max_retries=0,
            open_telemetry=False,
        )

    async def complete(self, call: ModelCall) -> Completion:
        """One HTTP request, one completion. Raises ProviderError."""
        asked = request(call, self._schemas)
        messages = self._sdk.messages.with_streaming_response
        started_s = time.monotonic()
        fetched = await self._wire.fetch(lambda: messages.create(**asked, extra_headers=correlation(call)))
        latency_ms = round((time.monotonic() - started_s) * 1000)
        return self._wire.completion(fetched, read_reply, latency_ms)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()


def request(call: ModelCall, schemas: SchemaCache) -> dict[str, Any]:
    """The request's body. A schema that strict modes can't express is given to an ordinary tool."""
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": call.max_output_tokens,
        "messages": [{"role": "user", "content": call.prompt.user}],
    }
    if call.prompt.system:
        body["system"] = [{"type": "text", "text": call.prompt.system, "cache_control": {"type": "ephemeral"}}]
    if call.structured not in ("strict_tool", "json_schema"):
        return body
    schema = schemas.strict(call.output_schema)
    if call.structured == "json_schema" and schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return body
    tool = {"name": call.schema_name, "description": "Gives the result.", "input_schema": schema or call.output_schema}
    body["tools"] = [tool if schema is None else {**tool, "strict": True}]
    body["tool_choice"] = {"type": "tool", "name": call.schema_name, "disable_parallel_tool_use": True}
    return body


def read_reply(body: dict[str, Any]) -> Reply:
    """A Messages reply. Raises JunkError where it isn't one; a wrong `usage` only leaves the price unknown."""
    model, reason, blocks = body.get("model"), body.get("stop_reason"), body.get("content")
    if body.get("type") != "message" or not isinstance(model, str) or not isinstance(blocks, list):
        raise JunkError("it is no message with a model and a list of content blocks")
    if not isinstance(reason, str | None):
        raise JunkError("its stop_reason is no string")
    stop = STOPS.get(reason or "", Stop.UNKNOWN)
    text = _text(blocks)
    if text is None and stop is Stop.COMPLETE:
        raise JunkError("it is complete and holds neither text nor tool use")
    return Reply(text or "", stop, reason, model, _usage(body.get("usage")))


def _text(blocks: list[Any]) -> str | None:
    """The tools' inputs as JSON if a tool was used, else the text blocks joined; None without any.

    Several inputs stand on lines of their own, which is no JSON: none of them is dropped silently.
    """
    texts: list[str] = []
    inputs: list[str] = []
    for block in blocks:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise JunkError("a content block is no object with a type")
        if block["type"] == "text":
            if not isinstance(block.get("text"), str):
                raise JunkError("the text of a text block is no string")
            texts.append(block["text"])
        elif block["type"] == "tool_use":
            if not isinstance(block.get("input"), dict):
                raise JunkError("the input of a tool_use block is no object")
            inputs.append(strict_json.dumps(block["input"]).decode())
    if inputs:
        return "\n".join(inputs)
    return "".join(texts) if texts else None


def _usage(value: Any) -> Usage | None:
    """Tokens as we count them: cache reads and writes are part of the input. None if the figures make no sense."""
    try:
        reads = count(value, "cache_read_input_tokens", default=0)
        writes = count(value, "cache_creation_input_tokens", default=0)
        return Usage(
            input_tokens=count(value, "input_tokens") + reads + writes,
            output_tokens=count(value, "output_tokens"),
            cache_read_tokens=reads,
            cache_write_tokens=writes,
            reasoning_tokens=count(part(value, "output_tokens_details"), "thinking_tokens", default=0),
        )
    except NoCountError:
        return None
