"""OpenAI's Chat Completions, through its official SDK, and every server that speaks them (vLLM, Ollama, gateways)."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai

from stream.core.records import Completion, ModelCall, Stop, Usage
from stream.providers.keys import ApiKey
from stream.providers.replies import JunkError, NoCountError, Reply, count, part
from stream.providers.schemas import SchemaCache
from stream.providers.wire import Wire, correlation

OFFICIAL_URL = "https://api.openai.com/v1"

STOPS: Mapping[str, Stop] = {
    "stop": Stop.COMPLETE,
    "tool_calls": Stop.COMPLETE,
    "function_call": Stop.COMPLETE,
    "length": Stop.TRUNCATED,
    "content_filter": Stop.REFUSED,
}
"""What each finish reason means; any other is unknown."""

_NEW_LIMIT_HOSTS = ("api.openai.com", ".openai.azure.com")


class OpenAIProvider:
    """Implements `core.ports.Provider` for one account at OpenAI, or at a server that speaks Chat Completions."""

    def __init__(self, name: str, base_url: str, key: ApiKey, max_in_flight: int) -> None:
        """name: the configured one, for messages. base_url: empty for the official address."""
        url = base_url or OFFICIAL_URL
        self._wire = Wire(name, url, key, client_class=openai.DefaultAioHttpClient, max_in_flight=max_in_flight)
        self._schemas = SchemaCache("openai")
        # OpenAI's newer models refuse `max_tokens`; most other servers know nothing else.
        official = (urlsplit(url).hostname or "").endswith(_NEW_LIMIT_HOSTS)
        self._limit = "max_completion_tokens" if official else "max_tokens"
        self._sdk = openai.AsyncOpenAI(
            api_key="sent-by-the-wire",
            admin_api_key="",
            organization="",
            project="",
            base_url=url,
            http_client=self._wire.client,
            max_retries=0,
        )

    async def complete(self, call: ModelCall) -> Completion:
        """One HTTP request, one completion. Raises ProviderError."""
        asked = request(call, self._schemas, self._limit)
        completions = self._sdk.chat.completions.with_streaming_response
        started_s = time.monotonic()
        # `extra_body` is sent as it is and wins over the parameters; those the SDK walks through by their type hints,
        # which takes as long as all the rest of a call.
        fetched = await self._wire.fetch(
            lambda: completions.create(model=call.model, messages=[], extra_body=asked, extra_headers=correlation(call))
        )
        latency_ms = round((time.monotonic() - started_s) * 1000)
        return self._wire.completion(fetched, read_reply, latency_ms)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()


def request(call: ModelCall, schemas: SchemaCache, limit: str = "max_completion_tokens") -> dict[str, Any]:
    """The request's body. A schema that strict modes can't express is sent as it is, without `strict`.

    limit: the name of the parameter that bounds the output.
    """
    system = [{"role": "system", "content": call.prompt.system}] if call.prompt.system else []
    body: dict[str, Any] = {
        "model": call.model,
        limit: call.max_output_tokens,
        "messages": [*system, {"role": "user", "content": call.prompt.user}],
    }
    if call.structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    if call.structured not in ("strict_tool", "json_schema"):
        return body
    schema = schemas.strict(call.output_schema)
    named = {"name": call.schema_name, "strict": schema is not None}
    if call.structured == "json_schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {**named, "schema": schema or call.output_schema},
        }
        return body
    function = {**named, "description": "Gives the result.", "parameters": schema or call.output_schema}
    body["tools"] = [{"type": "function", "function": function}]
    body["tool_choice"] = {"type": "function", "function": {"name": call.schema_name}}
    return body


def read_reply(body: dict[str, Any]) -> Reply:
    """A Chat Completions reply. Raises JunkError where it isn't one; a wrong `usage` only leaves the price unknown."""
    model, choices = body.get("model"), body.get("choices")
    if not isinstance(model, str) or not isinstance(choices, list) or len(choices) != 1:
        raise JunkError("it is no completion with a model and one choice")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise JunkError("its choice holds no message")
    reason = choice.get("finish_reason")
    if not isinstance(reason, str | None):
        raise JunkError("its finish_reason is no string")
    usage = _usage(body.get("usage"))
    refusal = _optional_text(message, "refusal")
    if refusal:
        return Reply(refusal, Stop.REFUSED, reason, model, usage)
    stop = STOPS.get(reason or "", Stop.UNKNOWN)
    text = _arguments(message)
    if text is None:
        text = _optional_text(message, "content")
    if text is None and stop is Stop.COMPLETE:
        raise JunkError("it is complete and holds neither content nor a tool call")
    return Reply(text or "", stop, reason, model, usage)


def _arguments(message: dict[str, Any]) -> str | None:
    """What the model called its tool with, as it wrote it; None if it called none.

    The arguments of several calls stand on lines of their own, which is no JSON: none is dropped silently.
    """
    calls = message.get("tool_calls")
    if not calls:
        return None
    if not isinstance(calls, list):
        raise JunkError("its tool_calls are no list")
    functions = [call.get("function") if isinstance(call, dict) else None for call in calls]
    arguments = [function.get("arguments") if isinstance(function, dict) else None for function in functions]
    if not all(isinstance(argument, str) for argument in arguments):
        raise JunkError("a tool call has no arguments as a string")
    return "\n".join(map(str, arguments))


def _optional_text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if not isinstance(value, str | None):
        raise JunkError(f"the {name} of its message is no string")
    return value


def _usage(value: Any) -> Usage | None:
    """Tokens as we count them; None if the figures make no sense."""
    try:
        prompt = count(value, "prompt_tokens")
        inside = part(value, "prompt_tokens_details")
        reads = count(inside, "cached_tokens", default=0)
        writes = count(inside, "cache_write_tokens", default=0)
        output = count(value, "completion_tokens")
        reasoning = count(part(value, "completion_tokens_details"), "reasoning_tokens", default=0)
    except NoCountError:
        return None
    if reads + writes > prompt or reasoning > output:
        return None
    return Usage(prompt, output, reads, writes, reasoning)
