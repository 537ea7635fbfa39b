"""Replies computed from requests: the same seed and ask give the same reply."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from stream.simulator.ask import Ask, Refused, Reply
from stream.simulator.event_text import event_text
from stream.simulator.evidence import Evidence
from stream.simulator.guess import instructions_of, schema_in, shape_in
from stream.simulator.plan import Planner
from stream.simulator.scalars import Node
from stream.simulator.scene import Scene
from stream.simulator.string_finders import sentence

_PLANS_KEPT = 256
_TEXTS_KEPT = 2048
_KEPT_CHARS = 8192
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Composer:
    """Makes replies. Keeps the plans of the last 256 schemas and the last 2,048 replies to short texts."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._plans: dict[bytes, Node] = {}
        self._texts: dict[tuple[bytes | None, str, str | None, str | None], str] = {}

    def reply(self, ask: Ask, *, filler: str | None = None, prose: str | None = None) -> Reply:
        """What is answered. filler, prose: see `Scene`. Raises Refused for a schema that isn't one."""
        schema = self._schema(ask)
        key = (orjson.dumps(schema) if schema is not None else None, ask.user, filler, prose)
        text = self._texts.get(key)
        if text is None:
            text = self._composed(ask, schema, key[0], filler, prose)
            if len(ask.user) <= _KEPT_CHARS:
                _keep(self._texts, key, text, _TEXTS_KEPT)
        return Reply(text, as_tool=ask.form == "tool")

    def _composed(
        self, ask: Ask, schema: Mapping[str, Any] | None, key: bytes | None, filler: str | None, prose: str | None
    ) -> str:
        scene = Scene(Evidence(event_text(ask.user)), self.seed, filler=filler, prose=prose)
        if schema is None or key is None:
            return prose or filler or sentence(scene) or "There is no text to summarise."
        node = self._plans.get(key)
        if node is None:
            node = self._planned(schema)
            _keep(self._plans, key, node, _PLANS_KEPT)
        return orjson.dumps(node.make(scene, 0)).decode()

    @staticmethod
    def _schema(ask: Ask) -> Mapping[str, Any] | None:
        if ask.form in ("tool", "schema"):
            return ask.schema if ask.schema is not None else {"type": "object"}
        instructions = instructions_of(ask.system, ask.user)
        return shape_in(instructions) if ask.form == "object" else schema_in(instructions)

    @staticmethod
    def _planned(schema: Mapping[str, Any]) -> Node:
        try:
            return Planner(schema).node(schema)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Refused("bad_request", f"Invalid JSON Schema: {error}.") from error


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value, count: int) -> None:
    """Remember a value, the oldest of more than `count` is forgotten."""
    kept[key] = value
    if len(kept) > count:
        del kept[next(iter(kept))]
