"""Every fault the SDKs were tried with, against our adapters: each ends in its class, and nothing is sent twice."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from stream.core.errors import ErrorClass, ProviderError
from stream.core.ports import Provider
from stream.core.records import Completion, Stop, Usage
from stream.providers.table import KINDS, api_key, build_provider
from stream.settings.model import ProviderSettings
from tests.support.fault_server import (
    FaultServer,
    Play,
    answer,
    response,
    send,
    send_then_close,
    send_then_hang,
    send_then_reset,
)
from tests.support.provider_replies import DIALECTS, Dialect, model_call

KEY = "sk-test-0123456789abcdef"
TOO_LONG_S = 0.3
SOON_S = 5.0

FAULTS = (
    "ok", "connection refused", "DNS failure", "hang", "FIN before headers", "reset before headers",
    "garbage instead of HTTP", "short body FIN", "short body then hang", "reset mid-body",
    "no content-length, FIN mid-json", "chunked cut", "bad gzip", "huge headers", "invalid json 200",
    "invalid json text/plain 200", "invalid utf8 json 200", "json NaN/dup keys 200", "html 200",
    "good json as text/plain", "good json, no content-type", "empty 200 json", "empty 200 no ct", "204",
    "302 -> /redir", "307 loop", "html 502", "status 400", "status 401", "status 402", "status 403", "status 404",
    "status 405", "status 408", "status 409", "status 412", "status 413", "status 418", "status 422", "status 425",
    "status 429", "status 431", "status 451", "status 499", "status 500", "status 501", "status 502", "status 503",
    "status 504", "status 507", "status 520", "status 524", "status 529", "shape {}", "shape []", "shape null",
    'shape "str"', "shape 5", "error object in a 200", "content/choices/output null",
    "content/choices/output missing", "content/choices/output []", "content/choices/output is a string",
    "unknown block type", "text is null in block/message", "text is int", "usage missing", "usage tokens are strings",
    "unknown stop_reason/finish_reason/status", "stop_reason/finish_reason/status missing",
    "stop_reason/finish_reason/status null", "drip 1B/0.5s", "drip headers",
)  # fmt: skip
"""The faults as they were tried against both SDKs and both transports."""

BAD, ACCOUNT, MODEL = ErrorClass.BAD_REQUEST, ErrorClass.ACCOUNT, ErrorClass.UNKNOWN_MODEL
RATE, OVER, TRANSIENT, AMBIGUOUS = (
    ErrorClass.RATE_LIMITED, ErrorClass.OVERLOADED, ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One fault and its end.

    ends_in: the class of the error, or how a completion stopped. priced: whether what the call cost is known.
    requests: how many reach the server.
    """

    name: str
    play: Callable[[Dialect], Play]
    ends_in: ErrorClass | Stop
    priced: bool
    url: str = ""
    requests: int = 1
    deadline_s: float = SOON_S


def raw(dialect: Dialect) -> bytes:
    return json.dumps(dialect.reply("hello", dialect.complete)).encode()


def whole(dialect: Dialect) -> bytes:
    return response(raw(dialect))


def head(dialect: Dialect) -> bytes:
    """The headers of a good reply, its body still to come."""
    return whole(dialect).removesuffix(raw(dialect))


def changed(change: Callable[[Dialect, dict[str, Any]], object]) -> Callable[[Dialect], Play]:
    """A good reply with something wrong in it."""

    def play(dialect: Dialect) -> Play:
        reply = deepcopy(dialect.reply("hello", dialect.complete))
        change(dialect, reply)
        return answer(reply)

    return play


def body(given: bytes | Any, **how: Any) -> Callable[[Dialect], Play]:
    return lambda _: answer(given, **how)


def spoiled(old: bytes, new: bytes, **how: Any) -> Callable[[Dialect], Play]:
    """A good reply with some of its bytes replaced."""

    def play(dialect: Dialect) -> Play:
        assert old in raw(dialect)
        return answer(raw(dialect).replace(old, new), **how)

    return play


def status(code: int) -> Callable[[Dialect], Play]:
    return lambda dialect: answer(dialect.error("some_error", "Something is wrong."), status=code)


def chunked(given: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(given), given)


def sized(given: bytes, *headers: str) -> bytes:
    return response(given, headers=headers)


STATUSES = {
    400: BAD, 401: ACCOUNT, 402: ACCOUNT, 403: ACCOUNT, 404: MODEL, 405: MODEL, 408: TRANSIENT, 409: TRANSIENT,
    412: BAD, 413: BAD, 418: BAD, 422: BAD, 425: TRANSIENT, 429: RATE, 431: BAD, 451: BAD, 499: BAD, 500: TRANSIENT,
    501: TRANSIENT, 502: TRANSIENT, 503: OVER, 504: TRANSIENT, 507: TRANSIENT, 520: TRANSIENT, 524: TRANSIENT,
    529: OVER,
}  # fmt: skip

NO_CONTENT_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"

ROWS = (
    Row("ok", lambda d: send(whole(d)), Stop.COMPLETE, priced=True),
    Row("connection refused", body(b""), TRANSIENT, priced=True, url="http://127.0.0.1:{free}", requests=0),
    Row("DNS failure", body(b""), TRANSIENT, priced=True, url="https://nowhere.invalid", requests=0),
    Row("hang", lambda d: send_then_hang(), AMBIGUOUS, priced=False, deadline_s=TOO_LONG_S),
    Row("FIN before headers", lambda d: send_then_close(), TRANSIENT, priced=False),
    Row("reset before headers", lambda d: send_then_reset(), TRANSIENT, priced=False),
    Row("garbage instead of HTTP", lambda d: send_then_close(b"\x16\x03\x01 hello\r\n\r\n"), TRANSIENT, priced=False),
    Row("short body FIN", lambda d: send_then_close(whole(d)[:-9]), TRANSIENT, priced=False),
    Row(
        "short body then hang", lambda d: send_then_hang(whole(d)[:-9]), AMBIGUOUS, priced=False, deadline_s=TOO_LONG_S
    ),
    Row("reset mid-body", lambda d: send_then_reset(whole(d)[:-9]), TRANSIENT, priced=False),
    Row(
        "no content-length, FIN mid-json",
        lambda d: send_then_close(NO_CONTENT_LENGTH + raw(d)[:-9]),
        TRANSIENT,
        priced=False,
    ),
    Row("chunked cut", lambda d: send_then_close(chunked(raw(d))), TRANSIENT, priced=False),
    Row("bad gzip", lambda d: send(sized(b"no gzip at all", "content-encoding: gzip")), TRANSIENT, priced=False),
    Row("huge headers", lambda d: send(sized(raw(d), "x-much: " + "y" * 100_000)), TRANSIENT, priced=False),
    Row("invalid json 200", spoiled(b'"model"', b"model"), TRANSIENT, priced=False),
    Row("invalid json text/plain 200", spoiled(b'"model"', b"m", content_type="text/plain"), TRANSIENT, priced=False),
    Row("invalid utf8 json 200", spoiled(b"hello", b"hel\xfflo"), TRANSIENT, priced=False),
    Row("json NaN/dup keys 200", spoiled(b'"model"', b'"x": NaN, "x": 1, "model"'), TRANSIENT, priced=False),
    Row("html 200", body(b"<html>login</html>", content_type="text/html"), TRANSIENT, priced=False),
    Row("good json as text/plain", lambda d: answer(raw(d), content_type="text/plain"), Stop.COMPLETE, priced=True),
    Row("good json, no content-type", lambda d: answer(raw(d), content_type=None), Stop.COMPLETE, priced=True),
    Row("empty 200 json", body(b""), TRANSIENT, priced=False),
    Row("empty 200 no ct", body(b"", content_type=None), TRANSIENT, priced=False),
    Row("204", lambda d: send(b"HTTP/1.1 204 No Content\r\n\r\n"), TRANSIENT, priced=False),
    Row("302 -> /redir", body(b"", status=302, headers=["location: /redir"]), TRANSIENT, priced=False),
    Row("307 loop", lambda d: answer(b"", status=307, headers=[f"location: {d.path}"]), TRANSIENT, priced=False),
    Row("html 502", body(b"<html>bad gateway</html>", status=502, content_type="text/html"), TRANSIENT, priced=False),
    *(Row(f"status {code}", status(code), ends_in, priced=True) for code, ends_in in STATUSES.items()),
    Row("shape {}", body({}), TRANSIENT, priced=False),
    Row("shape []", body([]), TRANSIENT, priced=False),
    Row("shape null", body(None), TRANSIENT, priced=False),
    Row('shape "str"', body("str"), TRANSIENT, priced=False),
    Row("shape 5", body(5), TRANSIENT, priced=False),
    Row("error object in a 200", lambda d: answer(d.error("overloaded_error", "Overloaded")), OVER, priced=False),
    Row("content/choices/output null", changed(lambda d, r: r.update({d.content: None})), TRANSIENT, priced=False),
    Row("content/choices/output missing", changed(lambda d, r: r.pop(d.content)), TRANSIENT, priced=False),
    Row("content/choices/output []", changed(lambda d, r: r.update({d.content: []})), TRANSIENT, priced=False),
    Row(
        "content/choices/output is a string", changed(lambda d, r: r.update({d.content: "x"})), TRANSIENT, priced=False
    ),
    Row("unknown block type", changed(lambda d, r: spoil_block(d, r)), TRANSIENT, priced=False),
    Row(
        "text is null in block/message",
        changed(lambda d, r: d.block(r).update({d.text_field: None})),
        TRANSIENT,
        priced=False,
    ),
    Row("text is int", changed(lambda d, r: d.block(r).update({d.text_field: 5})), TRANSIENT, priced=False),
    Row("usage missing", changed(lambda d, r: r.pop("usage")), Stop.COMPLETE, priced=False),
    Row(
        "usage tokens are strings",
        changed(lambda d, r: r["usage"].update({d.usage_field: "7"})),
        Stop.COMPLETE,
        priced=False,
    ),
    Row(
        "unknown stop_reason/finish_reason/status",
        changed(lambda d, r: d.stop_holder(r).update({d.stop_field: "new_reason"})),
        Stop.UNKNOWN,
        priced=True,
    ),
    Row(
        "stop_reason/finish_reason/status missing",
        changed(lambda d, r: d.stop_holder(r).pop(d.stop_field)),
        Stop.UNKNOWN,
        priced=True,
    ),
    Row(
        "stop_reason/finish_reason/status null",
        changed(lambda d, r: d.stop_holder(r).update({d.stop_field: None})),
        Stop.UNKNOWN,
        priced=True,
    ),
    Row(
        "drip 1B/0.5s",
        lambda d: send(head(d), *(bytes([byte]) for byte in raw(d)), pause_s=0.05),
        AMBIGUOUS,
        priced=False,
        deadline_s=TOO_LONG_S,
    ),
    Row(
        "drip headers",
        lambda d: send(*(bytes([byte]) for byte in whole(d)), pause_s=0.05),
        AMBIGUOUS,
        priced=False,
        deadline_s=TOO_LONG_S,
    ),
)

MORE_ROWS = (
    Row("404 about a model", lambda d: answer(d.error("not_found_error", "model: m"), 404), MODEL, priced=True),
    Row("404 of a wrong address", body(b"404 page not found", status=404, content_type=None), MODEL, priced=True),
    Row(
        "404 of a wrong path, in words",
        lambda d: answer(d.error("invalid_request_error", "Invalid URL (POST /v2)"), 404),
        MODEL,
        priced=True,
    ),
    Row("400 about the key", lambda d: answer(d.error("x", "API key not valid."), 400), ACCOUNT, priced=True),
    Row("429 without credit", lambda d: answer(d.error("insufficient_quota", "No."), 429), ACCOUNT, priced=True),
    Row("overload as 500", lambda d: answer(d.error("overloaded_error", "Busy."), 500), OVER, priced=True),
    Row("400 about usage limits", lambda d: answer(d.error("x", "Your API usage limits."), 400), ACCOUNT, priced=True),
    Row(
        "500 that shall not be tried again",
        lambda d: answer(d.error("x", "No."), 500, ["x-should-retry: false"]),
        TRANSIENT,
        priced=True,
    ),
    Row("error with a cut body", lambda d: send_then_close(response(b"x" * 99, 429)[:-50]), RATE, priced=True),
    Row("error with a bad gzip", body(b"no", status=429, headers=["content-encoding: gzip"]), RATE, priced=True),
    Row("error of 20 MB", body(b"x" * 20_000_000, status=429), RATE, priced=True),
    Row("reply over the cap", body(b" " * (8 * 1024 * 1024 + 1)), TRANSIENT, priced=False),
    Row("gzip bomb", body(gzip.compress(bytes(10**8)), headers=["content-encoding: gzip"]), TRANSIENT, priced=False),
    Row("lone surrogate", spoiled(b"hello", rb"\ud800"), TRANSIENT, priced=False),
    Row("too deep", spoiled(b'"model"', b'"x": ' + b"[" * 200 + b"]" * 200 + b', "model"'), TRANSIENT, priced=False),
    Row("number too large", spoiled(b'"model"', b'"x": 1e999, "model"'), TRANSIENT, priced=False),
    Row("duplicate keys", spoiled(b'"model"', b'"model": "a", "model"'), TRANSIENT, priced=False),
    Row("negative usage", changed(lambda d, r: r["usage"].update({d.usage_field: -7})), Stop.COMPLETE, priced=False),
    Row("boolean usage", changed(lambda d, r: r["usage"].update({d.usage_field: True})), Stop.COMPLETE, priced=False),
    Row("redirect to elsewhere", body(b"", status=301, headers=["location: http://127.0.0.1:1/"]), TRANSIENT, False),
    Row("gateway's status in a 200", body({"error": {"code": 429, "message": "Slow down"}}), RATE, priced=False),
    Row(
        "error at the top (vLLM)",
        body({"object": "error", "type": "NotFoundError", "code": 404}, status=404),
        MODEL,
        True,
    ),
)


def spoil_block(dialect: Dialect, reply: dict[str, Any]) -> None:
    """A block, or message part, of a kind that nobody knows yet."""
    block = dialect.block(reply)
    text = block.pop(dialect.text_field)
    block.update({"type": "new_block", "new_text": text})


def price(provider: str, model: str, usage: Usage) -> int:
    return 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def provider_at(url: str, kind: str, deadline_s: float = SOON_S) -> Provider:
    settings = ProviderSettings(
        kind=kind, base_url=url + DIALECTS[kind].base_path, api_key_env="TEST_KEY", deadline_s=deadline_s
    )
    return build_provider("main", settings, api_key("main", settings, {"TEST_KEY": KEY}), 8, price)


async def end_of(row: Row, kind: str, server: FaultServer) -> tuple[Completion | ProviderError, int, int]:
    """How the fault ended; calls and unpriced calls on the account."""
    server.play = row.play(DIALECTS[kind])
    url = row.url.format(free=free_port()) if row.url else server.url
    provider = provider_at(url, kind, row.deadline_s)
    call = model_call()
    end: Completion | ProviderError
    try:
        end = await provider.complete(call)
    except ProviderError as error:
        end = error
    finally:
        await provider.aclose()
    return end, call.tally.calls, call.tally.unpriced_calls


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [*ROWS, *MORE_ROWS], ids=lambda row: row.name)
async def test_the_fault_ends_in_its_class_after_one_request(row: Row, kind: str) -> None:
    async with FaultServer() as server:
        end, calls, unpriced = await end_of(row, kind, server)

    found = end.stop if isinstance(end, Completion) else end.error_class
    assert found is row.ends_in, end
    assert calls == 1
    assert unpriced == (0 if row.priced else 1)
    assert len(server.received) == row.requests
    assert KEY not in str(end)


def test_the_table_covers_every_fault_that_was_tried() -> None:
    assert [row.name for row in ROWS] == list(FAULTS)


async def test_the_table_goes_red_where_an_adapter_ends_elsewhere() -> None:
    """The same judgement on a wrong expectation: it must not pass."""
    wrong = Row("hang", status(500), Stop.COMPLETE, priced=True)
    async with FaultServer() as server:
        end, _, _ = await end_of(wrong, "openai", server)
    assert isinstance(end, ProviderError)
    assert end.error_class is not wrong.ends_in


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hanging_explanation_of_an_error_does_not_cost_its_status(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.providers.wire._ERROR_BODY_S", 0.1)
    row = Row("x", lambda d: send_then_hang(response(b"x" * 99, 529)[:-50]), OVER, priced=True)
    async with FaultServer() as server:
        end, _, unpriced = await end_of(row, kind, server)
    assert isinstance(end, ProviderError)
    assert (end.error_class, end.status, unpriced) == (OVER, 529, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_client_goes_on_after_every_kind_of_broken_connection(kind: str) -> None:
    """One long-lived client: a fault leaves nothing behind that spoils the next call."""
    async with FaultServer() as server:
        provider = provider_at(server.url, kind)
        for row in ROWS:
            if row.deadline_s == SOON_S and not row.url and isinstance(row.ends_in, ErrorClass):
                server.play = row.play(DIALECTS[kind])
                with pytest.raises(ProviderError):
                    await provider.complete(model_call())
        server.play = ROWS[0].play(DIALECTS[kind])
        completion = await provider.complete(model_call())
        await provider.aclose()
    assert completion.text == "hello"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [200, 429])
async def test_an_endless_body_is_left_at_the_cap(kind: str, code: int) -> None:
    """Whatever is read stays in memory: the server must not get rid of more than the cap and the sockets' buffers."""
    sent_bytes = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        writer.write(b"HTTP/1.1 %d Whatever\r\ncontent-length: 1000000000\r\n\r\n" % code)
        while True:
            writer.write(bytes(2**16))
            await writer.drain()
            sent_bytes += 2**16

    async with FaultServer() as server:
        row = Row("endless", lambda _: endless, TRANSIENT if code == 200 else RATE, priced=code == 429)
        end, _, unpriced = await end_of(row, kind, server)
    assert isinstance(end, ProviderError)
    assert (end.error_class, unpriced) == (row.ends_in, 0 if row.priced else 1)
    assert sent_bytes < (8 + 12) * 2**20
