"""Strings, numbers, flags and enums that are valid for their schema and found in the text where it has them."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from stream.simulator.evidence import tokens_of
from stream.simulator.number_fields import NUMBER_HINTS, first_number
from stream.simulator.patterns import string_for
from stream.simulator.scene import Scene
from stream.simulator.string_fields import HINTS, StringHint
from stream.simulator.string_finders import sentence
from stream.simulator.string_formats import FORMATS
from stream.simulator.wording import Choice, speaks_for

ABSENT: Any = object()
"""Nothing in the text fits."""

_GENERIC = {
    "name",
    "id",
    "number",
    "no",
    "code",
    "value",
    "text",
    "label",
    "type",
    "date",
    "amount",
    "total",
    "address",
    "email",
    "rate",
    "content",
    "description",
    "due",
}


class Node(ABC):
    """A part of a schema, planned. `find` gives what the text offers or ABSENT; `make` always a valid value.

    depth: how many objects, arrays and references have been entered; what can end early does so when it is large.
    """

    @abstractmethod
    def find(self, scene: Scene, depth: int) -> Any:
        """What the text offers, or ABSENT."""

    def make(self, scene: Scene, depth: int) -> Any:
        """What the text offers, else something made up."""
        found = self.find(scene, depth)
        return self.invent(scene, depth) if found is ABSENT else found

    def invent(self, scene: Scene, depth: int) -> Any:
        """Something made up, valid and plausible; only asked for where `find` may give ABSENT."""
        return self.find(scene, depth)


def hint_name(path: Sequence[str]) -> str:
    """A field's name as words; names that say little on their own (`name`, `id`) with their parent's before them."""
    own = tokens_of(path[-1]) if path else ()
    if len(path) > 1 and set(own) <= _GENERIC:
        own = (*tokens_of(path[-2]), *own)
    return " ".join(own)


_SHORT_CODE = re.compile(r"currency|language|country")
"""A careless model still knows the form of these: it fills placeholders into names and texts."""


class Constant(Node):
    """`const`, and `null`."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def find(self, scene: Scene, depth: int) -> Any:
        return self.value


class EnumNode(Node):
    """`enum`."""

    def __init__(self, values: Sequence[Any], path: Sequence[str]) -> None:
        self.choice = Choice(values)
        self.purpose = ".".join(path)

    def find(self, scene: Scene, depth: int) -> Any:
        ranked = self.choice.ranked(scene.evidence)
        return ranked[0] if ranked else ABSENT

    def invent(self, scene: Scene, depth: int) -> Any:
        return self.choice.chosen(scene.evidence, scene.digest(self.purpose), self.purpose)


class BooleanNode(Node):
    """A flag holds if the text speaks for its name."""

    def __init__(self, path: Sequence[str]) -> None:
        self.sign = speaks_for(path[-1]) if path else None

    def find(self, scene: Scene, depth: int) -> Any:
        return bool(self.sign and self.sign.search(scene.evidence.lower))


class NumberNode(Node):
    """`number` and `integer` within their bounds."""

    def __init__(self, schema: Mapping[str, Any], path: Sequence[str], *, integer: bool) -> None:
        name = hint_name(path)
        self.hint = next((row for row in NUMBER_HINTS if row.pattern.search(name)), None)
        self.label = tokens_of(path[-1]) if path else ()
        self.integer = integer
        step = schema.get("multipleOf")
        self.step = float(step) if isinstance(step, int | float) and step > 0 else (1.0 if integer else 0.0)
        tiny = self.step or 1e-6
        self.low = _bound(schema, "minimum", "exclusiveMinimum", tiny, max)
        self.high = _bound(schema, "maximum", "exclusiveMaximum", -tiny, min)

    def find(self, scene: Scene, depth: int) -> Any:
        value = self.hint.find(scene) if self.hint else None
        if value is None and self.hint is None:
            labelled = scene.evidence.labelled(self.label)
            value = first_number(scene.evolve(evidence=type(scene.evidence)(labelled))) if labelled else None
        return ABSENT if value is None or self._fitted(value) != value else self._typed(value)

    def invent(self, scene: Scene, depth: int) -> Any:
        if self.hint is not None:
            value = self.hint.invent(scene)
        else:
            found = first_number(scene)
            value = found if found is not None and self._fitted(found) == found else self._drawn(scene)
        if not self.low <= value <= self.high:
            value = self._drawn(scene)
        return self._typed(self._fitted(value))

    def nth(self, at: int) -> int | float:
        """Different numbers for different `at`, as long as the bounds leave room."""
        start = self.low if self.low > -math.inf else min(1.0, self.high)
        step = self.step or min(1.0, (self.high - start) / 64)
        return self._typed(self._fitted(start + at * step))

    def _drawn(self, scene: Scene) -> float:
        low = self.low if self.low > -math.inf else min(1.0, self.high)
        high = self.high if self.high < math.inf else low + 9
        return low + (high - low) * (0.55 + 0.4 * scene.fraction(".".join(self.label)))

    def _fitted(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if not self.step:
            return round(value, 6)
        steps = round(value / self.step)
        if steps * self.step > self.high:
            steps = math.floor(self.high / self.step)
        elif steps * self.step < self.low:
            steps = math.ceil(self.low / self.step)
        return round(steps * self.step, 9)

    def _typed(self, value: float) -> int | float:
        return int(value) if self.integer else value


def _bound(schema: Mapping[str, Any], closed: str, opened: str, inward: float, strictest: Any) -> float:
    bounds = []
    if isinstance(schema.get(closed), int | float):
        bounds.append(float(schema[closed]))
    if isinstance(schema.get(opened), int | float) and not isinstance(schema.get(opened), bool):
        bounds.append(float(schema[opened]) + inward)
    return float(strictest(bounds)) if bounds else math.inf * (-1 if strictest is max else 1)


class StringNode(Node):
    """`string` with its format, pattern and length."""

    def __init__(self, schema: Mapping[str, Any], path: Sequence[str]) -> None:
        self.name = hint_name(path)
        self.hint: StringHint | None = next((row for row in HINTS if row.pattern.search(self.name)), None)
        self.number = None if self.hint else next((row for row in NUMBER_HINTS if row.pattern.search(self.name)), None)
        self.label = tokens_of(path[-1]) if path else ()
        self.format = str(schema.get("format", ""))
        self.source = str(schema.get("pattern", ""))
        self.pattern = _compiled(self.source)
        self.least = int(schema.get("minLength", 0))
        self.most = int(schema.get("maxLength", 1_000_000))

    def find(self, scene: Scene, depth: int) -> Any:
        if not self.format and self.pattern is None and (override := self._override(scene)) is not None:
            return override
        if self.format in FORMATS:
            found = FORMATS[self.format](scene, self.name, False)
            return ABSENT if found is None else found
        value = self._found(scene)
        if value is not None and self._fits(value):
            return value
        if value is not None and self.pattern is None and len(value) > self.most:
            return value[: self.most].rstrip()
        return ABSENT if value is None and self.hint is not None else self._matching(scene)

    def _override(self, scene: Scene) -> str | None:
        if scene.filler is not None and not _SHORT_CODE.fullmatch(self.name):
            return scene.filler
        return scene.prose if self.hint is not None and self.hint.prose else None

    def _found(self, scene: Scene) -> str | None:
        if self.number is not None:
            amount = self.number.find(scene)
            return None if amount is None else f"{amount:.2f}"
        if self.hint is not None:
            return self.hint.find(scene)
        return scene.evidence.labelled(self.label) or None

    def _fits(self, value: str) -> bool:
        return self.least <= len(value) <= self.most and (self.pattern is None or bool(self.pattern.search(value)))

    def _matching(self, scene: Scene) -> Any:
        if self.pattern is None:
            return ABSENT
        inner = _compiled(self.source.removeprefix("^").removesuffix("$"))
        found = inner.search(scene.evidence.text) if inner else None
        return found[0] if found and found[0] and self._fits(found[0]) else ABSENT

    def invent(self, scene: Scene, depth: int) -> Any:
        if self.format in FORMATS:
            return FORMATS[self.format](scene, self.name, True)
        if self.hint is not None:
            value = self.hint.invent(scene)
        elif self.number is not None:
            value = f"{self.number.invent(scene):.2f}"
        else:
            quoted = scene.evidence.quoted
            value = (quoted[0] if quoted else sentence(scene)) or "A short note."
        if self.pattern is not None and not self.pattern.search(value):
            drawn = string_for(self.source, lambda n: scene.digest(self.name + self.source + str(n)) % n)
            value = drawn if self.pattern.search(drawn) else value
        if len(value) > self.most:
            value = value[: self.most].strip() or "x" * self.most
        while len(value) < self.least:
            value += f" {value}" if value else "note"
        return value if len(value) <= self.most else value[: self.most]


def _compiled(source: str) -> re.Pattern[str] | None:
    """JSON Schema's dialect is ECMA-262; what Python doesn't understand is ignored."""
    try:
        return re.compile(source) if source else None
    except re.error:
        return None
