"""Every way in which the simulator can misbehave. Adding one is a function and a row, which docs/simulator.md shows."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from stream.simulator.ask import Refused
from stream.simulator.turn import Turn

Act = Callable[[Turn], Awaitable[web.StreamResponse]]

_FILLERS = ("N/A", "unknown", "TBD", "string", "not specified", "...")
_OTHER_LANGUAGE = "Tämä viesti koskee asiakkaan pyyntöä, johon pitäisi vastata mahdollisimman pian."
_HTML = b"<!doctype html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"
_HALF = 2


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row. does: what the client sees. options: the further keys an entry of this kind takes."""

    kind: str
    does: str
    act: Act
    options: frozenset[str] = frozenset()


def _refusing(word: str) -> Act:
    async def act(turn: Turn) -> web.StreamResponse:
        wait_s = turn.fault.retry_after_s
        return turn.error(word, None if wait_s is None else {"retry-after": f"{wait_s:g}"})

    return act


async def _rate_limit(turn: Turn) -> web.StreamResponse:
    wait_s = 5.0 if turn.fault.retry_after_s is None else turn.fault.retry_after_s
    used_up = {name: "0" for name in turn.metering.headers("") if "remaining" in name and name.count("-tokens") == 0}
    return turn.error("rate_limit", {"retry-after": f"{wait_s:g}", **used_up})


async def _hang(turn: Turn) -> web.StreamResponse:
    return await turn.silence()


async def _slow(turn: Turn) -> web.StreamResponse:
    reply = await turn.reply()
    await asyncio.sleep(30.0 if turn.fault.delay_s is None else turn.fault.delay_s)
    return turn.sent(reply)


async def _cut(turn: Turn) -> web.StreamResponse:
    body = turn.body(await turn.reply())
    response = await turn.begun(len(body))
    await response.write(body[: len(body) // _HALF])
    turn.close()
    return await turn.silence()


async def _reset(turn: Turn) -> web.StreamResponse:
    turn.close(reset=True)
    return await turn.silence()


async def _drip(turn: Turn) -> web.StreamResponse:
    body = turn.body(await turn.reply())
    response = await turn.begun(len(body))
    for at in range(len(body)):
        await response.write(body[at : at + 1])
        await asyncio.sleep(0.5 if turn.fault.delay_s is None else turn.fault.delay_s)
    return response


def _raw(body: bytes, *, status: int = 200, content_type: str, headers: dict[str, str] | None = None) -> Act:
    async def act(turn: Turn) -> web.StreamResponse:
        return turn.raw(body, status=status, content_type=content_type, headers=headers)

    return act


async def _error_in_200(turn: Turn) -> web.StreamResponse:
    _status, error = turn.dialect.error(Refused("overload"), turn.call_id, turn.ask.model)
    body = orjson.dumps(error)
    if turn.ask.stream:
        body = (b"event: error\n" if turn.dialect.name == "anthropic" else b"") + b"data: " + body + b"\n\n"
    return turn.raw(body)


async def _truncate(turn: Turn) -> web.StreamResponse:
    reply = await turn.reply()
    return turn.sent(turn.dialect.cut(reply, max(1, reply.output_tokens // _HALF)))


def _stopping(stop: str) -> Act:
    async def act(turn: Turn) -> web.StreamResponse:
        return turn.sent((await turn.reply()).evolve(stop=stop))

    return act


async def _filtered(turn: Turn) -> web.StreamResponse:
    stop = "filtered" if turn.dialect.name == "openai" else "refused"
    return turn.sent((await turn.reply()).evolve(stop=stop, text="", as_tool=False))


async def _refuse(turn: Turn) -> web.StreamResponse:
    return turn.sent((await turn.reply()).evolve(stop="refused", text="", as_tool=False))


async def _placeholder(turn: Turn) -> web.StreamResponse:
    return turn.sent(await turn.reply(filler=_FILLERS[turn.drawn("filler", len(_FILLERS))]))


async def _blank(turn: Turn) -> web.StreamResponse:
    return turn.sent(await turn.reply(filler=""))


async def _wrong_language(turn: Turn) -> web.StreamResponse:
    return turn.sent(await turn.reply(prose=_OTHER_LANGUAGE))


def _of_another_type(value: Any) -> Any:
    if isinstance(value, str):
        return 12345
    return "about a dozen" if isinstance(value, int | float | None) else 0


async def _schema_violation(turn: Turn) -> web.StreamResponse:
    reply = await turn.reply()
    try:
        value = json.loads(reply.text)
    except json.JSONDecodeError:
        return turn.sent(reply)
    violation = turn.fault.violation or ("missing", "type", "extra")[turn.drawn("violation", 3)]
    if not isinstance(value, dict):
        value = _of_another_type(value)
    elif violation == "extra" or not value:
        value["remark_of_the_model"] = "I added this field."
    elif violation == "missing":
        value.pop(next(iter(value)))
    else:
        first = next(iter(value))
        value[first] = _of_another_type(value[first])
    return turn.sent(reply.evolve(text=orjson.dumps(value).decode()))


async def _prose(turn: Turn) -> web.StreamResponse:
    reply = await turn.reply()
    text = "Sure! Here is what I found: the document seems fine, and I would handle it as usual. Anything else?"
    return turn.sent(reply.evolve(text=text, as_tool=False))


def _with_nan(value: Any) -> tuple[Any, bool]:
    """The value with its first number replaced by NaN, and whether there was one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.nan, True
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, inner in parts:
        replaced, done = _with_nan(inner)
        if done:
            value[key] = replaced
            return value, True
    return value, False


async def _nan(turn: Turn) -> web.StreamResponse:
    reply = await turn.reply()
    try:
        value = json.loads(reply.text)
    except json.JSONDecodeError:
        return turn.sent(reply.evolve(text="NaN"))
    value, done = _with_nan(value)
    if not done and isinstance(value, dict) and value:
        value[next(iter(value))] = math.nan
    return turn.sent(reply.evolve(text=json.dumps(value, ensure_ascii=False)))


_WAIT = frozenset({"retry_after_s"})
_DELAY = frozenset({"delay_s"})

_ROWS = (
    FaultKind(
        "rate_limit",
        "429 with `retry-after` (`retry_after_s`, default 5), the request quota used up",
        _rate_limit,
        _WAIT,
    ),
    FaultKind("rate_limit_bare", "429 without `retry-after`", _refusing("rate_limit")),
    FaultKind(
        "overload",
        "Anthropic 529 `overloaded_error`, OpenAI 503; `retry-after` if `retry_after_s` is set",
        _refusing("overload"),
        _WAIT,
    ),
    FaultKind("server_error", "500 in the provider's error format", _refusing("server_error")),
    FaultKind(
        "bad_gateway_html",
        "502 with an HTML page, as a proxy sends it",
        _raw(_HTML % (b"502 Bad Gateway", b"502 Bad Gateway"), status=502, content_type="text/html"),
    ),
    FaultKind("unavailable", "503; `retry-after` if `retry_after_s` is set", _refusing("unavailable"), _WAIT),
    FaultKind("bad_request", "400 `invalid_request_error`", _refusing("bad_request")),
    FaultKind("context_too_long", "400 that says the prompt is too long", _refusing("context")),
    FaultKind("auth", "401, as for a revoked key", _refusing("auth")),
    FaultKind("payment", "402", _refusing("payment")),
    FaultKind("forbidden", "403", _refusing("forbidden")),
    FaultKind(
        "insufficient_quota",
        "429 that waiting won't cure: OpenAI `insufficient_quota`, Anthropic `enforced_spend_limit_reached`",
        _refusing("insufficient_quota"),
    ),
    FaultKind("unknown_model", "404 for the model", _refusing("unknown_model")),
    FaultKind("hang", "nothing at all, until the client goes or 600 s have passed", _hang),
    FaultKind("slow", "the good reply, `delay_s` (default 30) later than usual", _slow, _DELAY),
    FaultKind("cut", "status 200, half of the promised body, then the connection is closed", _cut),
    FaultKind("reset", "the connection is reset before any answer", _reset),
    FaultKind("drip", "the good reply, one byte every `delay_s` (default 0.5)", _drip, _DELAY),
    FaultKind(
        "html",
        "200 with an HTML page, as a login proxy sends it",
        _raw(_HTML % (b"Sign in", b"Please sign in"), content_type="text/html"),
    ),
    FaultKind(
        "junk",
        "200 `application/json` whose body is not JSON",
        _raw(b'{"id": "%%%", "content": [upstream connect error', content_type="application/json"),
    ),
    FaultKind("empty", "200 without a body", _raw(b"", content_type="application/json")),
    FaultKind("wrong_shape", "200 with `{}`", _raw(b"{}", content_type="application/json")),
    FaultKind(
        "error_in_200", "200 with the provider's overload error as body (in a stream: as an event)", _error_in_200
    ),
    FaultKind(
        "redirect",
        "302 to another path",
        _raw(b"", status=302, content_type="text/plain", headers={"location": "/elsewhere"}),
    ),
    FaultKind(
        "truncate",
        "half of the reply, stop reason `max_tokens` or `length`; Anthropic tool input: half of the fields",
        _truncate,
    ),
    FaultKind("truncate_valid", "the whole reply, but with that stop reason", _stopping("truncated")),
    FaultKind("refuse", "a refusal: Anthropic stop reason `refusal`, OpenAI `message.refusal`", _refuse),
    FaultKind(
        "content_filter", "OpenAI finish reason `content_filter` without content; Anthropic as `refuse`", _filtered
    ),
    FaultKind("placeholder", "valid for the schema, but free strings are `N/A`, `unknown`, `TBD`, …", _placeholder),
    FaultKind("blank", "free strings are empty", _blank),
    FaultKind("wrong_language", "summaries and explanations in Finnish", _wrong_language),
    FaultKind(
        "schema_violation",
        "a field is missing, has another type or is one too many (`violation` = `missing`, `type`, "
        "`extra`; default: drawn)",
        _schema_violation,
        frozenset({"violation"}),
    ),
    FaultKind("not_json_text", "prose where JSON or a tool call was asked for", _prose),
    FaultKind("nan", "`NaN` in place of the first number", _nan),
    FaultKind(
        "unknown_stop",
        "the good reply with the stop reason `paused_for_review`, which nobody knows",
        _stopping("paused_for_review"),
    ),
)

FAULTS: dict[str, FaultKind] = {row.kind: row for row in _ROWS}
OPTIONS: dict[str, frozenset[str]] = {row.kind: row.options for row in _ROWS}
"""Which further keys each kind takes."""


def table() -> str:
    """The rows as Markdown, as they stand in docs/simulator.md."""
    lines = ["| kind | what the client sees |", "|---|---|"]
    return "\n".join(lines + [f"| `{row.kind}` | {row.does} |" for row in _ROWS])
