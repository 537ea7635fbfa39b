"""Completions as server-sent events, in each provider's own sequence."""

from collections.abc import Mapping
from typing import Any

import orjson

_PIECE_CHARS = 64


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]


def anthropic_events(message: Mapping[str, Any], text: str) -> bytes:
    """A message as `message_start` … `message_stop`. text: its text, or its tool's input as JSON."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    start.pop("stop_details", None)
    events = [_event("message_start", {"type": "message_start", "message": start})]
    for index, block in enumerate(message["content"]):
        is_tool = block["type"] == "tool_use"
        empty = {**block, "input": {}} if is_tool else {**block, "text": ""}
        opened = {"type": "content_block_start", "index": index, "content_block": empty}
        events.append(_event("content_block_start", opened))
        for piece in _pieces(text):
            delta = (
                {"type": "input_json_delta", "partial_json": piece}
                if is_tool
                else {"type": "text_delta", "text": piece}
            )
            events.append(
                _event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
            )
        events.append(_event("content_block_stop", {"type": "content_block_stop", "index": index}))
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    counted = {"output_tokens": usage["output_tokens"]}
    events.append(_event("message_delta", {"type": "message_delta", "delta": ended, "usage": counted}))
    events.append(_event("message_stop", {"type": "message_stop"}))
    return b"".join(events)


def openai_chunks(completion: Mapping[str, Any], *, with_usage: bool) -> bytes:
    """A completion as `chat.completion.chunk` objects and `[DONE]`. with_usage: a last chunk with the tokens."""
    choice = completion["choices"][0]
    message = choice["message"]
    base = {key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    base["object"] = "chat.completion.chunk"

    def chunk(delta: Mapping[str, Any], stop: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": stop}]
        return b"data: " + orjson.dumps({**base, "choices": choices}) + b"\n\n"

    chunks = [chunk({"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None})]
    for at, call in enumerate(message.get("tool_calls", ())):
        chunks.append(chunk({"tool_calls": [{**call, "index": at, "function": {**call["function"], "arguments": ""}}]}))
        pieces = _pieces(call["function"]["arguments"])
        chunks += [chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}) for piece in pieces]
    for name in ("content", "refusal"):
        chunks += [chunk({name: piece}) for piece in _pieces(message[name] or "")]
    chunks.append(chunk({}, choice["finish_reason"]))
    if with_usage:
        chunks.append(b"data: " + orjson.dumps({**base, "choices": [], "usage": completion["usage"]}) + b"\n\n")
    chunks.append(b"data: [DONE]\n\n")
    return b"".join(chunks)
