"""What is taken out of audit copies, what stays, and that no text makes it slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs.redact import KINDS, redact

HEX = "0123456789abcdef0123456789abcdef"

SECRETS = {
    "email": ("write to billing@example.com today", "write to [redacted:email] today"),
    "email with umlauts": ("müller.büro@straße.example.de.", "[redacted:email]."),
    "email in angle brackets": ("Accounts <first.last+tag@mail.example.co.uk>", "Accounts <[redacted:email]>"),
    "openai key": ("sk-proj-abcDEF123456_7890-xyz", "[redacted:key]"),
    "anthropic key": ("key sk-ant-api03-abcdefghij0123456789", "key [redacted:key]"),
    "github token": ("ghp_0123456789abcdefghijABCDEFGHIJ456789", "[redacted:key]"),
    "aws key": ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted:aws-key]."),
    "bearer": ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted:bearer]"),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s5-Jd_x", "[redacted:jwt]"),
    "key = hex": (f'api_key = "{HEX}"', 'api_key = "[redacted:token]"'),
    "token in json": (f'{{"token":"{HEX}"}}', '{"token":"[redacted:token]"}'),
    "token in json in json": (f'{{\\"token\\": \\"{HEX}\\"}}', '{\\"token\\": \\"[redacted:token]\\"}'),
    "secret as base64": ("SECRET: dGhpcyBpcyBhIHNlY3JldCE0Mg==", "SECRET: [redacted:token]"),
    "password": ("password=hunter2!, then", "password=[redacted:password], then"),
    "url with password": (
        "amqp://app:pa55@broker.example.com:5671/x",
        "amqp://[redacted:credentials]@broker.example.com:5671/x",
    ),
    "private key": (
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\nabc\n-----END RSA PRIVATE KEY-----\nb",
        "a\n[redacted:private-key]\nb",
    ),
    "private key cut off": ("-----BEGIN PRIVATE KEY-----\\nMIIEabc", "[redacted:private-key]"),
}

HARMLESS = [
    "",
    "Invoice 2031-0042 over 1,250.00 EUR, due in 14 days.",
    "The monkey: a primate of some 30 kg",
    "risk-free, ask-me-anything, task-2",
    "@mention and a@b and 3 @ 4.50",
    f"commit {HEX}",
    "the password reset page doesn't load",
    "https://example.com/a:b/c@d",
    "keywords: refund, delivery, address",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_taken_out_and_the_rest_stays(name):
    text, expected = SECRETS[name]
    assert redact(text) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text):
    assert redact(text) == text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_an_example(kind):
    assert any(f"[redacted:{kind.name}]" in expected for _, expected in SECRETS.values())


fragments = st.sampled_from(
    [text for text, _ in SECRETS.values()] + HARMLESS + list("@:/.=-\"' \n\\") + ["sk-", "eyJ", "key="]
)


@given(st.lists(fragments | st.text(max_size=8)).map("".join))
def test_redacting_twice_changes_nothing_more(text):
    assert redact(redact(text)) == redact(text)


UNITS = [
    "a",
    "a@",
    "@",
    "a.",
    "a@b.",
    "eyJ",
    "eyJa.",
    "sk-",
    "-sk-",
    "://",
    "://a",
    "://a:",
    "key=",
    "key =  ",
    "key='a",
    "a1",
]
UNITS += [
    "password",
    "password:",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ",
    "bearer ",
    "Bearer a",
    "AKIA",
    "xoxb-",
    " ",
    "\n",
    "é",
    "%",
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("before", ["", "a@", "eyJ", "sk-", "://", "://a:", "token=", "password="])
def test_no_text_is_slow(unit, before):
    """60 KB of anything takes linear time: quadratic time would be many seconds."""
    text = before + unit * (60_000 // len(unit))
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 0.5
