"""`placeholder`: a value that stands for a missing one ("N/A", "unknown", "-", "{customer_name}").

Only whole values count, after white space, zero-width characters, case and surrounding punctuation are taken off: a
text that merely mentions "n/a" is text. The words are in `placeholder_words.py`, by language.

Options: `allow = { "$.customer_name" = ["Null"] }`, values that are real at that path, letter by letter.
"""

import re
import unicodedata
from typing import Any

from stream.core.errors import ConfigError, Violation
from stream.validation.blank import ZERO_WIDTH, is_blank
from stream.validation.check import Check, Reply, options_table, pattern_of, quoted, refuse_unknown_path, violation
from stream.validation.placeholder_words import WHERE, WORDS
from stream.validation.shape import Shape

NAME = "placeholder"
LONGEST = 60
"""Characters of a value that can be a placeholder, what surrounds it included."""

_MARKS = (
    " \t\r\n\f\v-_.,;:!?()[]{}<>*/\\~=#+|^\"'`"
    "\u00a1\u00a8\u00ab\u00af\u00b4\u00b7\u00bb\u00bf"  # Latin quotation marks and inverted marks
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc"  # dashes, minus, the Japanese long vowel
    "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u2022\u2026"  # quotes, bullet, ellipsis
    "\u3001\u3002\u3008\u3009\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011\u30fb"  # CJK marks and brackets
)
"""What may surround a placeholder, and a value made of nothing else is one. Full-width forms are folded before."""

_UNFILLED = re.compile(
    r"[$#%]?\{+\s*[^\W\d][\w .\-]*\}+"  # {name} {{name}} ${name}
    r"|%\([^\W\d]\w*\)s"
    r"|<%?=?\s*[^\W\d][\w \-]*(?:name|number|date|amount|here|value|text)\s*%?>"  # <customer name>
    r"|\[(?:insert|enter|add|your|fill in|put)\b[^\[\]]*\]"  # [insert date]
    r"|\[[^\[\]]*\b(?:name|number|date|amount|here|value|text)\]",  # [Customer Name]
    re.IGNORECASE,
)
_IGNORED = re.compile(f"[{ZERO_WIDTH}]")


def placeholder(options: Any, shape: Shape) -> Check:
    """The check, bound (`check.BindCheck`)."""
    allowed = options_table(NAME, options, frozenset({"allow"})).get("allow", {})
    if not isinstance(allowed, dict) or not all(_is_words(words) for words in allowed.values()):
        raise ConfigError(f'{NAME}.allow: should be a table of lists, such as {{ "$.customer_name" = ["Null"] }}.')
    for path in allowed:
        refuse_unknown_path(f"{NAME}.allow", path, shape)
    real = {path: frozenset(words) for path, words in allowed.items()}

    def check(reply: Reply) -> list[Violation]:
        return [
            violation(NAME, text, f"The reply holds {quoted(text.value)}, which is a placeholder.")
            for text in reply.texts
            if len(text.value) <= LONGEST
            and is_placeholder(text.value)
            and text.value.strip() not in real.get(pattern_of(text), ())
        ]

    return check


def is_placeholder(value: str) -> bool:
    """Whether the whole value stands for a missing one. Blank values are `empty`'s business."""
    text = value if value.isascii() else unicodedata.normalize("NFKC", _IGNORED.sub("", value))
    if is_blank(text):
        return False
    word = " ".join(text.strip(_MARKS).casefold().split())
    if not word or word in WORDS or (word.count(" ") > 2 and WHERE.sub("", word) in WORDS):
        return True
    bare = text.strip()
    return bare[0] in "{[<$%#" and _UNFILLED.fullmatch(bare) is not None


def _is_words(words: Any) -> bool:
    return isinstance(words, list) and all(isinstance(word, str) for word in words)
