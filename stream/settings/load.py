"""Reads the settings: the file, then the environment over it; all that is wrong is said at once.

Which file: the one named by `-c`, else by `$LLM_STREAM_CONFIG`, else `./llm-stream.toml` if it is there, else none:
everything at its default.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr, ValidationError

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.core.toml_words import toml_trouble
from stream.settings import checks, environment, properties
from stream.settings.model import Settings
from stream.settings.shape import PROPERTIES, Key, Path, find, spelled
from stream.settings.tree import Tree, lines

FILE_VARIABLE = "LLM_STREAM_CONFIG"
DEFAULT_FILE = "llm-stream.toml"


class SettingsError(ConfigError):
    """The settings can't work.

    problems: a sentence each, never with a secret in it. tasks_path: where the tasks are nevertheless, None if unknown.
    properties: value and source of those for librdkafka that may be set, by name: it may find more to say of them.
    """

    def __init__(
        self,
        subject: str,
        problems: tuple[str, ...],
        tasks_path: FilePath | None = None,
        properties: Mapping[str, tuple[Any, str]] = MappingProxyType({}),
    ) -> None:
        listed = problems[0] if len(problems) == 1 else "".join(f"\n  • {problem}" for problem in problems)
        many = "" if len(problems) == 1 else f"{len(problems)} problems:"
        super().__init__(f"{subject}: {many}{listed}")
        self.problems = problems
        self.tasks_path = tasks_path
        self.properties = properties


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with where they came from.

    file: the file that was read, None if none was. sources: for every key that isn't at its default, by path, the file
    with its line, the environment variable, or the file a secret was read from.
    """

    settings: Settings
    file: FilePath | None
    sources: Mapping[Path, str]

    def source(self, path: Path) -> str:
        """Where the value at this path came from; "default" if nothing set it."""
        tree = Tree(sources=dict(self.sources))
        return tree.source(path) or "default"


def load(path: FilePath | None, environ: Mapping[str, str]) -> Loaded:
    """The settings. path: as `-c` gives it. Raises SettingsError with every problem, ConfigError for a file that can't
    be read."""
    file = chosen_file(path, environ)
    tree = Tree() if file is None else _read(file)
    checks.refuse_secrets_in_the_file(tree)
    environment.overlay(tree, environ)
    folder = None if file is None else file.parent
    checks.resolve_properties(tree, folder)
    checks.refuse_unknown_keys(tree)
    checks.refuse_unbuilt(tree)
    checks.contradictions(tree)
    _resolve_paths(tree, folder)
    settings = _validated(tree)
    if settings is None or tree.problems:
        problems = tuple(dict.fromkeys(tree.problems))
        raise SettingsError(_subject(file, problems), problems, _tasks_path(tree), _properties(tree))
    return Loaded(settings, file, tree.sources)


def chosen_file(path: FilePath | None, environ: Mapping[str, str]) -> FilePath | None:
    """Which file is read, None if none is. path: as `-c` gives it."""
    if path is not None:
        return path
    if environ.get(FILE_VARIABLE):
        return FilePath(environ[FILE_VARIABLE])
    return FilePath(DEFAULT_FILE) if FilePath(DEFAULT_FILE).exists() else None


def _subject(file: FilePath | None, problems: tuple[str, ...]) -> str:
    """Where to look: the file is not blamed for what only variables got wrong."""
    if file is None:
        return f"The settings (there is no {DEFAULT_FILE} here)"
    blamed = {environment.is_to_blame(problem) for problem in problems}
    if blamed == {True}:
        return "The environment"
    return f"{file} and the environment" if True in blamed else str(file)


def _tasks_path(tree: Tree) -> FilePath | None:
    path, key = tree.get(("tasks", "path")), find(("tasks", "path"))
    path = key.default if path is None and isinstance(key, Key) else path
    return FilePath(path) if isinstance(path, str) and path else None


def _properties(tree: Tree) -> dict[str, tuple[Any, str]]:
    table = tree.get(PROPERTIES)
    scalars = table.items() if isinstance(table, Mapping) else ()
    kinds = (str, int, float, SecretStr)
    return {name: (value, tree.source((*PROPERTIES, name))) for name, value in scalars if isinstance(value, kinds)}


def _read(file: FilePath) -> Tree:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {file}. Name another with -c or ${FILE_VARIABLE}, or make a project to "
            "start from with `llm-stream init DIR`."
        ) from None
    except OSError as error:
        raise ConfigError(f"The configuration file {file} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"The configuration file {file} is not UTF-8 (byte {error.start + 1:,}).") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration file {file} is not TOML: {toml_trouble(error, text)}.") from None
    return _placed(values, lines(text), file)


def _placed(values: dict[str, Any], places: Mapping[Path, int], file: FilePath) -> Tree:
    tree = Tree(values)
    table = tree.get(PROPERTIES)
    if isinstance(table, Mapping):
        values["kafka"]["properties"] = dict(properties.flattened(table))
        places = {
            (*PROPERTIES, ".".join(path[2:])) if path[:2] == PROPERTIES and len(path) > 2 else path: line
            for path, line in places.items()
        }
    for path in tree.leaves():
        near = next((places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in places), None)
        tree.sources[path] = file.name if near is None else f"{file.name}, line {near}"
    return tree


def _resolve_paths(tree: Tree, folder: FilePath | None) -> None:
    """Relative paths of the file count from its folder (see `checks.beside`); those of the environment from here."""
    if folder is None:
        return
    providers = tree.get(("providers",))
    names = list(providers) if isinstance(providers, Mapping) else []
    paths: list[Path] = [("tasks", "path"), ("worker", "state_dir"), *(("providers", n, "api_key_file") for n in names)]
    for path in paths:
        key, source, table = find(path), tree.source(path), tree.get(path[:-1])
        value = tree.get(path) or (key.default if isinstance(key, Key) else None)
        if isinstance(value, str) and value and not source.startswith("$") and isinstance(table, dict | None):
            tree.put(path, str(checks.beside(value, folder)), source)


def _validated(tree: Tree) -> Settings | None:
    try:
        return Settings.model_validate(tree.values, strict=True)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_context=False):
            tree.problems.append(_sentence(tree, wrong["type"], wrong["loc"], wrong["input"]))
        return None


def _sentence(tree: Tree, kind: str, loc: tuple[int | str, ...], value: Any) -> str:
    path = tuple(str(part) for part in loc)
    if path[-1] == "[key]":
        form = "PROVIDER:MODEL" if path[0] == "prices" else "up to 249 letters, digits, '.', '_' and '-'"
        return f"{tree.at(path[:-1])}: the name must be {form}."
    while find(path) is None and path:
        path = path[:-1]
    key = find(path)
    if kind == "missing" and isinstance(key, Key):
        return (
            f"{tree.at(path[:-1])}: {path[-1]} is missing; it must be {key.allowed}.{_only_variables(tree, path[:-1])}"
        )
    if not isinstance(key, Key):
        return f"{tree.at(path)} must be a table ([{spelled(path)}]), not {_shown(value)}."
    near = did_you_mean(value, key.choices) if isinstance(value, str) and key.choices else ""
    return f"{tree.at(path)} is {_shown(value)}; it must be {key.allowed}{near if 'did you' in near else ''}."


def _only_variables(tree: Tree, table: Path) -> str:
    """A hint where nothing but the environment speaks of a table: the file is missing, another folder's, or one of the
    two is misspelt."""
    sources = _sources(tree, table)
    if not sources or not all(source.startswith("$") for source in sources):
        return ""
    only = f" Only {', '.join(sorted(sources))} speaks of it"
    above, name = table[:-1], table[-1]
    written = [each for each in tree.get(above) if not all(s.startswith("$") for s in _sources(tree, (*above, each)))]
    near = difflib.get_close_matches(name[:100], written, n=1)
    if near:
        return f"{only}, and the file has [{spelled((*above, near[0]))}]: is one of the two misspelt?"
    if any(checks.NOT_KNOWN in problem for problem in tree.problems):
        return f"{only}."  # the rest may stand under the name that isn't known
    return f"{only}: is this the project's folder? Go there, or unset {'it' if len(sources) == 1 else 'them'}."


def _sources(tree: Tree, table: Path) -> set[str]:
    return {tree.source(path) for path in tree.leaves(table)}


def _shown(value: Any) -> str:
    """A value of the settings as TOML would write it, short; never a secret."""
    if isinstance(value, SecretStr):
        return "hidden"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    printable = "".join(char if char.isprintable() else "�" for char in text[:80])
    return printable + ("…" if len(text) > 80 else "")
