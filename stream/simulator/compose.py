"""A value for a JSON Schema, made from a text: valid always, plausible as far as the text helps.

A schema is planned once and kept (by its bytes); composing is then a walk over the plan.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stream.simulator.ask import Refused
from stream.simulator.evidence import tokens_of
from stream.simulator.scalars import ABSENT, Constant, EnumNode, Node, NumberNode, StringNode
from stream.simulator.scene import Scene

SHALLOW = 6
"""From this depth on what may be left out is left out, so that recursive schemas end."""
DEEPEST = 64
"""A schema that still goes on here can't be filled in."""

_ITEM_WORDS = {"item", "items", "line", "lines", "position", "positions", "product", "products", "charges", "articles"}
_ITEM_FIELDS = {"description", "quantity", "qty", "price", "amount", "total", "unit"}


class ObjectNode(Node):
    """`object`: properties in the schema's order."""

    def __init__(self, properties: Mapping[str, Node], required: set[str], extra: Node | None, least: int) -> None:
        self.properties, self.required, self.extra, self.least = properties, required, extra, least

    def find(self, scene: Scene, depth: int) -> Any:
        if depth > DEEPEST:
            raise Refused("bad_request", f"The JSON Schema needs values nested deeper than {DEEPEST} levels.")
        value = {}
        for name, node in self.properties.items():
            if name in self.required:
                value[name] = node.make(scene, depth + 1)
            elif depth < SHALLOW and (found := node.find(scene, depth + 1)) is not ABSENT:
                value[name] = found
        if self.extra is not None and (not self.properties or len(value) < self.least):
            self._add_extra(value, scene, depth)
        return value

    def _add_extra(self, value: dict[str, Any], scene: Scene, depth: int) -> None:
        assert self.extra is not None  # noqa: S101  (for the type checker)
        names = ["_".join(words) for words in scene.evidence.labels if words][:3]
        names += [f"field_{number}" for number in range(1, self.least + 1)]
        wanted = max(self.least, 0 if depth >= SHALLOW else min(len(scene.evidence.labels), 3))
        for variant, name in enumerate(names):
            if len(value) >= wanted:
                return
            value.setdefault(name, self.extra.make(scene.evolve(variant=variant), depth + 1))


class ArrayNode(Node):
    """`array`: one element for each invoice line, word or address the text has; else as few as allowed."""

    def __init__(
        self, first: Sequence[Node], rest: Node | None, schema: Mapping[str, Any], path: Sequence[str]
    ) -> None:
        self.first, self.rest = first, rest
        self.least = int(schema.get("minItems", 0))
        self.most = int(schema.get("maxItems", 50))
        self.unique = bool(schema.get("uniqueItems"))
        own = set(tokens_of(path[-1])) if path else set()
        fields = {word for name in getattr(rest, "properties", ()) for word in tokens_of(name)}
        self.of_lines = isinstance(rest, ObjectNode) and (len(fields & _ITEM_FIELDS) >= 2 or bool(own & _ITEM_WORDS))
        self.of_words = bool(own & {"keywords", "keyword", "tags", "topics", "words"})

    def find(self, scene: Scene, depth: int) -> Any:
        value = [node.make(scene, depth + 1) for node in self.first]
        if self.rest is None or depth > DEEPEST:
            return value
        if depth < SHALLOW:
            value += self._offered(scene, depth)
        value = self._distinct(value) if self.unique else value
        variant = len(value)
        while len(value) < self.least and variant < self.least + 200:
            made = self._made(self.rest, scene.evolve(variant=variant), depth)
            variant += 1
            if not (self.unique and made in value):
                value.append(made)
        return value[: self.most]

    def _made(self, node: Node, scene: Scene, depth: int) -> Any:
        if isinstance(node, EnumNode):
            return node.choice.values[scene.variant % len(node.choice.values)]
        if self.unique and isinstance(node, NumberNode):
            return node.nth(scene.variant)
        made = node.make(scene, depth + 1)
        if not self.unique or scene.variant == 0:
            return made
        return f"{made} {scene.variant + 1}" if isinstance(made, str) else made

    def _offered(self, scene: Scene, depth: int) -> list[Any]:
        rest = self.rest
        assert rest is not None  # noqa: S101  (for the type checker)
        if self.of_lines:
            lines = scene.evidence.line_items[: self.most]
            return [rest.make(scene.evolve(item=line, variant=at), depth + 1) for at, line in enumerate(lines)]
        if isinstance(rest, EnumNode):
            return rest.choice.ranked(scene.evidence)[: min(3, self.most)]
        if isinstance(rest, StringNode) and self.of_words and rest.pattern is None and scene.filler is None:
            return [word for word in scene.evidence.words[:3] if rest.least <= len(word) <= rest.most]
        if isinstance(rest, ObjectNode) and scene.evidence.text and self.least == 0 and self.most > 0:
            return [rest.make(scene, depth + 1)]
        if isinstance(rest, StringNode | NumberNode) and scene.filler is None:
            return self._found_one_by_one(rest, scene, depth)
        return []

    def _found_one_by_one(self, rest: Node, scene: Scene, depth: int) -> list[Any]:
        offered: list[Any] = []
        for variant in range(min(3, self.most)):
            found = rest.find(scene.evolve(variant=variant), depth + 1)
            if found is ABSENT or found in offered:
                break
            offered.append(found)
        return offered

    @staticmethod
    def _distinct(values: list[Any]) -> list[Any]:
        kept: list[Any] = []
        for value in values:
            if value not in kept:
                kept.append(value)
        return kept


class UnionNode(Node):
    """`anyOf`, `oneOf` and lists of types: the first branch the text offers something for, null if none may be."""

    def __init__(self, branches: Sequence[Node], *, nullable: bool) -> None:
        self.branches, self.nullable = branches, nullable

    def find(self, scene: Scene, depth: int) -> Any:
        if self.nullable and depth >= SHALLOW:
            return None
        if len(self.branches) > 1 and all(isinstance(branch, ObjectNode) for branch in self.branches):
            return self._spoken_for(scene).make(scene, depth)
        for branch in self.branches:
            if (found := branch.find(scene, depth)) is not ABSENT:
                return found
        return None if self.nullable else ABSENT

    def _spoken_for(self, scene: Scene) -> Node:
        """Of several kinds of object the one whose constant (`type`, `kind`) the text speaks for."""
        kinds = {
            node.value: branch
            for branch in self.branches
            if isinstance(branch, ObjectNode)
            for node in branch.properties.values()
            if isinstance(node, Constant) and isinstance(node.value, str)
        }
        if not kinds:
            return self.branches[0]
        chosen = EnumNode(list(kinds), ("kind",)).make(scene, 0)
        return kinds[chosen]

    def invent(self, scene: Scene, depth: int) -> Any:
        simplest = min(self.branches, key=lambda branch: isinstance(branch, ObjectNode | ReferenceNode | ArrayNode))
        return (simplest if depth >= SHALLOW else self.branches[0]).invent(scene, depth)


class ReferenceNode(Node):
    """`$ref` to a part that is being planned: looked up when it is needed."""

    def __init__(self) -> None:
        self.target: Node | None = None

    def _resolved(self, depth: int) -> Node:
        if self.target is None or depth > DEEPEST:
            raise Refused("bad_request", "The JSON Schema refers to itself without end.")
        return self.target

    def find(self, scene: Scene, depth: int) -> Any:
        return self._resolved(depth).find(scene, depth + 1)

    def invent(self, scene: Scene, depth: int) -> Any:
        return self._resolved(depth).invent(scene, depth + 1)


class AnyNode(Node):
    """No type at all: whatever a string of that name would be."""

    def __init__(self, path: Sequence[str]) -> None:
        self.string = StringNode({}, path)

    def find(self, scene: Scene, depth: int) -> Any:
        return self.string.find(scene, depth)

    def invent(self, scene: Scene, depth: int) -> Any:
        return self.string.invent(scene, depth)
