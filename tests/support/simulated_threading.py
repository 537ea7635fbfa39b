"""`threading`, `queue` and `time` as seen from inside a simulated process, and how the worker's modules are given them.

Idle waits that end by themselves anyway (a poll, a wait for `released`) are stretched: whatever could end them wakes
them (`Process.poke`), so that simulated minutes cost no turns.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from queue import Empty
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.support.simulated_time import Process, Strand, World

IDLE_S = 1.0

_world: World | None = None


def here() -> Process:
    """The process whose turn it is."""
    assert _world is not None
    assert _world.current is not None, "only a process may do this"
    return _world.current


def strand() -> Strand:
    """The thread whose turn it is."""
    assert _world is not None
    assert _world.strand is not None, "only a thread may wait: this would block the event loop"
    return _world.strand


class _Waiters:
    """Threads that wait for one thing."""

    def __init__(self) -> None:
        self._waiting: list[Strand] = []

    def wait(self, holds: Callable[[], bool], timeout_s: float | None) -> bool:
        """Until `holds` does; whether it did in time."""
        me, process = strand(), here()
        deadline_s = None if timeout_s is None else process.time() + timeout_s
        while not holds():
            left_s = None if deadline_s is None else deadline_s - process.time()
            if left_s is not None and left_s <= 0:
                return False
            self._waiting.append(me)
            try:
                me.park(left_s)
            finally:
                self._waiting.remove(me)
        return True

    def wake(self) -> None:
        for waiting in self._waiting:
            waiting.wake_soon()


class SimulatedEvent:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self._waiters = _Waiters()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake()
        if _world is not None and _world.current is not None:
            _world.current.poke()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """A short wait is stretched, but ended by a poke."""
        if not self._set and timeout is not None and timeout < IDLE_S:
            idle(IDLE_S)
        elif not self._set:
            self._waiters.wait(lambda: self._set, timeout)
        return self._set


class SimulatedSemaphore:
    """`threading.Semaphore`."""

    def __init__(self, value: int) -> None:
        self._value = value
        self._waiters = _Waiters()

    def acquire(self, timeout: float | None = None) -> bool:
        here().check_alive()
        if not self._waiters.wait(lambda: self._value > 0, timeout):
            return False
        self._value -= 1
        return True

    def release(self) -> None:
        self._value += 1
        self._waiters.wake()


class SimulatedThread:
    """`threading.Thread`."""

    def __init__(self, target: Callable[[], None], name: str, *, daemon: bool) -> None:
        self._target = target
        self._alive = False
        self._waiters = _Waiters()

    def start(self) -> None:
        self._alive = True
        here().start_thread(self._target, self._ended)

    def is_alive(self) -> bool:
        return self._alive

    def join(self, timeout: float | None = None) -> None:
        self._waiters.wait(lambda: not self._alive, timeout)

    def _ended(self) -> None:
        self._alive = False
        self._waiters.wake()


class SimulatedQueue:
    """`queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._entries: deque[Any] = deque()
        self._waiters = _Waiters()

    def put(self, entry: Any) -> None:
        self._entries.append(entry)
        self._waiters.wake()
        here().poke()

    def get(self) -> Any:
        self._waiters.wait(lambda: bool(self._entries), None)
        return self._entries.popleft()

    def get_nowait(self) -> Any:
        if not self._entries:
            raise Empty
        return self._entries.popleft()


class SimulatedFuture(futures.Future[Any]):
    """`concurrent.futures.Future` whose result one thread may wait for."""

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            me = strand()
            self.add_done_callback(lambda _: me.wake_soon())
            if not me.park(timeout):
                raise TimeoutError
        return super().result(0)


def sleep(seconds: float) -> None:
    """`time.sleep`."""
    strand().park(seconds)


def monotonic() -> float:
    """`time.monotonic`."""
    return here().time()


def idle(seconds: float) -> None:
    """Wait until poked, at most so long."""
    process = here()
    process.polling = strand()
    try:
        process.polling.park(seconds)
    finally:
        process.polling = None


@contextlib.contextmanager
def living_in(world: World, reach: Callable[[str], None]) -> Iterator[None]:
    """Everything of the worker that waits, or asks for the time, does so in this world. reach: at failpoints."""
    global _world
    time = SimpleNamespace(sleep=sleep, monotonic=monotonic)
    threading = SimpleNamespace(Thread=SimulatedThread, Event=SimulatedEvent, Semaphore=SimulatedSemaphore)
    queue = SimpleNamespace(SimpleQueue=SimulatedQueue, Empty=Empty)
    replaced: dict[str, dict[str, Any]] = {
        "intake": {"time": time, "threading": threading, "queue": queue, "reach": reach},
        "member_commits": {"queue": queue, "Future": SimulatedFuture},
        "threads": {"threading": threading, "queue": queue},
        "committer": {"time": time, "threading": threading, "reach": reach},
        "plain_committer": {"threading": threading, "reach": reach},
        "worker": {"time": time, "reach": reach},
        "flow": {"reach": reach},
    }
    with contextlib.ExitStack() as stack:
        for module, names in replaced.items():
            for name, value in names.items():
                stack.enter_context(mock.patch(f"stream.kafka.{module}.{name}", value))
        _world = world
        try:
            yield
        finally:
            _world = None
