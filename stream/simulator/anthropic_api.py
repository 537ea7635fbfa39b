"""Anthropic Messages, as the official SDK's strict parser accepts it (docs.anthropic.com/en/api/messages)."""

import time
from collections.abc import Mapping
from typing import Any

import orjson

from stream.simulator.ask import BYTES_PER_TOKEN, Ask, Billed, Form, Refused, Reply, byte_count, cut_text
from stream.simulator.quota import Levels
from stream.simulator.rate_headers import anthropic_headers
from stream.simulator.reading import messages_of, model_of, positive_int, schema_of, text_of, tools_of
from stream.simulator.sse import anthropic_events

# word: (status, error type, error code in `details`, message)
ERRORS: dict[str, tuple[int, str, str, str]] = {
    "bad_request": (400, "invalid_request_error", "", "The request is invalid."),
    "auth": (401, "authentication_error", "", "invalid x-api-key"),
    "payment": (402, "billing_error", "", "There is a problem with your billing or payment information."),
    "forbidden": (403, "permission_error", "", "Your API key does not have permission to use the specified resource."),
    "not_found": (404, "not_found_error", "", "Not found."),
    "unknown_model": (404, "not_found_error", "", "model: {model}"),
    "too_large": (413, "request_too_large", "", "Request exceeds the maximum size of 32 MB."),
    "context": (400, "invalid_request_error", "", "prompt is too long: 214003 tokens > 200000 maximum"),
    "rate_limit": (429, "rate_limit_error", "", "This request would exceed your organization's rate limit."),
    "token_limit": (429, "rate_limit_error", "", "This request would exceed your organization's token limit."),
    "insufficient_quota": (
        429,
        "rate_limit_error",
        "enforced_spend_limit_reached",
        "Your organization has crossed its monthly API usage threshold.",
    ),
    "server_error": (500, "api_error", "", "Internal server error"),
    "unavailable": (503, "api_error", "", "Service unavailable"),
    "overload": (529, "overloaded_error", "", "Overloaded"),
}
_ROLES = frozenset({"user", "assistant", "system"})
_STOPS = {"complete": "end_turn", "truncated": "max_tokens", "refused": "refusal"}
_QUOTAS = (
    ("requests", 600_000),
    ("tokens", 2_400_000_000),
    ("input-tokens", 2_000_000_000),
    ("output-tokens", 400_000_000),
)


def _cached_blocks(body: Mapping[str, Any]) -> bool:
    system = body.get("system")
    blocks = [*(system if isinstance(system, list) else []), *(body.get("tools") or [])]
    return bool(body.get("cache_control")) or any(isinstance(one, dict) and one.get("cache_control") for one in blocks)


def _wanted(body: Mapping[str, Any]) -> tuple[Form, Mapping[str, Any] | None, str, bool]:
    """Form, schema, tool and whether the tool was named."""
    tools, choice = tools_of(body), body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("tool", "any"):
        named = choice.get("name") if isinstance(choice, dict) and kind == "tool" else None
        tool = next((one for one in tools if named is None or one.get("name") == named), None)
        if tool is None:
            raise Refused("bad_request", f"tool_choice: tool {named!r} is not among the tools", "tool_choice")
        return (
            "tool",
            schema_of(tool.get("input_schema"), "tools.0.input_schema"),
            str(tool.get("name", "")),
            kind == "tool",
        )
    config = body.get("output_config")
    output = config.get("format") if isinstance(config, dict) else body.get("output_format")
    if isinstance(output, dict):
        if output.get("type") != "json_schema":
            raise Refused("bad_request", "output_config.format.type: expected json_schema", "output_config")
        return "schema", schema_of(output.get("schema"), "output_config.format.schema"), "", False
    return "text", None, "", False


class Anthropic:
    """See `Dialect`."""

    name = "anthropic"
    _headers: tuple[int, dict[str, str]] = (0, {})

    def key(self, headers: Mapping[str, str]) -> str | None:
        """`x-api-key`, else a bearer token."""
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ").strip() or None

    def read(self, body: Any, headers: Mapping[str, str]) -> Ask:
        """A decoded request body, understood. Raises Refused."""
        model = model_of(body)
        messages = messages_of(body, _ROLES)
        max_tokens = positive_int(body, "max_tokens", required=True)
        form, schema, tool, named = _wanted(body)
        system = text_of(body.get("system"), "system")
        texts = [text_of(one.get("content"), f"messages.{at}.content") for at, one in enumerate(messages)]
        user = max(
            (text for text, one in zip(texts, messages, strict=True) if one["role"] == "user"), key=len, default=""
        )
        extra = orjson.dumps(schema).decode() if schema is not None else ""
        metadata = body.get("metadata")
        return Ask(
            model=model,
            system=system,
            user=user,
            form=form,
            schema=schema,
            tool=tool,
            named_tool=named,
            max_tokens=max_tokens,
            stream=body.get("stream") is True,
            cache_prefix=extra + system if _cached_blocks(body) else "",
            extra_bytes=len(extra) + sum(byte_count(text) for text in texts) - byte_count(user),
            request_id=str(
                headers.get("x-client-request-id") or (isinstance(metadata, dict) and metadata.get("user_id")) or ""
            ),
        )

    def write(self, ask: Ask, reply: Reply, billed: Billed, call_id: str) -> bytes:
        """The body of a reply."""
        content: list[dict[str, Any]] = []
        if reply.stop != "refused" and reply.as_tool:
            tool_input = orjson.Fragment(reply.text)
            content = [{"type": "tool_use", "id": f"toolu_{call_id}", "name": ask.tool, "input": tool_input}]
        elif reply.stop != "refused":
            content = [{"type": "text", "text": reply.text}]
        stop = _STOPS.get(reply.stop, reply.stop)
        message = {
            "id": f"msg_{call_id}",
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": content,
            "stop_reason": "tool_use" if stop == "end_turn" and reply.as_tool else stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": billed.input_tokens - billed.cache_read_tokens - billed.cache_write_tokens,
                "cache_creation_input_tokens": billed.cache_write_tokens,
                "cache_read_input_tokens": billed.cache_read_tokens,
                "output_tokens": billed.output_tokens,
                "service_tier": "standard",
            },
        }
        if reply.stop == "refused":
            message["stop_details"] = {"type": "refusal", "category": "general_harms", "explanation": None}
        return anthropic_events(message, reply.text) if ask.stream else orjson.dumps(message)

    def error(self, refused: Refused, call_id: str, model: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and error object."""
        status, kind, code, message = ERRORS[refused.word]
        error: dict[str, Any] = {"type": kind, "message": refused.message or message.format(model=model)}
        if code:
            error["details"] = {"error_code": code}
        return status, {"type": "error", "error": error, "request_id": f"req_{call_id}"}

    def headers(self, call_id: str, levels: Levels | None = None) -> dict[str, str]:
        """The call's id and the state of the quotas; None: of large ones that are never used up."""
        if levels is not None:
            return {"request-id": f"req_{call_id}", **anthropic_headers(levels, time.time())}
        now = int(time.time())
        made_at, quotas = self._headers
        if made_at != now:
            reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 1))
            quotas = {}
            for name, limit in _QUOTAS:
                quotas[f"anthropic-ratelimit-{name}-limit"] = str(limit)
                quotas[f"anthropic-ratelimit-{name}-remaining"] = str(limit - limit // 200)
                quotas[f"anthropic-ratelimit-{name}-reset"] = reset
            self._headers = (now, quotas)
        return {"request-id": f"req_{call_id}", **quotas}

    def cut(self, reply: Reply, at_tokens: int) -> Reply:
        """Cut text where the limit falls; of a tool's input, which must stay an object, keep the fields that fit."""
        if not reply.as_tool:
            return reply.evolve(text=cut_text(reply.text, at_tokens * BYTES_PER_TOKEN), stop="truncated")
        kept: dict[str, Any] = {}
        for name, value in orjson.loads(reply.text).items():
            if len(orjson.dumps({**kept, name: value})) > at_tokens * BYTES_PER_TOKEN:
                break
            kept[name] = value
        return reply.evolve(text=orjson.dumps(kept).decode(), stop="truncated")
