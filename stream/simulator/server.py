"""The server: routes, refusals of its own, and the life of a call."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from stream.core.errors import ConfigError
from stream.simulator.anthropic_api import Anthropic
from stream.simulator.ask import Dialect, Refused
from stream.simulator.chance import digest, log_normal
from stream.simulator.composer import Composer
from stream.simulator.entries import Fault
from stream.simulator.faults import FAULTS, OPTIONS
from stream.simulator.ledger import Ledger, key_mark
from stream.simulator.metering import Clock, Metering
from stream.simulator.models import model_answer
from stream.simulator.openai_api import OpenAI
from stream.simulator.prompt_cache import PromptCache
from stream.simulator.reading import object_of
from stream.simulator.script import Performance, Script
from stream.simulator.turn import Turn

MAX_BODY_BYTES = 32 * 1024 * 1024
_SHUTDOWN_S = 0.1
_NO_FAULT = Fault(kind="none")
_JSON = {"content-type": "application/json"}
_ANTHROPIC, _OPENAI = Anthropic(), OpenAI()

Playable = Script | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Simulator:
    """A provider on a port of this machine, running between `start` and `close` or inside `async with`.

    seed: see docs/simulator.md. script: a `Script`, its content (`{"quota": [...], "fault": [...]}`), or faults such as
    `{"kind": "hang", "to_call": 3}`.
    latency_ms: median, 0 for none. reject_key: answered with 401. port: 0 takes any free one.
    clock: seconds, by which scripts go: not the latency, nor the waits of a fault.
    """

    def __init__(
        self,
        *,
        script: Playable = (),
        seed: int = 0,
        latency_ms: float = 300.0,
        latency_sigma: float = 0.4,
        reject_key: str = "wrong",
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.seed, self.latency_ms, self.latency_sigma, self.reject_key = seed, latency_ms, latency_sigma, reject_key
        self.host, self.port = host, port
        self.ledger = Ledger()
        self._clock = clock
        self._composer = Composer(seed)
        self._cache = PromptCache()
        self._first_call_s: float | None = None
        self._runner: web.ServerRunner | None = None
        self.play(script)
        self._routes = self._table_of_routes()

    def _table_of_routes(self) -> dict[tuple[str, str], Handler]:
        routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/messages"): lambda request: self._serve(request, _ANTHROPIC),
            ("GET", "/healthz"): self._healthz,
            ("GET", "/admin/ledger"): self._show_ledger,
            ("GET", "/admin/faults"): self._show_faults,
            ("POST", "/admin/faults"): self._replace_faults,
            ("POST", "/admin/reset"): self._reset,
        }
        for prefix in ("/v1", ""):
            routes["POST", f"{prefix}/chat/completions"] = lambda request: self._serve(request, _OPENAI)
        return routes

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises ConfigError if the address can't be had."""
        server = web.Server(self._answer, handler_cancellation=True, access_log=None, request_factory=_request)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port, backlog=4096).start()
        except OSError as error:
            await self.close()
            raise ConfigError(f"The simulator can't listen on {self.host}:{self.port}: {error.strerror}.") from error
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and end what is being served. Safe to call twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base_url(self) -> str:
        """For Anthropic's SDK as it is; OpenAI's takes it with `/v1` behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def play(self, script: Playable) -> None:
        """Replace faults and quotas; their seconds and calls count from the next call. Raises ConfigError."""
        if not isinstance(script, Script):
            script = Script.parse(script if isinstance(script, Mapping) else {"fault": list(script)}, OPTIONS)
        self._performance = Performance(script, self.seed)

    def reset(self) -> None:
        """Empty the ledger and the prompt cache; count calls from 1; the same faults and quotas from their start."""
        self.ledger.clear()
        self._cache = PromptCache()
        self._first_call_s = None
        self.play(self._performance.script)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = self._routes.get((request.method, request.path))
        if handler is not None:
            return await handler(request)
        if request.method == "GET" and request.path.removeprefix("/v1").startswith("/models"):
            return model_answer(request.path, is_anthropic="anthropic-version" in request.headers)
        message = (
            f"{request.method} {request.path} is not simulated{_likely_cause(request.path)}; see docs/simulator.md."
        )
        if request.path.startswith("/admin"):
            return _json_line({"error": message}, status=404)
        dialect: Dialect = _ANTHROPIC if "anthropic-version" in request.headers else _OPENAI
        return _refusal(dialect, Refused("not_found", message), "none", dialect.headers("none"))

    async def _serve(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        now_s = self._clock()
        if self._first_call_s is None:
            self._first_call_s = now_s
        call = self.ledger.opened(now_s - self._first_call_s)
        performance = self._performance
        played, elapsed_s = performance.arrival(now_s)
        metering = Metering(performance, dialect, call, self._clock)
        call_id = f"{digest(self.seed, 'call', call.n):016x}"
        call.request_id = f"req_{call_id}"
        try:
            turn = await self._turn(request, metering, call_id)
            fault = performance.fault_for(played, elapsed_s, turn.ask.model, turn.ask.user)
            if fault is None:
                return turn.sent(await turn.reply())
            turn.fault, call.fault = fault, fault.kind
            return await FAULTS[fault.kind].act(turn)
        except Refused as refused:
            response = _refusal(dialect, refused, call_id, metering.headers(call_id), call.model or "")
            call.status = response.status
            return response

    async def _turn(self, request: web.BaseRequest, metering: Metering, call_id: str) -> Turn:
        """The call, read and found fit to be answered. Raises Refused."""
        dialect, call = metering.dialect, metering.call
        key = dialect.key(request.headers)
        call.key = key_mark(key)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise Refused("too_large") from error
        content = _if_object(body)
        call.model = content.get("model") if isinstance(content.get("model"), str) else None
        if key is None or key == self.reject_key:
            raise Refused("auth")
        ask = dialect.read(content or object_of(body), request.headers)
        if ask.request_id:
            call.request_id = ask.request_id
        latency_ms = log_normal(self.seed, call.n, median=self.latency_ms, sigma=self.latency_sigma)
        return Turn(
            request,
            dialect,
            ask,
            _NO_FAULT,
            call,
            call_id,
            latency_ms / 1000,
            self._composer,
            self._cache,
            metering,
        )

    async def _healthz(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _json_line({"status": "ok"})

    async def _show_ledger(self, request: web.BaseRequest) -> web.StreamResponse:
        after = request.query.get("after", "0")
        lines = self.ledger.as_json_lines(int(after) if after.isdecimal() else 0)
        headers = {"content-type": "application/x-ndjson", "x-ledger-dropped": str(self.ledger.dropped)}
        return web.Response(body=lines, headers=headers)

    async def _show_faults(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _json_line(self._performance.script.as_json())

    async def _replace_faults(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self.play(Script.parse(orjson.loads(await request.read()), OPTIONS))
        except (ConfigError, orjson.JSONDecodeError) as error:
            return _json_line({"error": str(error)}, status=400)
        return await self._show_faults(request)

    async def _reset(self, _request: web.BaseRequest) -> web.StreamResponse:
        self.reset()
        return web.Response(status=204)


def _request(*arguments: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = arguments
    return web.BaseRequest(message, payload, protocol, writer, task, task.get_loop(), client_max_size=MAX_BODY_BYTES)


def _likely_cause(path: str) -> str:
    """What is probably wrong with the `base_url` that led here; empty where the path is no SDK's."""
    if not path.endswith(("/messages", "/chat/completions")):
        return ""
    return ": is base_url right? An Anthropic one must not end in /v1, an OpenAI one must"


def _json_line(value: Any, status: int = 200) -> web.Response:
    """An answer for people with curl as well: it ends its line."""
    return web.Response(status=status, body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), headers=_JSON)


def _if_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(
    dialect: Dialect, refused: Refused, call_id: str, usual: Mapping[str, str], model: str = ""
) -> web.Response:
    """usual: the headers that every answer carries."""
    status, error = dialect.error(refused, call_id, model)
    headers = {**_JSON, **usual, **refused.headers}
    return web.Response(status=status, body=orjson.dumps(error), headers=headers)
