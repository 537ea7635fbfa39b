"""The one seam between us and a provider: bytes and judged failures go in and out, nothing foreign.

Through `Wire.fetch` an SDK sends one HTTP request and gets the bytes of a 200 back. Everything else that can happen
becomes a classified `ProviderError` here: other statuses (judged before the SDK reads them), broken connections, bodies
over the cap, and every exception of the SDKs, of httpx2, aiohttp, ssl and the operating system. No redirect is
followed, no proxy or header is taken from the environment, and no message holds the API key.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx2

from stream import __version__
from stream.codecs import strict_json
from stream.core.errors import ErrorClass, ProviderError
from stream.core.quotas import NO_QUOTAS, Quotas
from stream.core.records import Completion, ModelCall
from stream.providers.keys import ApiKey
from stream.providers.replies import JunkError, Reply
from stream.resilience.classify import classify, may_be_own
from stream.resilience.rate_limits import parse_rate_limits
from stream.resilience.retry_after import parse_retry_after

MAX_REPLY_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 100

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_S = 2.0  # a status is known already: its explanation isn't worth the request's whole deadline
_CONNECT_S = 10.0
_KEEPALIVE_S = 30.0
# The SDKs read the last one back from the request to know what was asked of them.
_PASSED_ON = ("content-length", "x-client-request-id", "x-stainless-raw-response")
_PRINTABLE = "!#$&'()*+,/:;<=>?@[]^`{|}"
_HTTP_ERRORS = range(400, 600)
_WORD_CHARS = 100
_COSTS_NOTHING = (*range(400, 500), 503, 529)
_NEVER_SENT = (ConnectionRefusedError, socket.gaierror)
"""What shows that there was no connection; others may break one over which the request had gone already."""


class SentResponse(Protocol):
    """What both SDKs' `with_streaming_response` gives."""

    @property
    def headers(self) -> httpx2.Headers:
        """As they came."""
        ...

    def iter_bytes(self, chunk_size: int | None = None) -> Any:
        """An async iterator over the decoded body."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """A 200: its bytes, and what its headers say of the quotas."""

    body: bytes
    quotas: Quotas


class Wire:
    """One provider's HTTP client, with what may leave and what may come back.

    name: the provider's configured name, for messages; with the host of `url`, where its requests go.
    headers: the provider's own, sent with every request.
    """

    def __init__(
        self,
        name: str,
        url: str,
        key: ApiKey,
        *,
        client_class: type[httpx2.AsyncClient],
        max_in_flight: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._host = urlsplit(url).netloc
        self._key = key
        self._key_is_suspect = False
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"llm-stream/{__version__}",
            **(headers or {}),
        }
        self.client = client_class(
            # One connection a call: SDKs keep 100 by default and reconnect for the rest.
            limits=httpx2.Limits(
                max_connections=max_in_flight, max_keepalive_connections=max_in_flight, keepalive_expiry=_KEEPALIVE_S
            ),
            # A read timeout would restart with every byte: the total deadline is the caller's.
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            verify=_trust(),
            event_hooks={"request": [self._send_only_ours], "response": [self._refuse_all_but_200]},
        )

    async def fetch(self, send: Callable[[], AbstractAsyncContextManager[SentResponse]]) -> Fetched:
        """The 200 that `send` brings, its body at most 8 MiB. Raises ProviderError and nothing else."""
        if self._key_is_suspect:
            self._key.reread()
            self._key_is_suspect = False
        body = bytearray()
        quotas = NO_QUOTAS
        try:
            async with send() as response:
                quotas = parse_rate_limits(response.headers.multi_items())
                async for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_REPLY_BYTES:
                        break
        except Exception as error:  # noqa: BLE001  (the seam: whatever an SDK throws ends here, classified)
            raise self._translated(error) from None
        if len(body) > MAX_REPLY_BYTES:
            raise self._junk(f"its body is larger than {MAX_REPLY_BYTES // 1024**2} MiB")
        return Fetched(bytes(body), quotas)

    def completion(self, fetched: Fetched, read: Callable[[dict[str, Any]], Reply], latency_ms: int) -> Completion:
        """What `read` makes of the body's JSON. Raises ProviderError where the body is no reply."""
        try:
            value = _json_object(fetched.body)
            if not value.get("error"):
                return read(value).completion(latency_ms, fetched.quotas)
        except (JunkError, strict_json.StrictJsonError) as error:
            raise self._junk(str(error), fetched.quotas) from None
        raise self._error(200, {}, value, fetched.quotas, unbilled=False)  # what came before the error may be billed

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def _send_only_ours(self, request: httpx2.Request) -> None:
        """Replace the SDK's headers, among which may be some from the environment, by a closed set."""
        sent = {
            "host": request.url.netloc.decode(),
            **self._headers,
            "authorization": f"Bearer {self._key.value}",
        }
        for name in _PASSED_ON:
            if name in request.headers:
                sent[name] = request.headers[name]
        request.headers = httpx2.Headers(sent)

    async def _refuse_all_but_200(self, response: httpx2.Response) -> None:
        """Judge every other status before the SDK reads its body, without bound, or follows it."""
        if response.status_code == 200:
            return
        said = _error_object(await _error_body(response))
        status = response.status_code
        # A gateway's 502 says nothing about what the model behind it did and billed.
        unbilled = status in _COSTS_NOTHING or (status in _HTTP_ERRORS and bool(said))
        quotas = parse_rate_limits(response.headers.multi_items())
        raise self._error(status, response.headers, said, quotas, unbilled=unbilled)

    def _error(
        self, status: int, headers: Mapping[str, str], body: dict[str, Any], quotas: Quotas, *, unbilled: bool
    ) -> ProviderError:
        """An answer that says that it failed, classified."""
        error_type, code, message, status = _words(body, status)
        # A sentence without a word, outside of an `error`, is a gateway's: {"message": "Forbidden"}.
        spoken = "error" in body or error_type or code
        error_class = classify(status, error_type, code, message if spoken else "")
        if error_class is ErrorClass.ACCOUNT:
            self._key_is_suspect = True
        named = code or error_type
        word = self._key.scrubbed(named)[:_WORD_CHARS] if named else None
        if error_class is ErrorClass.UNKNOWN_MODEL and not word:
            message = message or "nothing that speaks this API is at that address; check base_url"
        said = f": {message}" if message else ""
        return ProviderError(
            error_class,
            self._key.scrubbed(f"{self._name} ({self._host}) answered {status}{f' {word}' if word else ''}{said}"),
            status=status,
            error_type=word,
            retry_after_s=parse_retry_after(headers, time.time()),
            unbilled=unbilled,
            may_be_own=may_be_own(error_class, status, error_type, code, message),
            final=headers.get("x-should-retry", "").lower() == "false",
            quotas=quotas,
        )

    def _junk(self, why: str, quotas: Quotas = NO_QUOTAS) -> ProviderError:
        detail = self._key.scrubbed(f"{self._name} ({self._host}) answered 200 with something that is no reply: {why}")
        return ProviderError(ErrorClass.TRANSIENT, detail, status=200, unbilled=False, quotas=quotas)

    def _translated(self, error: Exception) -> ProviderError:
        """A foreign exception as ours; one of ours that an SDK wrapped as itself."""
        root: BaseException = error
        for _ in range(16):  # exceptions can be chained into a ring
            if isinstance(root, ProviderError):
                return root
            cause = root.__cause__ or (None if root.__suppress_context__ else root.__context__)
            if cause is None:
                break
            root = cause
        # The root's name only: SDKs disagree about the rest, one calls a refused connection a time-out.
        sentence = f"no answer from {self._name} ({self._host}): {type(root).__name__}"
        return ProviderError(
            ErrorClass.TRANSIENT,
            self._key.scrubbed(f"{sentence}: {root}" if str(root) else sentence),
            unbilled=isinstance(root, _NEVER_SENT),
        )


@cache
def _trust() -> ssl.SSLContext:
    """The certificates to trust: the system's, or those of SSL_CERT_FILE and SSL_CERT_DIR; loading takes 30 ms."""
    return httpx2.create_ssl_context()


def correlation(call: ModelCall) -> dict[str, str]:
    """The header by which provider and operator find a request in each other's logs: the request's id, printable."""
    return {"x-client-request-id": quote(call.request_id, safe=_PRINTABLE)[:512]}


async def _error_body(response: httpx2.Response) -> bytes:
    """What can be had of an error's body within 64 KiB and two seconds; the status counts even without it."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_ERROR_BYTES:
                    break
    except Exception:  # noqa: BLE001  (cut, garbled, slow: the status is the answer)
        return bytes(body)
    return bytes(body)


def _json_object(body: bytes) -> dict[str, Any]:
    value = strict_json.parse(body, max_depth=MAX_DEPTH, max_bytes=MAX_REPLY_BYTES)
    if not isinstance(value, dict):
        raise JunkError("it is no JSON object")
    return value


def _error_object(body: bytes) -> dict[str, Any]:
    """An error's body; empty if it is no JSON object."""
    try:
        return _json_object(body)
    except (JunkError, strict_json.StrictJsonError):
        return {}


def _words(body: dict[str, Any], status: int) -> tuple[str | None, str | None, str, int]:
    """Type, code, message and status of an error object, in any of the shapes in use.

    `{"error": {"type", "code", "message"}}` (OpenAI), the same with `details.error_code` (Anthropic), the fields at the
    top (vLLM), a bare `{"error": "..."}`, and gateways that put the real status into `code` of a 200.
    """
    error = body.get("error")
    if isinstance(error, str):
        return None, None, error, status
    fields = error if isinstance(error, dict) else body
    details = fields.get("details")
    code = fields.get("code") or (details.get("error_code") if isinstance(details, dict) else None)
    if status == 200 and type(code) is int and code in _HTTP_ERRORS:
        status = code
    message = fields.get("message")
    return _text(fields.get("type")), _text(code), message if isinstance(message, str) else "", status


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
