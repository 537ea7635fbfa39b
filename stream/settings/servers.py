"""Is it a list of brokers? librdkafka takes nearly any text, and then waits for hosts that can't be."""

import re

FORM = "host:port, several with commas"

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s\[\]:/@]+):(\d+)")
_LOGIN = re.compile(r"[^/,\s]*@")
_HIGHEST_PORT = 65_535


def trouble(servers: str) -> str | None:
    """The end of a sentence that begins with the key's name: what is wrong and the right form. None if nothing is.

    Names and passwords before an @ are not repeated.
    """
    for entry in servers.split(","):
        if why := _why_not(entry.strip(" ")):
            return f"is {_shown(servers)}; it must be {FORM}: {why}"
    return None


def _why_not(entry: str) -> str | None:
    if not entry.strip():
        return "a comma too many"
    if any(char.isspace() for char in entry):
        return "no spaces"
    scheme, separator, _ = entry.rpartition("://")
    if separator:
        return f'without {_shown(f"{scheme}://")} ("security.protocol" under [kafka.properties] says how to connect)'
    if "@" in entry:
        return "without a login (it belongs under [kafka.properties])"
    parts = _HOST_PORT.fullmatch(entry)
    if parts is None:
        return f"{_shown(entry)} has no port, or is no host" if ":" in entry else f"{_shown(entry)} has no port"
    if not 1 <= int(parts[2][:9]) <= _HIGHEST_PORT:
        return f"{parts[2][:9]} is no port (they go from 1 to {_HIGHEST_PORT:,})"
    return None


def _shown(text: str) -> str:
    printable = "".join(char if char.isprintable() else "�" for char in _LOGIN.sub("***@", text)[:80])
    return f'"{printable}"'
