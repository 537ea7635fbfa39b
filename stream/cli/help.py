"""How `--help` looks: a line for an option where that is enough, and no words about types that help nobody."""

import re
from typing import Any

COMPLETION = ("install_completion", "show_completion")
"""The options that Typer adds to every command; the program itself has them, unlisted."""

_TYPE = re.compile(r" <[^>]*>(\.\.\.)?$")
_RANGE = re.compile(r"(\d+)<=x<=(\d+)")
_AT_LEAST = re.compile(r"x>=(\d+)")
_COMPLAINTS = (
    (re.compile(r"^Input should be greater than or equal to (\S+)$"), r"it must be \1 or more"),
    (re.compile(r"^Input should be less than or equal to (\S+)$"), r"it must be \1 or less"),
    (re.compile(r"^Input should be a valid integer.*"), "it must be a whole number"),
    (re.compile(r"^Input should be a valid number.*"), "it must be a number"),
    (re.compile(r"^Input should "), "it should "),
)


def readable(command: Any) -> Any:
    """The same command, subcommands included, with help for people, and without the options about shell completion."""
    command.rich_markup_mode = None
    command.params = [each for each in command.params if each.name not in COMPLETION]
    for param in command.params:
        _told(param)
    for each in getattr(command, "commands", {}).values():
        readable(each)
        each.short_help = each.short_help or _first_sentence(each.help or "")
    return command


def in_our_words(complaint: str) -> str:
    """What the library says of a value on the command line, as a person would say it."""
    complaint = complaint.removeprefix("Value error, ")
    for pattern, words in _COMPLAINTS:
        complaint = pattern.sub(words, complaint)
    return complaint


def _told(param: Any) -> None:
    record, is_argument = param.get_help_record, param.param_type_name == "argument"
    if is_argument:
        name = param.metavar or param.name.upper()
        param.metavar = name  # error messages name it so, too
        param.get_usage_pieces = lambda ctx: [name if param.required else f"[{name}]"]

    def for_people(ctx: Any) -> tuple[str, str] | None:
        found = record(ctx)
        if found is None:
            return None
        name, text = found
        name = _TYPE.sub("" if is_argument else f" {param.name.upper()}", name)
        return name, _plain(text.replace("  [required]", "") if is_argument else text)

    param.get_help_record = for_people


def _plain(text: str) -> str:
    """Bounds in words."""
    text = _RANGE.sub(lambda found: f"{int(found[1]):,} to {int(found[2]):,}", text)
    return _AT_LEAST.sub(r"\1 or more", text)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")
