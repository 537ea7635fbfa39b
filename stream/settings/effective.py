"""What the settings come to, key by key, safe to show: secrets masked, and where each value came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from stream.codecs.redact import redact
from stream.settings.load import Loaded
from stream.settings.shape import Path, spelled

MASK = "***"


@dataclass(frozen=True, slots=True)
class Effective:
    """One key: how it is written, its value (JSON-ready, masked), and where that came from."""

    key: str
    value: Any
    source: str


def effective(loaded: Loaded) -> list[Effective]:
    """Every key of the settings, in the order of the model."""
    return [
        Effective(spelled(path), _masked(value), loaded.source(path))
        for path, value in _leaves(loaded.settings.model_dump(), ())
    ]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, (*path, name))


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    return redact(value) if isinstance(value, str) else value
