"""The tables of docs/configuration.md, made of the model.

To renew them: `python -m stream.settings.reference docs/configuration.md`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path as FilePath

from stream.codecs.strict_json import dumps
from stream.settings.checks import NOT_IN_THIS_VERSION
from stream.settings.properties import REFUSED
from stream.settings.shape import Key, Path, Table, settings_shape, spelled

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def with_tables(document: str) -> str:
    """The document with what stands between the two markers made anew."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def tables() -> str:
    """A section for each table of the file, and one for the properties that are refused."""
    sections = [section for name, node in settings_shape().keys.items() for section in _sections((name,), node)]
    return "\n".join([*sections, _refused()])


def _sections(path: Path, node: Key | Table) -> Iterator[str]:
    if not isinstance(node, Table):
        return
    if isinstance(node.each, Table):
        yield from _sections((*path, "NAME"), node.each)
        return
    rows = [_row(path, name, key) for name, key in node.keys.items() if isinstance(key, Key)]
    heading = f"### `[{spelled(path)}]`\n\n{node.description}\n"
    if rows:
        yield f"{heading}\n| key | default | it must be | |\n|---|---|---|---|\n" + "".join(rows)
    for name, inner in node.keys.items():
        yield from _sections((*path, name), inner)
    if isinstance(node.each, Key):
        yield heading


def _row(path: Path, name: str, key: Key) -> str:
    default = "required" if key.required else "unset" if key.default is None else f"`{dumps(key.default).decode()}`"
    general = tuple("*" if part == "NAME" else part for part in path)
    text = "Not in this version: must stay at its default." if (*general, name) in NOT_IN_THIS_VERSION else ""
    return f"| `{name}` | {default} | {key.allowed} | {' '.join(part for part in (key.description, text) if part)} |\n"


def _refused() -> str:
    rows = "".join(f"| `{name}` | {why} |\n" for name, why in REFUSED.items())
    return f"### Properties of librdkafka that are refused\n\n| property | because |\n|---|---|\n{rows}"


def main() -> None:
    """Renew the file named on the command line."""
    file = FilePath(sys.argv[1])
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
