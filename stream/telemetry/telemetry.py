"""Everything operators see of one worker, put together; `app` wires it in a few places:

async with telemetry(settings, tasks.versions()) as told:     # logs and the server, while the context lasts
    bare = told.observed(name, build_provider(...))           # below the gate
    gated = told.noticed(name, Gated(bare, ...))              # below the retrying
    worker = make_worker(..., told.watch, ...)
    told.look_at(worker.figures)
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType

from structlog.typing import FilteringBoundLogger

import stream
from stream.core.ports import PromptVersion, Provider
from stream.settings import Settings
from stream.telemetry.counting import MetricsWatch
from stream.telemetry.failing import Failing, Noticed
from stream.telemetry.figures import Figures
from stream.telemetry.log_watch import LogWatch
from stream.telemetry.logs import Logs
from stream.telemetry.observed import Observed
from stream.telemetry.registry import Metrics, known
from stream.telemetry.reminder import Reminder
from stream.telemetry.server import TelemetryServer
from stream.telemetry.shut_gates import ShutGates
from stream.telemetry.watch import Watch, fan_out


class Telemetry:
    """Metrics, logs and health of one worker. Use it as an async context; see the module.

    watch: what the worker is to tell. logger: for lines of the command's own.
    """

    def __init__(self, settings: Settings, versions: Iterable[PromptVersion], log_fd: int | None = None) -> None:
        """versions: whatever names labels may hold comes from these and the settings. log_fd: None is stderr."""
        self._figures: Callable[[], Figures] = Figures
        self._metrics = Metrics(known(settings, versions), stream.__version__, self._figures_now)
        lost = self._metrics.counter("llm_stream_log_lines_lost_total")
        self._logs = Logs(settings.telemetry.log_format, on_lost=lost.inc, fd=log_fd)
        gates = ShutGates()
        self.logger: FilteringBoundLogger = self._logs.logger
        failing = Failing()
        self.watch: Watch = fan_out([MetricsWatch(self._metrics), LogWatch(self.logger), gates, failing])
        self._reminder = Reminder(self.logger, gates.now, self._figures_now)
        self._server = TelemetryServer(
            settings.telemetry, self._metrics.page, self._figures_now, gates.now, failing.now
        )
        self._open = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the server listens, once the context is entered."""
        return self._server.url

    def observed(self, provider: str, inner: Provider) -> Provider:
        """A bare provider, its calls counted. provider: its configured name."""
        return Observed(inner, provider, self._metrics)

    def noticed(self, provider: str, inner: Provider) -> Provider:
        """A provider behind its gate, whose requests that fail again and again are told of."""
        return Noticed(inner, provider, self.watch)

    def last_words(self, what: str, in_flight: int) -> None:
        """A last line, and nothing after it: the process ends now. in_flight: calls that it gives up."""
        self.logger.warning(what, calls_in_flight=in_flight)
        self._logs.close()

    def look_at(self, figures: Callable[[], Figures]) -> None:
        """Where gauges and health look from now on; before, they see a worker that waits for its group."""
        self._figures = figures

    async def __aenter__(self) -> "Telemetry":
        """Begin to log and to listen. Raises ConfigError if the port can't be had."""
        async with AsyncExitStack() as opened:
            opened.enter_context(self._logs)
            await opened.enter_async_context(self._server)
            opened.callback(asyncio.create_task(self._reminder.run()).cancel)
            self._open = opened.pop_all()
        self.logger.info("telemetry listens", url=self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, write the last lines."""
        await self._open.aclose()

    def _figures_now(self) -> Figures:
        return self._figures()


def telemetry(settings: Settings, versions: Iterable[PromptVersion], log_fd: int | None = None) -> Telemetry:
    """The telemetry of one worker with these settings and prompt versions."""
    return Telemetry(settings, versions, log_fd)
