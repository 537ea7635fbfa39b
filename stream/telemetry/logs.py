"""The log: everything on stderr, one line per outcome, in JSON or for people.

Libraries' warnings are put into the same form; what they say below a warning (requests, headers, bodies) is not.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import Literal

import structlog
from structlog.typing import FilteringBoundLogger

from stream.telemetry.log_lines import AsText, as_json, scrub
from stream.telemetry.log_sink import LineSink

LogFormat = Literal["auto", "json", "text"]

_TALKATIVE = ("anthropic", "openai", "httpx", "httpx2", "httpcore", "aiohttp", "asyncio", "urllib3")
"""Libraries whose debug lines hold headers and bodies; an environment variable (`OPENAI_LOG=debug`) must not turn that
on."""
_SHOWN_FRAMES = 6


class Logs:
    """The log of one process, while the context lasts. Logging never waits for stderr, and never raises."""

    def __init__(
        self,
        log_format: LogFormat = "auto",
        *,
        on_lost: Callable[[int], None] | None = None,
        fd: int | None = None,
    ) -> None:
        """log_format: `auto` is text on a terminal, else JSON. on_lost: told of lines that could not be written.
        fd: where to write; None: stderr."""
        fd = stderr_fd() if fd is None else fd
        terminal = fd is not None and _is_terminal(fd)
        as_text = terminal if log_format == "auto" else log_format == "text"
        render = AsText(colours=terminal and not os.environ.get("NO_COLOR")) if as_text else as_json
        self._sink = LineSink(
            fd, lambda lines: _line(render, "warning", f"{lines} log lines near this one are lost"), on_lost
        )
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            _ToSink(self._sink),
            processors=[scrub, render],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        ).bind()
        self._libraries = LibraryHandler(self.logger)
        self._before: list[logging.Handler] = []

    def __enter__(self) -> "Logs":
        """Take the libraries' lines over."""
        root = logging.getLogger()
        self._before, root.handlers = root.handlers, [self._libraries]
        for name in _TALKATIVE:
            library = logging.getLogger(name)
            library.setLevel(max(library.level, logging.WARNING))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and give the libraries' lines back."""
        logging.getLogger().handlers = self._before
        self.close()

    def close(self) -> None:
        """Write what waits, as far as that goes fast; later lines are dropped."""
        self._sink.close()


class LibraryHandler(logging.Handler):
    """Lines of the standard library's logging, in our form, from a warning on."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line for it: message, library, and of an exception type, text and place."""
        try:
            message, fields = record.getMessage(), _error(record)
        except Exception as error:  # noqa: BLE001  (arguments that don't fit their message are not ours to fail for)
            message, fields = "a library's log line can't be shown", {"error": type(error).__name__}
        say = self._logger.error if record.levelno >= logging.ERROR else self._logger.warning
        say(message, library=record.name, **fields)


def _error(record: logging.LogRecord) -> dict[str, str]:
    error = record.exc_info[1] if record.exc_info else None
    return {} if error is None else {"error": f"{type(error).__name__}: {error}", "where": where(error)}


def where(error: BaseException) -> str:
    """The innermost frames of an exception, in one line: `function (file:line) < ...`."""
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_name} ({PurePath(code.co_filename).name}:{trace.tb_lineno})")
        trace = trace.tb_next
    return " < ".join(reversed(frames[-_SHOWN_FRAMES:]))


def stderr_fd() -> int | None:
    """The descriptor of stderr; None if there is none (closed at start, or replaced by something without one)."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None


class _ToSink:
    """What structlog writes to: its last processor's bytes, by level."""

    def __init__(self, sink: LineSink) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = sink.write


def _line(render: Callable[..., bytes], level: str, event: str) -> bytes:
    return render(None, level, {"event": event})


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
