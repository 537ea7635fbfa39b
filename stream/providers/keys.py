"""Where a provider's API key comes from, and where it may be sent.

A key comes from the environment or from a file named in the settings, never from an event; it is shown nowhere. It
goes to the configured address only: https, http on this machine, or http where the operator says `insecure = true`.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from stream.core.errors import ConfigError
from stream.settings.model import ProviderSettings

NO_KEY = "none"
"""What is sent to a server on this machine that wants no key."""

_KEY_LIKE = re.compile(r"\b[spr]k-[A-Za-z0-9_*.…-]{5,}[A-Za-z0-9_*]")
_DETAIL_CHARS = 500


class ApiKey:
    """A key that can be read again, so that an operator can replace a rejected one without a restart."""

    def __init__(self, read: Callable[[], str]) -> None:
        """read: gives the key as it stands now; raises ConfigError."""
        self._read = read
        self._value = read()
        self._seen = {self._value}
        """Every key there was: calls sent with an earlier one may still be answered, and tell it."""

    @property
    def value(self) -> str:
        """The key as it was last read."""
        return self._value

    def reread(self) -> None:
        """Take the key as it stands now; where that fails, the old one stays."""
        try:
            self._value = self._read()
        except ConfigError:
            return
        self._seen.add(self._value)

    def scrubbed(self, text: str) -> str:
        """The text as one line of at most 500 characters, without this key, earlier ones, or what looks like one."""
        for key in self._seen - {NO_KEY}:
            text = text.replace(key, "***")
        line = " ".join(_KEY_LIKE.sub("***", text).split())
        printable = "".join(char if char.isprintable() else "�" for char in line[: 2 * _DETAIL_CHARS])
        return printable if len(printable) <= _DETAIL_CHARS else printable[: _DETAIL_CHARS - 1] + "…"

    def __repr__(self) -> str:
        return "ApiKey(***)"


def resolve_api_key(
    name: str, settings: ProviderSettings, default_env: str, environ: Mapping[str, str] = os.environ
) -> ApiKey:
    """The key of the provider `name`: of `api_key_file`, else of `api_key_env`, else of the variable `default_env`.

    Without any of them a server on this machine gets the key "none". Raises ConfigError, which says what to set.
    """
    if settings.api_key_file:
        path = Path(settings.api_key_file)
        return ApiKey(lambda: _checked(_file_content(name, path), f"{path} (providers.{name}.api_key_file)"))
    variable = settings.api_key_env or default_env
    found = environ.get(variable, "")
    if not found.strip():
        if not settings.api_key_env and is_loopback(settings.base_url):
            return ApiKey(lambda: NO_KEY)
        raise ConfigError(
            f"providers.{name} has no API key: the environment variable {variable} is not set. "
            f"Set it, or name another with providers.{name}.api_key_env, or a file with providers.{name}.api_key_file."
        )
    return ApiKey(lambda: _checked(environ.get(variable, ""), f"the environment variable {variable}"))


def checked_base_url(name: str, settings: ProviderSettings) -> str:
    """The provider's `base_url` (empty: its official address) if a key may be sent there. Raises ConfigError."""
    url = settings.base_url
    if not url:
        return ""
    key = f"providers.{name}.base_url"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{key} is no URL: {error}.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{key} must start with https:// and name a host; it is {_without_secrets(url)!r}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{key} must not hold a user, a password, a query or a fragment: keys go into the environment."
        )
    if parts.scheme == "http" and not is_loopback(url) and not settings.insecure:
        raise ConfigError(
            f"{key} = {url!r} would send the API key and all prompts unencrypted. "
            f"Use https, or set providers.{name}.insecure = true if the network in between is trusted."
        )
    return url


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file_content(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"providers.{name}.api_key_file = {str(path)!r} can't be read: {error}.") from None


def _checked(text: str, source: str) -> str:
    key = text.strip()
    if not key:
        raise ConfigError(f"{source} holds no API key: it is empty.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{source} holds no API key: there are spaces, line breaks or letters in it that no key has.")
    return key


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)[:200]
