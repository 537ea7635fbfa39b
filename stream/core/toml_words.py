"""What is wrong with a TOML text, in TOML's words: the parser speaks of Python's tuples and namespaces."""

import re

_KEY = r"\((?P<key>.*?)\)"
_WORDS = (
    (re.compile(rf"Cannot declare {_KEY} twice"), "[{key}] is declared twice"),
    (re.compile(rf"Cannot (?:mutate immutable|redefine) namespace {_KEY}"), "{key} is set already"),
    (re.compile(r"Cannot overwrite a value"), "a key is set twice"),
)
_NAME = re.compile(r"'([^']*)'")


def toml_trouble(error: ValueError) -> str:
    """What tomllib complains of, with its place; no full stop at the end, at most 200 characters."""
    text = str(error)
    for pattern, words in _WORDS:
        found = pattern.match(text)
        if found:
            key = ".".join(_NAME.findall(found.groupdict().get("key", "")))
            text = words.format(key=key) + text[found.end() :]
            break
    return text[:200]
