"""JSON paths as every message here writes them: `$.items[0].total`, `$["odd key"]`; `[*]` for any item."""

import json
import re

ROOT = "$"

_PLAIN = re.compile(r"[^\W\d]\w*")
_INDEX = re.compile(r"\[\d+\]")


def member(path: str, key: str) -> str:
    """The path of an object's member."""
    return f"{path}.{key}" if _PLAIN.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def item(path: str, index: int) -> str:
    """The path of an array's item, counted from 0."""
    return f"{path}[{index}]"


def pattern(path: str) -> str:
    """The path with every index replaced by `[*]`: how settings name a field of a list's items."""
    return _INDEX.sub("[*]", path)
