"""Settings from the environment: `LLM_STREAM__SECTION__KEY`, one variable a key.

Tables whose names people choose and lists are JSON (`LLM_STREAM__PRICES='{...}'`); of an entry in such a table single
keys can be set too (`LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL`). For a librdkafka property dots become underscores
(`LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD`).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from stream.codecs.strict_json import StrictJsonError, parse
from stream.core.spelling import did_you_mean
from stream.settings import properties
from stream.settings.misspelt import SETTINGS, misspelt
from stream.settings.shape import PROPERTIES, Key, Path, Table, settings_shape, spelled
from stream.settings.tree import Tree

PREFIX = SETTINGS
_NOT_JSON = re.compile(r"Not JSON at (line [\d,]+, column [\d,]+): ")  # behind it the parser says what it expected
_TRUTH = {"true": True, "false": False}


def overlay(tree: Tree, environ: Mapping[str, str]) -> None:
    """Put what the environment says over the tree; what can't be taken is added to its problems."""
    # Whole tables come before single keys of theirs: JSON sets the table, the single key then wins.
    for variable in sorted(environ, key=lambda name: (name.count("__"), name)):
        if variable.startswith(PREFIX):
            _take(tree, variable, environ[variable])
    tree.problems.extend(misspelt(environ, _key_variables(tree)))


def _key_variables(tree: Tree) -> frozenset[str]:
    """The variables that the settings name as those of keys."""
    providers = tree.get(("providers",))
    names = providers if isinstance(providers, Mapping) else ()
    return frozenset(str(tree.get(("providers", name, "api_key_env"))) for name in names)


def variable_for(path: Path) -> str:
    """The environment variable that sets this key."""
    return PREFIX + "__".join(re.sub(r"[^A-Za-z0-9_]", "_", name).upper() for name in path)


def is_to_blame(problem: str) -> bool:
    """Whether this problem of a tree is a variable's: it begins with its name, or gives it as the source."""
    return problem.startswith(PREFIX.rstrip("_")) or f"(${PREFIX}" in problem


def _take(tree: Tree, variable: str, text: str) -> None:
    parts = variable.removeprefix(PREFIX).split("__")
    path: Path = ()
    node: Key | Table | None = settings_shape()
    for part in parts:
        if not isinstance(node, Table) or not part:
            node = None
            break
        name = _name(tree, path, node, part)
        if name is None:
            tree.problems.append(f"{variable}: {spelled(path) or 'the file'} has no such key{_near(node, part)}.")
            return
        path, node = (*path, name), node.get(name)
    if node is None:
        tree.problems.append(f"{variable} names no key; {spelled(path)} is not a table.")
        return
    try:
        value = _value(node, text)
    except ValueError as wrong:
        tree.problems.append(f"{variable} ({spelled(path)}) {wrong}.")
        return
    tree.put(path, value, f"${variable}")


def _name(tree: Tree, path: Path, table: Table, part: str) -> str | None:
    """The key or entry of the table that the variable's part means; None if there is none."""
    if path == PROPERTIES:
        return properties.from_variable(part)
    lower = part.lower()
    if lower in table.keys or table.each is None:
        return lower if lower in table.keys else None
    entries = tree.get(path)
    for entry in entries if isinstance(entries, Mapping) else ():
        if variable_for((entry,)) == variable_for((part,)):
            return str(entry)
    return lower if path != ("prices",) else None  # a price's name has a colon and capitals, which a variable can't say


def _near(table: Table, part: str) -> str:
    if table.each is not None:
        return "; set the whole table as JSON instead"
    return did_you_mean(part.lower(), table.keys)


def _value(node: Key | Table, text: str) -> Any:
    """The text as what the key holds. Raises ValueError with the end of a sentence."""
    if isinstance(node, Table):
        return _json(text, Mapping, "a JSON object")
    if node.kind == "array":
        return _json(text, list, 'a JSON list such as ["a", "b"]')
    if node.kind == "boolean":
        if text.lower() not in _TRUTH:
            raise ValueError(f"is {text[:80]!r}; it must be {node.allowed}")
        return _TRUTH[text.lower()]
    if node.kind not in {"integer", "number"}:
        return text
    if not text and node.default is None and not node.required:
        return None
    try:
        number = int(text) if node.kind == "integer" else float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"is {text[:80]!r}; it must be {node.allowed}")
    return number


def _json(text: str, kind: Any, wanted: str) -> Any:
    try:
        value = parse(text)
    except StrictJsonError as error:
        stops = _NOT_JSON.match(str(error))
        why = f"but is not JSON ({stops[1]})" if stops else f"but: {str(error).rstrip('.')}"
        raise ValueError(f"must be {wanted}, {why}") from None
    if not isinstance(value, kind):
        raise ValueError(f"must be {wanted}")  # noqa: TRY004  (one kind of error for one kind of trouble)
    return value
