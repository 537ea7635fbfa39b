"""A thread that does one thing after another for the event loop. A daemon: a call stuck in a library can't hold up an
exit that has waited long enough."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Serial(Protocol):
    """Runs blocking calls in order, one at a time, off the event loop."""

    async def run(self, call: Callable[[], T]) -> T:
        """The call's result, awaited. A cancelled await leaves the call to end by itself."""
        ...

    async def stop(self, last: Callable[[], object], timeout_s: float) -> bool:
        """Run `last` and end; whether that happened in time."""
        ...


class SerialThread:
    """A `Serial` that is a daemon thread."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._submit(call))

    async def stop(self, last: Callable[[], object], timeout_s: float) -> bool:
        self._submit(last)
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)
        return not self._thread.is_alive()

    def _submit(self, call: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    def _run(self) -> None:
        while (entry := self._calls.get()) is not None:
            future, call = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  (it belongs to whoever awaits the future)
                future.set_exception(error)
