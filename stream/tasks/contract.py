"""A task's `contract.py`: what goes in and what must come out, as two Pydantic models named Input and Output.

Loaded in isolation: under a name of its own, `sys.path` untouched, bytecode neither written nor read, so that a folder
may be read-only and two tasks may use the same class names. It may import whatever is installed, but no file beside it.
What it prints goes to stderr, while it is loaded and when its models check a value: stdout is the commands' data.

Both models, and every model inside them, must have `extra="forbid"` and `allow_inf_nan=False`: a reply with a field
nobody asked for, or a NaN, is not a reply to the question. Output's fields and types must all be expressible as JSON
Schema, which is what providers are asked for.
"""

import builtins
import contextlib
import dataclasses
import hashlib
import importlib.util
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import IO, Any

from pydantic import BaseModel, RootModel
from pydantic.errors import PydanticUserError
from typing_extensions import TypeAliasType, is_typeddict

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.tasks.problems import Problems

FIX = 'model_config = ConfigDict(extra="forbid", allow_inf_nan=False)'


@dataclass(frozen=True, slots=True)
class Contract:
    """Input and Output with their JSON Schemas (2020-12), made once."""

    input_model: type[BaseModel]
    output_model: type[BaseModel]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


def load_contract(path: Path) -> Contract:
    """The contract in this file. Raises ConfigError, naming file, class and remedy."""
    with contextlib.redirect_stdout(sys.stderr):
        return _loaded(path)


def _loaded(path: Path) -> Contract:
    problems = Problems()
    module = _module(path)
    models: dict[str, type[BaseModel]] = {}
    for name in ("Input", "Output"):
        model = problems.tried(partial(_model, module, name, path))
        if model is not None:
            models[name] = model
    _refuse_lax({root: _reachable(model, path, problems) for root, model in models.items()}, path, problems)
    if "Output" in models and not models["Output"].model_fields:
        problems.add(f"{path}: Output has no fields: there is nothing to ask a model for.")
    problems.refuse()
    schemas = {name: _schema(model, path) for name, model in models.items()}
    return Contract(models["Input"], models["Output"], schemas["Input"], schemas["Output"])


class _FreshSource(SourceFileLoader):
    """Compiles the source each time: no `__pycache__` is written, and no stale one believed."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"{path} is missing: it holds the classes Input and Output.")
    name = "llm_stream_contract_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_loader(name, _FreshSource(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} can't be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    vars(module)["print"] = _print
    sys.modules[name] = module  # where Pydantic looks up annotations that are strings
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # an operator's module may raise anything when imported
        del sys.modules[name]
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path} can't be imported: {what}{_line_in(path, error)}") from error
    return module


def _print(*values: object, file: IO[str] | None = None, **options: Any) -> None:
    """Python's own, but for where it prints unless told."""
    builtins.print(*values, file=sys.stderr if file is None else file, **options)


def _line_in(path: Path, error: BaseException) -> str:
    """Where in the file it happened, as ` (line 3)`; empty where that isn't known."""
    if isinstance(error, SyntaxError):
        return ""  # its own message says the line
    trace = error.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f" (line {line})"


def _model(module: ModuleType, name: str, path: Path) -> type[BaseModel]:
    found = getattr(module, name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if isinstance(value, type) and value is not BaseModel]
        raise ConfigError(f"{path}: the class {name} is missing{did_you_mean(name, classes)}.")
    if not isinstance(found, type) or not issubclass(found, BaseModel) or issubclass(found, RootModel):
        raise ConfigError(f"{path}: {name} must be a class {name}(BaseModel) with fields, it is {found!r:.100}.")
    try:
        found.model_rebuild()
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"{path}: {name} names a type that isn't there: {error}") from None
    return found


def _refuse_lax(models: Mapping[str, Iterable[type[BaseModel]]], path: Path, problems: Problems) -> None:
    """All at once. models: those that Input and Output can hold, themselves included."""
    lax: dict[type[BaseModel], str] = {}
    for root, parts in models.items():
        for model in parts:
            if _is_lax(model):
                lax.setdefault(model, model.__name__ + ("" if model.__name__ == root else f" (inside {root})"))
    if lax:
        each = "the class" if len(lax) == 1 else "each class"
        problems.add(f"{path}: {_listed(lax.values())} must refuse unknown fields and NaN; add to {each}: {FIX}")


def _is_lax(model: type[BaseModel]) -> bool:
    takes_more = model.model_config.get("extra") != "forbid" and not issubclass(model, RootModel)
    return takes_more or model.model_config.get("allow_inf_nan") is not False


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _reachable(root: type[BaseModel], path: Path, problems: Problems) -> list[type[BaseModel]]:
    """The model and every model its fields can hold."""
    found = [root]
    for model in found:  # grows while it is walked
        for name, field in model.model_fields.items():
            for part in _types_in(field.annotation, frozenset()):
                if issubclass(part, BaseModel):
                    found += [part] if part not in found else []
                elif dataclasses.is_dataclass(part) or is_typeddict(part):
                    problems.add(
                        f"{path}: {model.__name__}.{name}: {part.__name__} must be a class {part.__name__}(BaseModel): "
                        f"only that can refuse unknown fields."
                    )
    return found


def _types_in(annotation: Any, seen: frozenset[int]) -> Iterator[type]:
    if isinstance(annotation, TypeAliasType):
        if id(annotation) not in seen:
            yield from _types_in(annotation.__value__, seen | {id(annotation)})
    elif typing.get_origin(annotation) is typing.Literal:
        return
    elif args := typing.get_args(annotation):
        for arg in args:
            yield from _types_in(arg, seen)
    elif isinstance(annotation, type):
        yield annotation


def _schema(model: type[BaseModel], path: Path) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(f"{path}: {model.__name__} can't be said as JSON Schema: {error.message}") from None
