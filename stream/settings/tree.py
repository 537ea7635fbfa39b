"""What the file and the environment said, before it is checked: values, their sources, what is wrong."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream.settings.shape import Path, spelled


@dataclass(slots=True)
class Tree:
    """Nested tables as TOML gives them; filled in turn by the file and the environment."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def get(self, path: Path) -> Any:
        """The value at this path; None if there is none."""
        node: Any = self.values
        for name in path:
            node = node.get(name) if isinstance(node, Mapping) else None
        return node

    def put(self, path: Path, value: Any, source: str) -> None:
        """Set a value, making the tables above it; what stood there or below is forgotten. source: "" if unknown."""
        node = self.values
        for name in path[:-1]:
            inner = node.get(name)
            if not isinstance(inner, dict):
                inner = node[name] = {}
            node = inner
        node[path[-1]] = value
        for old in [known for known in self.sources if known[: len(path)] == path]:
            del self.sources[old]
        if source:
            self.sources[path] = source

    def drop(self, path: Path) -> None:
        """Take a value out; nothing happens if there is none."""
        table = self.get(path[:-1])
        if isinstance(table, dict):
            table.pop(path[-1], None)

    def source(self, path: Path) -> str:
        """Where the value at this path came from: itself, or the nearest table above it; empty for defaults."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        return ""

    def leaves(self, path: Path = ()) -> Iterator[Path]:
        """The paths of all values at or under `path` that aren't tables, and of tables that are empty."""
        value = self.get(path)
        if path and not (isinstance(value, Mapping) and value):
            yield path
            return
        for name in list(value if path else self.values):
            yield from self.leaves((*path, name))

    def at(self, path: Path) -> str:
        """The key with its source, to begin a sentence with."""
        source = self.source(path)
        return f"{spelled(path)} ({source})" if source else spelled(path)


def lines(text: str) -> dict[Path, int]:
    """On which line of a TOML text each key stands, as well as reading line by line can tell."""
    found: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            header = _path(stripped.split("#")[0].strip() + "\n")
            table = header if header is not None else table
            path = header
        else:
            key = _path(stripped.partition("=")[0] + "= 0\n") if "=" in stripped else None
            path = None if key is None else (*table, *key)
        for length in range(1, len(path or ()) + 1):
            found.setdefault((path or ())[:length], number)
    return found


def _path(toml: str) -> Path | None:
    """The path of the one key or table in this text; None if it is neither."""
    try:
        value: Any = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return None
    return tuple(_only_names(value))


def _only_names(value: Any) -> Iterator[str]:
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        yield name
