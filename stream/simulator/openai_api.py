"""OpenAI Chat Completions, as the official SDK's strict parser accepts it (platform.openai.com/docs/api-reference)."""

import time
from collections.abc import Mapping
from typing import Any

import orjson

from stream.simulator.ask import BYTES_PER_TOKEN, Ask, Billed, Form, Refused, Reply, byte_count, cut_text
from stream.simulator.quota import Levels
from stream.simulator.rate_headers import openai_headers
from stream.simulator.reading import messages_of, model_of, positive_int, schema_of, text_of, tools_of
from stream.simulator.sse import openai_chunks

# word: (status, error type, error code, message)
ERRORS: dict[str, tuple[int, str, str | None, str]] = {
    "bad_request": (400, "invalid_request_error", None, "The request is invalid."),
    "auth": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "payment": (402, "billing_error", "payment_required", "A payment is due on this account."),
    "forbidden": (
        403,
        "invalid_request_error",
        "unsupported_country_region_territory",
        "You are not allowed to do this.",
    ),
    "not_found": (404, "invalid_request_error", "unknown_url", "Unknown request URL."),
    "unknown_model": (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "too_large": (413, "invalid_request_error", "request_too_large", "The request body is too large."),
    "context": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 128000 tokens.",
    ),
    "rate_limit": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests per minute. Please try again later.",
    ),
    "token_limit": (
        429,
        "tokens",
        "rate_limit_exceeded",
        "Rate limit reached for tokens per minute. Please try again later.",
    ),
    "insufficient_quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "unavailable": (503, "server_error", None, "Service unavailable."),
    "overload": (503, "server_error", "overloaded", "The engine is currently overloaded, please try again later."),
}
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_STOPS = {"complete": "stop", "truncated": "length", "refused": "stop", "filtered": "content_filter"}
_INSTRUCTIONS = ("system", "developer")
_REFUSAL = "I'm sorry, but I can't help with that request."
_QUOTAS = {
    "x-ratelimit-limit-requests": "600000",
    "x-ratelimit-remaining-requests": "599999",
    "x-ratelimit-reset-requests": "1ms",
    "x-ratelimit-limit-tokens": "2000000000",
    "x-ratelimit-remaining-tokens": "1999990000",
    "x-ratelimit-reset-tokens": "1ms",
}
_ALWAYS = {
    "openai-version": "2020-10-01",
    "openai-organization": "simulator",
}


def _function_of(body: Mapping[str, Any], choice: Any) -> tuple[Mapping[str, Any], str]:
    """Parameters and name of the function that must be called."""
    wanted = choice.get("function") if isinstance(choice, dict) else None
    name = wanted.get("name") if isinstance(wanted, dict) else None
    functions = [tool["function"] for tool in tools_of(body) if isinstance(tool.get("function"), dict)]
    function = next((one for one in functions if name is None or one.get("name") == name), None)
    if function is None:
        raise Refused("bad_request", f"tool_choice: function {name!r} is not among the tools", "tool_choice")
    parameters = function.get("parameters", {"type": "object"})
    return schema_of(parameters, "tools.0.function.parameters"), str(function.get("name", ""))


def _wanted(body: Mapping[str, Any]) -> tuple[Form, Mapping[str, Any] | None, str, bool]:
    """Form, schema, tool and whether the tool was named."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) or choice == "required":
        schema, name = _function_of(body, choice)
        return "tool", schema, name, choice != "required"
    output = body.get("response_format")
    kind = output.get("type") if isinstance(output, dict) else None
    if kind == "json_schema" and isinstance(output, dict):
        inner = output.get("json_schema")
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise Refused("bad_request", "response_format.json_schema.name: Field required", "response_format")
        return "schema", schema_of(inner.get("schema"), "response_format.json_schema.schema"), "", False
    if kind not in (None, "text", "json_object"):
        raise Refused("bad_request", f"response_format.type: unknown type {kind!r}", "response_format")
    return ("object" if kind == "json_object" else "text"), None, "", False


def _request_id(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    metadata = body.get("metadata")
    named = metadata.get("request_id") if isinstance(metadata, dict) else None
    return str(headers.get("x-client-request-id") or named or body.get("user") or "")


class OpenAI:
    """See `Dialect`."""

    name = "openai"

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The bearer token."""
        return headers.get("authorization", "").removeprefix("Bearer ").strip() or None

    def read(self, body: Any, headers: Mapping[str, str]) -> Ask:
        """A decoded request body, understood. Raises Refused."""
        model = model_of(body)
        messages = messages_of(body, _ROLES)
        if (positive_int(body, "n", required=False) or 1) > 1:
            raise Refused("bad_request", "n: the simulator gives one choice only", "n")
        form, schema, tool, named = _wanted(body)
        texts = [
            (one["role"], text_of(one.get("content"), f"messages.{at}.content")) for at, one in enumerate(messages)
        ]
        system = "\n".join(text for role, text in texts if role in _INSTRUCTIONS)
        user = max((text for role, text in texts if role == "user"), key=len, default="")
        extra = orjson.dumps(schema).decode() if schema is not None else ""
        options = body.get("stream_options")
        said = sum(byte_count(text) for _role, text in texts)
        return Ask(
            model=model,
            system=system,
            user=user,
            form=form,
            schema=schema,
            tool=tool,
            named_tool=named,
            max_tokens=positive_int(body, "max_completion_tokens", required=False)
            or positive_int(body, "max_tokens", required=False),
            stream=body.get("stream") is True,
            stream_usage=isinstance(options, dict) and options.get("include_usage") is True,
            cache_prefix=extra + system,
            extra_bytes=len(extra) + max(0, said - byte_count(system) - byte_count(user)),
            request_id=_request_id(body, headers),
        )

    def write(self, ask: Ask, reply: Reply, billed: Billed, call_id: str) -> bytes:
        """The body of a reply."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
        if reply.stop == "filtered":
            message.update(content="")
        elif reply.stop == "refused":
            message.update(content=None, refusal=_REFUSAL)
        elif reply.as_tool:
            function = {"name": ask.tool, "arguments": reply.text}
            message.update(
                content=None, tool_calls=[{"id": f"call_{call_id}", "type": "function", "function": function}]
            )
        stop = _STOPS.get(reply.stop, reply.stop)
        completion = {
            "id": f"chatcmpl-{call_id}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": ask.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": "tool_calls" if stop == "stop" and reply.as_tool and not ask.named_tool else stop,
                }
            ],
            "usage": {
                "prompt_tokens": billed.input_tokens,
                "completion_tokens": billed.output_tokens,
                "total_tokens": billed.input_tokens + billed.output_tokens,
                "prompt_tokens_details": {"cached_tokens": billed.cache_read_tokens, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        return openai_chunks(completion, with_usage=ask.stream_usage) if ask.stream else orjson.dumps(completion)

    def error(self, refused: Refused, call_id: str, model: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and error object."""
        status, kind, code, message = ERRORS[refused.word]
        return status, {
            "error": {
                "message": refused.message or message.format(model=model),
                "type": kind,
                "param": refused.param,
                "code": code,
            }
        }

    def headers(self, call_id: str, levels: Levels | None = None) -> dict[str, str]:
        """The call's id and the state of the quotas; None: of large ones that are never used up."""
        quotas = _QUOTAS if levels is None else openai_headers(levels)
        return {"x-request-id": f"req_{call_id}", **quotas, **_ALWAYS}

    def cut(self, reply: Reply, at_tokens: int) -> Reply:
        """Cut the text, or the tool's arguments, where the limit falls."""
        return reply.evolve(text=cut_text(reply.text, at_tokens * BYTES_PER_TOKEN), stop="truncated")
