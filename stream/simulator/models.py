"""`/v1/models`: a few names, in both providers' shapes. Every other name is accepted in calls too."""

from typing import Any

import orjson
from aiohttp import web

from stream.simulator.reading import MISSING_MODEL

MODELS = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5", "gpt-5", "gpt-5-mini", "gpt-4o-mini")
_CREATED_S = 1_767_225_600
_CREATED = "2026-01-01T00:00:00Z"


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED, "lifecycle": "active"}


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": "simulator"}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers={"content-type": "application/json"})


def model_answer(path: str, *, is_anthropic: bool) -> web.Response:
    """The list, or the one model that the path names."""
    describe = _anthropic if is_anthropic else _openai
    name = path.removeprefix("/v1").removeprefix("/models").strip("/")
    if name == MISSING_MODEL:
        kind = "not_found_error" if is_anthropic else "invalid_request_error"
        return _json({"type": "error", "error": {"type": kind, "message": f"model: {name}"}}, 404)
    if name:
        return _json(describe(name))
    data = [describe(one) for one in MODELS]
    if is_anthropic:
        return _json({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})
    return _json({"object": "list", "data": data})
