"""Where keys come from and where they may go."""

from pathlib import Path
from typing import Any

import pytest

from stream.core.errors import ConfigError
from stream.providers.keys import ApiKey, checked_base_url
from stream.providers.table import KINDS, api_key
from stream.settings.model import ProviderSettings


def settings(**changes: Any) -> ProviderSettings:
    return ProviderSettings(kind="anthropic", **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_usual_variable(kind: str) -> None:
    configured = ProviderSettings(kind=kind)
    assert api_key("main", configured, {KINDS[kind].key_env: " sk-1 \n"}).value == "sk-1"


def test_a_missing_key_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match=r"ANTHROPIC_API_KEY is not set.*providers\.main\.api_key_file"):
        api_key("main", settings(), {})


def test_a_named_variable_wins_and_must_be_set() -> None:
    environ = {"ANTHROPIC_API_KEY": "a", "MY_KEY": "b"}
    assert api_key("main", settings(api_key_env="MY_KEY"), environ).value == "b"
    with pytest.raises(ConfigError, match="OTHER"):
        api_key("main", settings(api_key_env="OTHER", base_url="http://localhost:1"), environ)


def test_a_key_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    assert api_key("main", settings(api_key_file=str(tmp_path / "key")), {"ANTHROPIC_API_KEY": "x"}).value == "sk-file"


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"two\nlines", b"\xff", "clé".encode()])
def test_a_file_without_a_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        api_key("main", settings(api_key_file=str(tmp_path / "key")), {})
    assert "two" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"api_key_file = '.*nowhere' can't be read"):
        api_key("main", settings(api_key_file=str(tmp_path / "nowhere")), {})


def test_a_server_on_this_machine_needs_no_key() -> None:
    for url in ("http://localhost:8000/v1", "http://127.0.0.1", "http://[::1]:1"):
        assert api_key("main", settings(base_url=url), {}).value == "none"
    with pytest.raises(ConfigError):
        api_key("main", settings(base_url="https://llm.example.com"), {})


def test_a_key_that_became_unreadable_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    key = api_key("main", settings(api_key_file=str(file)), {})
    file.unlink()
    key.reread()
    assert key.value == "one"
    file.write_text("two")
    key.reread()
    assert key.value == "two"


def test_a_key_does_not_show_itself() -> None:
    key = ApiKey(lambda: "abc-123-secret")
    assert "secret" not in repr(key)
    assert key.scrubbed("Wrong key abc-123-secret!\nTry sk-proj-0123456789.") == "Wrong key ***! Try ***."


def test_earlier_keys_show_themselves_as_little_for_answers_come_late() -> None:
    keys = iter(["abc-123-secret", "def-456-secret"])
    key = ApiKey(lambda: next(keys))
    key.reread()
    assert key.scrubbed("abc-123-secret is not def-456-secret") == "*** is not ***"


@pytest.mark.parametrize("text", ["a\x00b\x1b[31m\r\n\u202ec", "x" * 10_000, "\n" * 10_000, ""])
def test_a_detail_is_one_printable_line_of_bounded_length(text: str) -> None:
    detail = ApiKey(lambda: "k-1").scrubbed(text)
    assert len(detail) <= 500
    assert detail.isprintable()


@pytest.mark.parametrize(
    "url",
    ["", "https://llm.example.com/v1", "http://localhost:8000", "http://127.0.0.7:1/v1", "http://[::1]:8000/v1"],
)
def test_keys_may_go_to_safe_addresses(url: str) -> None:
    assert checked_base_url("main", settings(base_url=url)) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://llm.example.com", "unencrypted"),
        ("http://10.0.0.1/v1", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        ("ftp://llm.example.com", "https://"),
        ("llm.example.com", "https://"),
        ("https://", "https://"),
        ("https://user:hidden@llm.example.com", "must not hold"),
        ("ftp://user:hidden@llm.example.com", "https://"),
        ("https://llm.example.com/?key=hidden", "must not hold"),
        ("https://llm.example.com:port", "no URL"),
        ("http://[::1", "no URL"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        checked_base_url("main", settings(base_url=url))
    assert "hidden" not in str(caught.value)
    assert "providers.main.base_url" in str(caught.value)


def test_plain_http_is_allowed_where_the_operator_says_so() -> None:
    assert checked_base_url("main", settings(base_url="http://gateway.internal", insecure=True))
