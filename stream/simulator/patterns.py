"""A string for a simple regular expression: what `pattern` in a JSON Schema asks for.

Knows literals, `.`, classes, `\\d \\w \\s`, groups, alternation, `? * + {n} {n,} {n,m}` and anchors. Lookaheads, back
references and Unicode properties are beyond it: then the result may not match, and the caller must check.
"""

import string
from collections.abc import Callable

Pick = Callable[[int], int]
"""Gives a number in [0, n)."""

_SHORTHAND = {"d": string.digits, "w": string.ascii_uppercase + string.digits, "s": " "}
_MANY = 3


class _Reader:
    """Walks over the expression once, writing as it goes."""

    def __init__(self, pattern: str, pick: Pick) -> None:
        self.pattern, self.at, self.pick = pattern, 0, pick

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1 : self.at]

    def alternatives(self) -> Callable[[], str]:
        """The part up to a closing bracket or the end, as a writer."""
        options = [self.sequence()]
        while self.peek() == "|":
            self.take()
            options.append(self.sequence())
        return lambda: options[self.pick(len(options))]()

    def sequence(self) -> Callable[[], str]:
        parts: list[Callable[[], str]] = []
        while self.peek() not in ("", "|", ")"):
            atom = self.atom()
            least, most = self.repeats()
            parts.append(self._repeated(atom, least, most))
        return lambda: "".join(part() for part in parts)

    def _repeated(self, atom: Callable[[], str], least: int, most: int) -> Callable[[], str]:
        return lambda: "".join(atom() for _ in range(least + (self.pick(most - least + 1) if most > least else 0)))

    def repeats(self) -> tuple[int, int]:
        least, most = 1, 1
        mark = self.peek()
        if mark and mark in "?*+":
            self.take()
            least, most = {"?": (0, 1), "*": (0, _MANY), "+": (1, _MANY)}[mark]
        elif mark == "{" and (end := self.pattern.find("}", self.at)) > 0:
            low, comma, high = self.pattern[self.at + 1 : end].partition(",")
            if low.isdigit() and int(low) <= 1000:
                self.at = end + 1
                least = int(low)
                most = min(int(high), least + _MANY) if high.isdigit() else least + (_MANY if comma else 0)
        if self.peek() in ("?", "+") and mark and mark in "?*+{":
            self.take()
        return least, max(least, most)

    def atom(self) -> Callable[[], str]:
        char = self.take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._one_of(self.class_members())
        if char == "\\":
            return self._one_of(self._escaped(self.take()))
        if char in ("^", "$"):
            return str
        return self._one_of(string.ascii_lowercase if char == "." else char)

    def _group(self) -> Callable[[], str]:
        if self.peek() == "?":
            while self.peek() not in ("", ":", ">", "=", "!"):
                self.take()
            self.take()
        inner = self.alternatives()
        self.take()
        return inner

    def _one_of(self, members: str) -> Callable[[], str]:
        return lambda: members[self.pick(len(members))] if members else ""

    def _escaped(self, char: str) -> str:
        return _SHORTHAND.get(char, "" if char in ("b", "B", "A", "Z") else char)

    def class_members(self) -> str:
        negated = self.peek() == "^"
        members = ""
        if negated:
            self.take()
        while self.peek() != "]" and self.peek():
            char = self.take()
            if char == "\\":
                members += self._escaped(self.take())
            elif self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.take()
                members += "".join(map(chr, range(ord(char), min(ord(self.take()), ord(char) + 200) + 1)))
            else:
                members += char
        self.take()
        if not negated:
            return members
        return "".join(one for one in string.ascii_letters + string.digits if one not in members)


def string_for(pattern: str, pick: Pick) -> str:
    """A string that probably matches; bounded in length by the pattern's own numbers."""
    return _Reader(pattern, pick).alternatives()()
