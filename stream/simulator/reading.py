"""Reading request bodies strictly: what is missing or of the wrong type is refused with the field's name."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from stream.simulator.ask import Refused

MISSING_MODEL = "no-such-model"
"""The one model name that isn't there."""


def object_of(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object. Raises Refused."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("bad_request", f"The request body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refused("bad_request", "The request body must be a JSON object.")
    return value


def model_of(body: Mapping[str, Any]) -> str:
    """The model's name. Raises Refused."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused("bad_request", "model: Field required", "model")
    if model == MISSING_MODEL:
        raise Refused("unknown_model", None, "model")
    return model


def messages_of(body: Mapping[str, Any], roles: frozenset[str]) -> Sequence[Mapping[str, Any]]:
    """The messages, one at least, each with a known role. Raises Refused."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise Refused("bad_request", "messages: Field required", "messages")
    if not messages:
        raise Refused("bad_request", "messages: at least one message is required", "messages")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            raise Refused(
                "bad_request", f"messages.{at}.role: expected one of {', '.join(sorted(roles))}", f"messages.{at}.role"
            )
    return messages


def positive_int(body: Mapping[str, Any], name: str, *, required: bool) -> int | None:
    """A field that is a whole number above 0. Raises Refused."""
    value = body.get(name)
    if value is None and not required:
        return None
    if value is None:
        raise Refused("bad_request", f"{name}: Field required", name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused("bad_request", f"{name}: must be an integer greater than or equal to 1", name)
    return value


def text_of(content: Any, param: str) -> str:
    """A message's content, a string or a list of blocks, as text; what isn't text is empty. Raises Refused."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise Refused("bad_request", f"{param}: expected a string or a list of blocks", param)
    parts = []
    for block in content:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Refused("bad_request", f"{param}: every block needs a type", param)
        part = block.get("text", "")
        if not isinstance(part, str):
            raise Refused("bad_request", f"{param}: text must be a string", param)
        parts.append(part)
    return "\n".join(parts)


def schema_of(value: Any, param: str) -> Mapping[str, Any]:
    """A JSON Schema. Raises Refused."""
    if not isinstance(value, dict):
        raise Refused("bad_request", f"{param}: a JSON Schema is required", param)
    return value


def tools_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tools, possibly none. Raises Refused."""
    tools = body.get("tools")
    if tools is None:
        return []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise Refused("bad_request", "tools: expected a list of tools", "tools")
    return tools
