"""Where log lines go: a file descriptor, written by a thread of its own, so that whoever logs never waits.

A reader that is slow, stopped or gone, a closed stderr, a full disk: lines are then lost, counted, and the loss is said
in a line as soon as lines go through again. Nothing is ever raised to who logs.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator

MAX_WAITING_BYTES = 4 * 1024 * 1024
ATOMIC_BYTES = 4096
"""What a pipe takes in one piece (POSIX PIPE_BUF on Linux): workers that share one don't cut each other's lines."""


class LineSink:
    """Writes lines, each ending in one newline, in the order they came."""

    def __init__(
        self, fd: int | None, lost_line: Callable[[int], bytes], on_lost: Callable[[int], None] | None = None
    ) -> None:
        """fd: is duplicated, so that closing it elsewhere doesn't lead our lines astray; None: there is nothing to
        write to. lost_line: says how many lines are missing. on_lost: told of each loss, on any thread."""
        self._fd = _duplicate(fd)
        self._lost_line = lost_line
        self._on_lost = on_lost
        self._changed = threading.Condition()  # reentrant: a finalizer may log while we are in here
        self._lines: list[bytes] = []
        self._bytes = 0
        self._unsaid = 0
        self._closing = False
        self._give_up_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="log-sink", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Hand a line over. It is dropped if too much waits already, or after `close`."""
        with self._changed:
            taken = self._bytes + len(line) <= MAX_WAITING_BYTES and not self._closing
            if taken:
                self._lines.append(line)
                self._bytes += len(line)
                self._changed.notify()
        if not taken:
            self._lose(1)

    def close(self, patience_s: float = 1.0) -> None:
        """Write what waits, for so long, and end. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._give_up_s = time.monotonic() + patience_s
            self._changed.notify()
        self._thread.join(patience_s + 0.2)

    def _run(self) -> None:
        while lines := self._take():
            for chunk in _chunks(lines):
                self._put(chunk)
        if self._fd is not None:
            os.close(self._fd)

    def _take(self) -> list[bytes]:
        """What waits, once something does; empty at the end."""
        with self._changed:
            while not self._lines and not self._closing:
                self._changed.wait()
            lines, self._lines, self._bytes = self._lines, [], 0
            unsaid, self._unsaid = self._unsaid, 0
        return [self._lost_line(unsaid), *lines] if unsaid and lines else lines

    def _put(self, chunk: bytes) -> None:
        rest = memoryview(chunk) if self._fd is None else self._written(self._fd, memoryview(chunk))
        if rest:
            self._lose(bytes(rest).count(b"\n"))

    def _written(self, fd: int, rest: memoryview) -> memoryview:
        """Write it; what could not be written."""
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:  # somebody made stderr non-blocking, and it is full
                if time.monotonic() > self._give_up_s:
                    break
                select.select([], [fd], [], 0.1)
            except OSError:
                break
        return rest

    def _lose(self, lines: int) -> None:
        with self._changed:
            self._unsaid += lines
        if self._on_lost is not None:
            self._on_lost(lines)


def _duplicate(fd: int | None) -> int | None:
    try:
        return None if fd is None else os.dup(fd)
    except OSError:
        return None


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines together, at most `ATOMIC_BYTES` where a single line isn't longer."""
    chunk = bytearray()
    for line in lines:
        if chunk and len(chunk) + len(line) > ATOMIC_BYTES:
            yield bytes(chunk)
            chunk.clear()
        chunk += line
    if chunk:
        yield bytes(chunk)
