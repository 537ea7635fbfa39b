"""Replies computed from requests: the same seed and ask give the same reply."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

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


class Composer:
    """Makes replies. Keeps the plans of the last 256 schemas."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._plans: OrderedDict[bytes, Node] = OrderedDict()

    def reply(self, ask: Ask, *, filler: str | None = None, prose: str | None = None) -> Reply:
        """What is answered. filler, prose: see `Scene`. Raises Refused for a schema that isn't one."""
        scene = Scene(Evidence(event_text(ask.user)), self.seed, filler=filler, prose=prose)
        schema = self._schema(ask)
        if schema is None:
            return Reply(prose or filler or self._summary(scene))
        value = self._plan(schema).make(scene, 0)
        return Reply(orjson.dumps(value).decode(), as_tool=ask.form == "tool")

    @staticmethod
    def _schema(ask: Ask) -> Mapping[str, Any] | None:
        if ask.form in ("tool", "schema"):
            return ask.schema if ask.schema is not None else {"type": "object"}
        instructions = instructions_of(ask.system, ask.user)
        return shape_in(instructions) if ask.form == "object" else schema_in(instructions)

    @staticmethod
    def _summary(scene: Scene) -> str:
        return sentence(scene) or "There is no text to summarise."

    def _plan(self, schema: Mapping[str, Any]) -> Node:
        key = orjson.dumps(schema)
        node = self._plans.get(key)
        if node is None:
            node = self._plans[key] = self._planned(schema)
            if len(self._plans) > _PLANS_KEPT:
                self._plans.popitem(last=False)
        return node

    @staticmethod
    def _planned(schema: Mapping[str, Any]) -> Node:
        try:
            return Planner(schema).node(schema)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Refused("bad_request", f"Invalid JSON Schema: {error}.") from error
