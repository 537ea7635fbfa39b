"""`/metrics /livez /readyz /status` over HTTP, GET only.

It runs on the worker's own event loop, on purpose: a probe that the loop can't answer in time is what tells that the
loop hangs; a thread of its own would go on saying "live". What it costs the loop is bounded: a page is made at most
twice a second, however often it is asked for.
"""

import dataclasses
import errno
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

import stream
from stream.core.errors import ConfigError
from stream.settings.model import TelemetrySettings
from stream.telemetry.figures import Figures
from stream.telemetry.health import not_live, not_ready

PAGE_AGE_S = 0.5
_METRICS_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_HEADER_BYTES = 4096
_IDLE_S = 30.0


class Page:
    """Bytes that are made anew when they are older than `PAGE_AGE_S`."""

    def __init__(self, make: Callable[[], bytes], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._now_s = monotonic_s
        self._made_s = float("-inf")
        self._bytes = b""

    def __call__(self) -> bytes:
        now_s = self._now_s()
        if now_s - self._made_s >= PAGE_AGE_S:
            self._bytes = self._make()
            self._made_s = now_s
        return self._bytes


class TelemetryServer:
    """Serves while its context lasts; `url` is where."""

    def __init__(
        self,
        settings: TelemetrySettings,
        metrics_page: Callable[[], bytes],
        figures: Callable[[], Figures],
        shut_gates: Callable[[], list[dict[str, Any]]] = list,
        failing: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        """metrics_page: in the Prometheus text format. figures, shut_gates, failing: as things are right now."""
        self._settings = settings
        self._metrics = Page(metrics_page)
        self._status = Page(self._status_page)
        self._figures = figures
        self._shut_gates = shut_gates
        self._failing = failing
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """`http://host:port`, with the port that was really taken. Raises RuntimeError before the server runs."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the telemetry server isn't running")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> "TelemetryServer":
        """Listen. Raises ConfigError, which names the key, if that address can't be had."""
        app = web.Application(client_max_size=_HEADER_BYTES)
        for path, answer in {
            "/metrics": self._answer_metrics,
            "/livez": self._answer_livez,
            "/readyz": self._answer_readyz,
            "/status": self._answer_status,
        }.items():
            app.router.add_get(path, answer, allow_head=False)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_IDLE_S,
            shutdown_timeout=1.0,
            lingering_time=0.0,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=32,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await runner.cleanup()
            raise _cannot_listen(self._settings, error) from error
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers=_METRICS_TYPE)

    async def _answer_livez(self, _: web.Request) -> web.Response:
        return _verdict("live", not_live(self._figures()))

    async def _answer_readyz(self, _: web.Request) -> web.Response:
        return _verdict("ready", not_ready(self._figures()))

    async def _answer_status(self, _: web.Request) -> web.Response:
        return web.Response(body=self._status(), content_type="application/json")

    def _status_page(self) -> bytes:
        figures = self._figures()
        status: Mapping[str, Any] = {
            "version": stream.__version__,
            "live": not not_live(figures),
            "ready": not not_ready(figures),
            "reasons": [*not_live(figures), *not_ready(figures)],
            "gates_shut": self._shut_gates(),
            "failing": self._failing(),
            **dataclasses.asdict(figures),
        }
        return orjson.dumps(status, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _verdict(good: str, reasons: list[str]) -> web.Response:
    if not reasons:
        return web.Response(text=f"{good}\n")
    return web.Response(status=503, text="".join(f"not {good}: {reason}\n" for reason in reasons))


def _cannot_listen(settings: TelemetrySettings, error: OSError) -> ConfigError:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"[telemetry] port: {where} is taken by another program (another worker?). "
            "Choose another port, or 0 for any free one."
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"[telemetry] host: this machine has no address {settings.host!r}. "
            "Use 127.0.0.1, or 0.0.0.0 for all of its addresses."
        )
    return ConfigError(f"[telemetry] port: {where} can't be listened on ({error.strerror or error}). Choose another.")
