"""What counts as nothing: white space, and characters that take no room."""

import re

ZERO_WIDTH = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u2064\u2066-\u2069\u2800\u3164\ufeff\uffa0"
)
"""Characters that print nothing, as the inside of a regular expression's class: Unicode's Default_Ignorable, and the
blank ones among letters and symbols (Hangul fillers, the empty Braille pattern)."""

_BLANK = re.compile(rf"[\s\x00-\x1f\x7f-\x9f{ZERO_WIDTH}]*+")


def is_blank(text: str) -> bool:
    """Whether nobody could see anything in this text."""
    return _BLANK.fullmatch(text) is not None
