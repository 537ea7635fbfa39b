"""A prompt file's text, compiled once and checked at load, so that rendering can only fail by its data.

**The language** is a small part of Jinja2: text, `{{ }}`, `if`, `for`, `set`, comments, `raw`, and filters that are
deterministic and can't blow up. No calls, macros, includes, blocks: a prompt is read top to bottom. Undefined names are
errors, at load where they can be seen.

**Event text is only ever data.** The system part may name no variable at all. In the user part every `{{ }}` stands
between an opening and a closing tag, `<document>{{ document_text }}</document>`, read in the order of the source. The
event can't write these tags: wherever its text holds `<`, then optionally `/`, then the name of a tag that the template
uses (any case, white space or zero-width characters between, full-width forms too), or ends in the beginning of one,
that `<` becomes `&lt;`. All other text stays as it is.

**Values** appear as a person would write them: strings as they are, everything else as JSON (true, null, lists).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import pydantic_core
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stream.core.errors import ConfigError, RenderError
from stream.core.spelling import did_you_mean
from stream.tasks.problems import Problems

MAX_PROMPT_BYTES = 8 * 1024 * 1024
"""Of one rendered part, as UTF-8: as large as a request may be. What a model can read is the provider's to say."""

FILTERS = frozenset(
    {"abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "join", "last"}
    | {"length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select"}
    | {"selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"}
)

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign)
_HOLE = "\ue000"
_TAG = re.compile(
    rf"<(/?)([A-Za-z_][\w-]*)((?:\s[^<>{_HOLE}]*)?)>"  # a tag of the template's own
    rf"|(<(?=[/\w{_HOLE}])[^<>]*{_HOLE})"  # an expression inside a tag
    rf"|({_HOLE})"  # an expression
)
_LEFT_OVER = re.compile(r"\$?\{\{?\s*[^\W\d][\w.]*\s*\}?\}|%\([^\W\d]\w*\)s")
_RENDERING_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class PartSource:
    """One part of a prompt file: its text, and where it stands, for messages."""

    name: str
    text: str
    file: str
    first_line: int

    def at(self, line: int) -> str:
        """`prompts/x/v1.md line 12`, the line counted from 1 within the part."""
        return f"{self.file} line {self.first_line + line - 1}"


class _PromptEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2 with nothing in it that a prompt doesn't need."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, finalize: Callable[[Any], str]) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.globals.clear()

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers only: `"x" * 10**9` and `"%999999999d" % 1` fill the memory."""
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise jinja2.exceptions.SecurityError(f"{operator} is for numbers only, and ** isn't there")
        return super().call_binop(context, operator, left, right)


@dataclass(frozen=True, slots=True)
class UserTemplate:
    """The user part, compiled."""

    template: jinja2.Template
    file: str

    def render(self, values: dict[str, Any]) -> str:
        """The user part of the prompt. Raises RenderError (`too_long`, `template_error`)."""
        pieces: list[str] = []
        size = 0
        try:
            for piece in self.template.root_render_func(self.template.new_context(values)):
                size += len(piece)
                if size > MAX_PROMPT_BYTES:
                    raise _too_long()
                pieces.append(piece)
        except _RENDERING_ERRORS as error:
            raise RenderError("template_error", f"{self.file}: {type(error).__name__}: {error!s:.300}") from None
        text = "".join(pieces)
        if size * 4 > MAX_PROMPT_BYTES and len(text.encode("utf-8", "surrogatepass")) > MAX_PROMPT_BYTES:
            raise _too_long()
        return text


def compiled_system(part: PartSource) -> str:
    """The system part's text, which is the same for every request. Raises ConfigError."""
    problems = Problems()
    environment = _PromptEnvironment(finalize=_shown)
    tree = _parsed(environment, part)
    names = sorted(meta.find_undeclared_variables(tree))
    if names:
        used = ", ".join(f"{{{{ {name} }}}}" for name in names)
        problems.add(
            f"{part.file}: the system part uses {used}: what an event says may only stand in the user part. "
            f"Move it there, inside a tag; if the braces are meant, write {{% raw %}}…{{% endraw %}}."
        )
    _refuse_left_overs(environment, part, problems)
    problems.refuse()
    try:
        return environment.from_string(tree).render()
    except _RENDERING_ERRORS as error:
        raise ConfigError(f"{part.file}: the system part can't be rendered: {error}.") from None


def compiled_user(part: PartSource, fields: frozenset[str] | None) -> UserTemplate:
    """The user part, whose variables are the fields of Input; None: which they are isn't known. Raises ConfigError."""
    problems = Problems()
    lexer = _PromptEnvironment(finalize=_shown)
    tree = _parsed(lexer, part)
    for name in sorted(meta.find_undeclared_variables(tree)):
        if fields is not None and name not in fields:
            problems.add(f"{part.file} uses {{{{ {name} }}}} but Input has no such field{did_you_mean(name, fields)}.")
    _refuse_left_overs(lexer, part, problems)
    tags = problems.tried(lambda: _tags_around_expressions(lexer, part))
    problems.refuse()
    environment = _PromptEnvironment(finalize=_guarding(tags or frozenset()))
    return UserTemplate(environment.from_string(tree), part.file)


def _parsed(environment: _PromptEnvironment, part: PartSource) -> nodes.Template:
    try:
        tree = environment.parse(part.text)
        _refuse_statements(tree, part)
        environment.compile(tree)  # finds unknown filters and tests
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{part.at(error.lineno)}: {error.message}") from None
    return environment.parse(part.text)  # compiling changes the tree


def _refuse_statements(tree: nodes.Template, part: PartSource) -> None:
    problems = Problems()
    for node in tree.find_all((nodes.Stmt, nodes.Call)):
        if not isinstance(node, _STATEMENTS) or (isinstance(node, nodes.For) and node.recursive):
            what = "call" if isinstance(node, nodes.Call) else type(node).__name__.lower()
            problems.add(
                f"{part.at(node.lineno)}: prompts have no {what}: only text, {{{{ }}}}, if, for, set and filters."
            )
    problems.refuse()


def _owned_text(environment: _PromptEnvironment, part: PartSource) -> Iterator[tuple[int, str, str]]:
    """(line, kind, text) in the order of the source; kind is data, raw (between `raw` and `endraw`) or hole."""
    raw = False
    for line, kind, text in environment.lex(part.text):
        if kind in {"raw_begin", "raw_end"}:
            raw = kind == "raw_begin"
        elif kind == "data":
            yield line, "raw" if raw else "data", text
        elif kind == "variable_begin":
            yield line, "hole", _HOLE


def _refuse_left_overs(environment: _PromptEnvironment, part: PartSource, problems: Problems) -> None:
    for line, kind, text in _owned_text(environment, part):
        for found in _LEFT_OVER.finditer(text) if kind == "data" else ():
            problems.add(
                f"{part.at(line + text.count(chr(10), 0, found.start()))}: unrendered placeholder {found.group()}: "
                f"variables are written {{{{ name }}}}; if the braces are meant, write {{% raw %}}…{{% endraw %}}."
            )


def _tags_around_expressions(environment: _PromptEnvironment, part: PartSource) -> frozenset[str]:
    """The names of all tags in the text; raises ConfigError where an expression stands outside of every pair."""
    pieces = list(_owned_text(environment, part))
    lines = [line for line, kind, _ in pieces if kind == "hole"]
    skeleton = "".join(text.replace(_HOLE, "") if kind != "hole" else text for _, kind, text in pieces)
    open_tags: list[tuple[str, int]] = []  # name, how many expressions came before
    names: set[str] = set()
    exposed = set(range(len(lines)))
    seen = 0
    for found in _TAG.finditer(skeleton):
        closing, name, rest, inside_tag, hole = found.groups()
        if hole:
            seen += 1
        elif inside_tag:
            seen += inside_tag.count(_HOLE)
            raise ConfigError(f"{part.at(lines[seen - 1])}: {{{{ }}}} stands inside a tag; put it between two tags.")
        else:
            names.add(name)
            if closing:
                exposed -= _enclosed(open_tags, name, seen)
            elif not rest.endswith("/"):
                open_tags.append((name, seen))
    problems = Problems()
    for line in sorted({lines[place] for place in exposed}):
        problems.add(
            f"{part.at(line)}: {{{{ }}}} stands outside of any tag, so the event's text could pass for yours; "
            f"wrap it, as in <document>{{{{ document_text }}}}</document>."
        )
    problems.refuse()
    return frozenset(names)


def _enclosed(open_tags: list[tuple[str, int]], name: str, seen: int) -> set[int]:
    """Which expressions the closing tag encloses; drops it, and what was left open inside it, from the open ones."""
    for position in range(len(open_tags) - 1, -1, -1):
        if open_tags[position][0] == name:
            before = open_tags[position][1]
            del open_tags[position:]
            return set(range(before, seen))
    return set()


def _guarding(tags: frozenset[str]) -> Callable[[Any], str]:
    """What turns a value into text that can't write one of these tags."""
    names = "|".join(sorted(map(re.escape, tags), key=len, reverse=True))
    beginnings = "|".join(sorted({re.escape(tag[:end]) for tag in tags for end in range(len(tag))}, key=len))
    gap = r"[\s\u00ad\u200b-\u200f\u2060\ufeff]*+"
    tag_start = re.compile(
        rf"[<\uff1c\ufe64](?={gap}(?:[/\uff0f]{gap})?+(?:(?:{names})(?![\w-])|(?:{beginnings})\Z))", re.IGNORECASE
    )

    def guarded(value: Any) -> str:
        text = value if type(value) is str else _shown(value)
        if "<" in text or (not text.isascii() and ("\uff1c" in text or "\ufe64" in text)):
            return tag_start.sub("&lt;", text)
        return text

    return guarded


def _shown(value: Any) -> str:
    """A value as text: strings as they are, dates and enum values as JSON spells them, the rest as JSON."""
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises: StrictUndefined
    plain = pydantic_core.to_jsonable_python(value)
    return plain if isinstance(plain, str) else pydantic_core.to_json(plain).decode()


def _too_long() -> RenderError:
    return RenderError(
        "too_long", f"The rendered prompt is larger than {MAX_PROMPT_BYTES:,} bytes; nothing was sent, nothing is paid."
    )
