"""What is wrong with a TOML text, in TOML's words: the parser speaks of Python's tuples and namespaces.

The line it happened on is quoted only where it is a setting or a table's name and nothing about it looks like a secret:
in a text that can't be parsed, nobody can be sure whose value a line belongs to.
"""

import re

from stream.core.printable import printable_line

_SHOWN_CHARS = 80

_KEY = r"\((?P<key>.*?)\)"
_WORDS = (
    (re.compile(rf"Cannot declare {_KEY} twice"), "[{key}] is declared twice"),
    (re.compile(rf"Cannot (?:mutate immutable|redefine) namespace {_KEY}"), "{key} is set already"),
    (re.compile(r"Cannot overwrite a value"), "a key is set twice"),
)
_NAME = re.compile(r"'([^']*)'")


_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_STATEMENT = re.compile(r"""\s*(?:(?:[\w.\-]|"[^"]*"|'[^']*')+\s*[=:]\s*|\[+[\w.\- ]*\]*\s*$)""")
_TABLE = re.compile(r"\s*\[\[?[^\[\]]+\]")
_SECRET = re.compile(
    r"key|secret|passw|passphrase|pwd|token(?!s)|credential|jaas|oauth|pem\b|\bsk-|://[^/\s]*@", re.IGNORECASE
)
_TYPOGRAPHIC = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
_TEXT_LIKE = re.compile(r"(?=.*(?:[^\W\d_]|\..*\.))[^\s=]+")


def toml_trouble(error: ValueError, text: str = "") -> str:
    """What tomllib complains of, with its place; no full stop at the end, at most 200 characters.

    text: what was parsed. With it the line follows, unless it may hold a secret, and what to do about a text that has
    no quotes; at most 200 characters more, control characters escaped.
    """
    said = str(error)
    place = _PLACE.search(said)
    for pattern, words in _WORDS:
        found = pattern.match(said)
        if found:
            key = ".".join(_NAME.findall(found.groupdict().get("key", "")))
            said = words.format(key=key) + said[found.end() :]
            break
    lines = text.replace("\r\n", "\n").split("\n")  # as tomllib counts them
    if not text or place is None or int(place[1]) > len(lines):
        return said[:200]
    lines = lines[: int(place[1])]
    quotable = _is_quotable(lines)
    line = f": {_shown(lines[-1].strip())}" if quotable else ""
    return said[:200] + line + _hint(said, lines[-1], int(place[2]) - 1, quotable=quotable)


def _is_quotable(lines: list[str]) -> bool:
    """Whether the last of these lines may be shown."""
    *before, line = lines
    above = "\n".join(before)
    in_a_text = above.count('"""') % 2 or above.count("'''") % 2
    table = next((each for each in reversed(before) if _TABLE.match(each)), "")
    return bool(_STATEMENT.match(line)) and not in_a_text and not _SECRET.search(f"{table}\n{line}")


def _hint(said: str, line: str, place: int, *, quotable: bool) -> str:
    """What to do about a value that is no TOML; empty where that isn't known. place: where it begins, from 0."""
    statement = _STATEMENT.match(line)
    if said.startswith("Expected newline") and statement:  # a text that begins like a number: 127.0.0.1:9092
        place = statement.end()
    elif not said.startswith("Invalid value"):
        return ""
    inside = statement is not None and re.search(r"[\[{]", line[statement.end() : place])
    word = re.split(r"[,\]}#]" if inside else "#", line[place:])[0].strip()
    if word.lower() in ("true", "false"):
        return f"; TOML writes it {word.lower()}"
    if not word or word[0] in "\"'[{" or (said.startswith("Expected") and not _TEXT_LIKE.fullmatch(word)):
        return ""
    word = word.strip(_TYPOGRAPHIC)
    example = f': "{_shown(word)}"' if quotable and word and not set(word) & set("\"'\\") else ""
    return f"; text needs quotes{example}"


def _shown(text: str) -> str:
    shown = printable_line(text[: _SHOWN_CHARS + 1])
    return shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "…"
