"""A prompt version's file: YAML front matter between `---` lines, then `# system` and `# user`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frontmatter
import yaml  # type: ignore[import-untyped]  # python-frontmatter's own parser; its errors surface here

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.tasks.template import PartSource

_PARTS = ("system", "user")
_HEADING = re.compile(r"^#[ \t]+(system|user)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_ONE_WORD = re.compile(r"[#*\s]*(\w+)[*:\s]*")
_HEADING_LIKE = re.compile(r"^#.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PromptFile:
    """content: the file's bytes, as they are hashed. front: its settings, unchecked. body: what follows them, from
    `first_line` on."""

    path: Path
    content: bytes
    front: dict[str, Any]
    body: str
    first_line: int


def read_prompt(path: Path) -> PromptFile:
    """The file, its front matter read. Raises ConfigError."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        front, body = frontmatter.parse(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise ConfigError(f"{path}: the front matter is not YAML: {' '.join(str(error).split())}") from None
    if text.startswith("---") and not front:  # anything but a mapping is dropped in silence
        raise ConfigError(f"{path}: the front matter holds no settings; write key: value lines, or leave it out.")
    first_line = text[: text.rindex(body)].count("\n") + 1 if body else 1
    return PromptFile(path, content, dict(front), body, first_line)


def prompt_parts(prompt: PromptFile) -> tuple[PartSource, PartSource]:
    """The system part, which may be missing or empty, and the user part, which may not. Raises ConfigError."""
    parts = _parts(prompt.path, prompt.body, prompt.first_line)
    if "user" not in parts or not parts["user"].text:
        raise ConfigError(
            f'{prompt.path}: there is no "# user" part: it holds what is said about each event{_mistyped_user(prompt)}.'
        )
    return parts.get("system", PartSource("system", "", str(prompt.path), 1)), parts["user"]


def _mistyped_user(prompt: PromptFile) -> str:
    """Which heading may have been meant; empty if none."""
    for found in _HEADING_LIKE.finditer(prompt.body):
        meant = _meant(found.group())
        if '"# user"' in meant and not _HEADING.fullmatch(found.group()):
            return (
                f": line {prompt.first_line + prompt.body.count(chr(10), 0, found.start())} is another heading{meant}"
            )
    return ""


def _meant(line: str) -> str:
    """` (did you mean "# user"?)` for a line of one word that is nearly a heading; else empty."""
    word = _ONE_WORD.fullmatch(line)
    near = did_you_mean(word.group(1).lower(), _PARTS) if word else ""
    return next((f' (did you mean "# {name}"?)' for name in _PARTS if f"did you mean {name}?" in near), "")


def _parts(path: Path, body: str, first_line: int) -> dict[str, PartSource]:
    headings = list(_HEADING.finditer(body))
    before = body[: headings[0].start()] if headings else body
    if before.strip():
        blank = len(before) - len(before.lstrip())
        line = first_line + before.count("\n", 0, blank)
        meant = _meant(before[blank:].split("\n")[0])
        raise ConfigError(
            f'{path} line {line}: text before the first heading: start with a line "# system" or "# user"{meant}.'
        )
    parts: dict[str, PartSource] = {}
    ends = [heading.start() for heading in headings[1:]] + [len(body)]
    for heading, end in zip(headings, ends, strict=True):
        name = heading.group(1).lower()
        if name in parts:
            raise ConfigError(f'{path}: the heading "# {name}" stands there twice.')
        text = body[heading.end() : end]
        start = len(text) - len(text.lstrip())
        line = first_line + body.count("\n", 0, heading.end() + start)
        parts[name] = PartSource(name, text.strip(), str(path), line)
    return parts
