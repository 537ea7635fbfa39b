"""Text from outside, made fit to be shown: nobody can write to a terminal through a topic."""


def printable(text: str) -> str:
    """The text with control characters (but line breaks and tabs) escaped, lone surrogates and odd spaces too."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def printable_line(text: str) -> str:
    """The same on one line: line breaks and tabs are escaped as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
