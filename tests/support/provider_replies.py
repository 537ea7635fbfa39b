"""What the providers' servers say, in each kind's own words, for the contract tests over the provider table."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream.core.records import ModelCall, Prompt

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "minLength": 1}, "score": {"type": "number"}},
    "required": ["label"],
    "additionalProperties": False,
}


def model_call(**changes: Any) -> ModelCall:
    """A call as a worker would make it, with a tally of its own."""
    call = ModelCall(
        model="some-model",
        prompt=Prompt(system="Be exact.", user="Hello there"),
        max_output_tokens=50,
        structured="text",
        output_schema=SCHEMA,
        schema_name="give_label",
        request_id="event-1",
    )
    return call.evolve(**changes)


@dataclass(frozen=True)
class Dialect:
    """How one kind of provider says things.

    reply: the JSON of a reply, from (text, raw stop reason). tool_reply: of a forced tool called with this input.
    error: the JSON of an error, from (type, message). content: the name of the field that holds the reply's content.
    """

    path: str
    base_path: str
    official: str
    complete: str
    truncated: tuple[str, ...]
    refused: tuple[str, ...]
    unknown: tuple[str, ...]
    reply: Callable[[str, str | None], dict[str, Any]]
    tool_reply: Callable[[str], dict[str, Any]]
    error: Callable[[str, str], dict[str, Any]]
    content: str
    stop_holder: Callable[[dict[str, Any]], dict[str, Any]]
    stop_field: str
    usage_field: str
    block: Callable[[dict[str, Any]], dict[str, Any]]
    text_field: str


def _message(text: str, stop: str | None) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model-2026",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 7,
            "output_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 1,
        },
    }


def _tool_message(given: str) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "t1", "name": "give_label", "input": json.loads(given)}
    return {**_message("", "tool_use"), "content": [{"type": "text", "text": "Let me see."}, block]}


def _completion(text: str, stop: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "some-model-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": stop, "logprobs": None}],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 2,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        },
    }


def _tool_completion(given: str) -> dict[str, Any]:
    reply = _completion("", "stop")
    call = {"id": "t1", "type": "function", "function": {"name": "give_label", "arguments": given}}
    reply["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    return reply


DIALECTS: Mapping[str, Dialect] = {
    "anthropic": Dialect(
        path="/v1/messages",
        base_path="",
        official="api.anthropic.com",
        complete="end_turn",
        truncated=("max_tokens", "model_context_window_exceeded"),
        refused=("refusal",),
        unknown=("pause_turn", "new_reason"),
        reply=_message,
        tool_reply=_tool_message,
        error=lambda type_, message: {"type": "error", "error": {"type": type_, "message": message}},
        content="content",
        stop_holder=lambda reply: reply,
        stop_field="stop_reason",
        usage_field="input_tokens",
        block=lambda reply: reply["content"][0],
        text_field="text",
    ),
    "openai": Dialect(
        path="/v1/chat/completions",
        base_path="/v1",
        official="api.openai.com",
        complete="stop",
        truncated=("length",),
        refused=("content_filter",),
        unknown=("new_reason",),
        reply=_completion,
        tool_reply=_tool_completion,
        error=lambda type_, message: {"error": {"type": type_, "code": None, "param": None, "message": message}},
        content="choices",
        stop_holder=lambda reply: reply["choices"][0],
        stop_field="finish_reason",
        usage_field="prompt_tokens",
        block=lambda reply: reply["choices"][0]["message"],
        text_field="content",
    ),
}
