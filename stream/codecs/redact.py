"""Takes e-mail addresses, keys and passwords out of text before it is published as an audit copy.

It errs on the side of taking out too much. Time is linear in the text's length, whatever the text: every pattern either
starts at a boundary and consumes possessively, so that no run of characters is read from each of its positions, or has
a bounded length. What was taken out is replaced by `[redacted:KIND]`; redacting twice changes nothing more.
"""

import re
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of secret: its name in the replacement, where it is found, what takes its place (`re.sub` syntax).

    signs: one of these stands in every case-folded text that holds such a secret: where none does, which is nearly
    always, the pattern isn't tried.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str
    signs: tuple[str, ...]


_VENDOR_KEYS = (
    r"sk-|pk-|sk_live_|sk_test_|rk_live_|pk_live_|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|hf_|npm_|pypi-|AIza"
)
_ASSIGNED = r"\\?[\"']?[ \t]{0,4}(?::|={1,2}|=>)[ \t]{0,4}\\?[\"']?"  # with the quotes of JSON, escaped or not

KINDS: tuple[Kind, ...] = (
    Kind(
        "credentials",
        re.compile(r"(?<=://)[^\s/@:\"']{0,100}:[^\s/@\"']{1,200}@"),
        "[redacted:credentials]@",
        ("://",),
    ),
    Kind(
        "private-key",
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\w+/=\s\\]*+(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"),
        "[redacted:private-key]",
        ("-----begin ",),
    ),
    Kind("jwt", re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++(?:\.[\w-]*+)?", re.ASCII), "[redacted:jwt]", ("eyj",)),
    Kind(
        "key",
        re.compile(rf"(?<![A-Za-z0-9])(?:{_VENDOR_KEYS})[\w.-]{{16,}}+", re.ASCII),
        "[redacted:key]",
        ("k-", "k_", "gh", "github_pat_", "glpat-", "xox", "hf_", "npm_", "pypi-", "aiza"),
    ),
    Kind(
        "aws-key",
        re.compile(r"(?<![A-Za-z0-9])A[KS]IA[0-9A-Z]{16}(?![0-9A-Z])"),
        "[redacted:aws-key]",
        ("akia", "asia"),
    ),
    Kind(
        "bearer",
        re.compile(r"\b((?:bearer|basic)[ \t]{1,4})[\w.~+/=-]{8,}+", re.ASCII | re.IGNORECASE),
        r"\1[redacted:bearer]",
        ("bearer", "basic"),
    ),
    Kind("email", re.compile(r"(?<![\w.%+'-])[\w.%+'-]++@[\w-]++(?:\.[\w-]++)++"), "[redacted:email]", ("@",)),
    Kind(
        "token",
        re.compile(
            rf"((?:key|token|secret){_ASSIGNED})(?=[a-z+/=_.~-]{{0,64}}\d)[\w+/=.~-]{{16,}}+", re.ASCII | re.IGNORECASE
        ),
        r"\1[redacted:token]",
        ("key", "token", "secret"),
    ),
    Kind(
        "password",
        re.compile(rf"((?:password|passwort|passwd|passphrase|pwd){_ASSIGNED})[^\s\"',;\\]++", re.IGNORECASE),
        r"\1[redacted:password]",
        ("passw", "passphrase", "pwd"),
    ),
)
"""In this order: what holds others (a URL's user part looks like an e-mail address) stands first."""


def redact(text: str) -> str:
    """The text without the kinds of secrets in `KINDS`."""
    folded = text.casefold()
    for kind in KINDS:
        if any(sign in folded for sign in kind.signs):
            text = kind.pattern.sub(kind.replacement, text)
    return text
