"""Processes with threads in virtual time: real blocking code and real coroutines, one step at a time, by one clock.

A `Process` is an event loop and what its threads do. It can be frozen (everything of it waits, the clock goes on, as
under SIGSTOP) or killed (nothing of it ever runs again, as under SIGKILL). Its threads are `Strand`s: real threads, of
which only one runs at a time, and only while the world waits for it; so blocking code may take virtual time, and the
same seed gives the same run.
"""

import asyncio
import contextlib
import threading
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from random import Random
from typing import Any

_UNWIND_ROUNDS = 1_000


class Died(BaseException):
    """Raised in the threads and coroutines of a process that was killed, to be rid of them."""


class StuckError(AssertionError):
    """The simulation outlived its limit, or nothing is left that could ever happen."""


class World:
    """The clock, chance, and everything that will happen. `current`: whose turn it is."""

    def __init__(self, seed: int) -> None:
        self.now_s = 0.0
        self.rand = Random(seed)
        self.current: Process | None = None
        self.strand: Strand | None = None
        self.processes: list[Process] = []
        self._ready: deque[tuple[Process | None, asyncio.Handle | Callable[[], None]]] = deque()
        self._later: list[tuple[float, int, Process | None, asyncio.Handle | Callable[[], None]]] = []
        self._numbers = 0
        self.steps = 0

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Let something happen that belongs to no process."""
        self.push(self.now_s + delay_s, None, call)

    def push(self, when_s: float, process: "Process | None", step: "asyncio.Handle | Callable[[], None]") -> None:
        """Let a step of a process happen at a moment; at the same moment, first come first served."""
        if when_s <= self.now_s:
            self._ready.append((process, step))
        else:
            self._numbers += 1
            heappush(self._later, (when_s, self._numbers, process, step))

    def run(self, until: Callable[[], bool], limit_s: float) -> None:
        """Live until the condition holds. Raises StuckError past `limit_s`, or when nothing can happen any more."""
        while not until():
            if not self._ready:
                if not self._later:
                    raise StuckError(f"nothing is left to happen at {self.now_s:.3f} s")
                when_s, _, process, step = heappop(self._later)
                if when_s > limit_s:
                    raise StuckError(f"still not done after {limit_s:.0f} simulated seconds")
                self.now_s = when_s
                self._ready.append((process, step))
            process, step = self._ready.popleft()
            self._step(process, step)

    def close(self) -> None:
        """Unwind everything that still runs."""
        for process in self.processes:
            process.kill()
            process.unwind()

    def _step(self, process: "Process | None", step: "asyncio.Handle | Callable[[], None]") -> None:
        self.steps += 1
        if process is None:
            step()  # type: ignore[operator]
        elif process.dead or process.frozen:
            process.backlog.append(step)
        else:
            process.take_step(step)


class Process(asyncio.AbstractEventLoop):
    """One worker's process: an event loop, and threads beside it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.frozen = False
        self.backlog: deque[Any] = deque()
        self.parked: set[Strand] = set()
        self.polling: Strand | None = None
        self.defects: list[dict[str, Any]] = []
        self._ghost: deque[asyncio.Handle] | None = None
        world.processes.append(self)

    # Life and death.

    def freeze(self) -> None:
        """As SIGSTOP. A coroutine's step that runs comes to its end first."""
        self.frozen = True

    def thaw(self) -> None:
        """As SIGCONT: what was due happens now."""
        if self.frozen:
            self.frozen = False
            while self.backlog:
                self.world.push(0, self, self.backlog.popleft())

    def kill(self) -> None:
        """As SIGKILL; in virtual time it takes none."""
        if self.dead:
            return
        self.dead = True
        self.world.after(0, self.unwind)

    def die(self) -> None:
        """Kill the process from within: does not return."""
        self.kill()
        raise Died

    def unwind(self) -> None:
        """End threads and tasks without leaving a trace outside: their connections are dead already."""
        if self._ghost is not None:
            return
        for strand in list(self.parked):
            strand.resume(self)
        self._ghost = deque()
        before, self.world.current = self.world.current, self
        events._set_running_loop(self)
        try:
            due = [*self.backlog, *(step for process, step in self.world._ready if process is self)]
            self._ghost.extend(step for step in due if isinstance(step, asyncio.Handle))
            for _ in range(_UNWIND_ROUNDS):
                tasks = asyncio.all_tasks(self)
                if not tasks:
                    return
                for task in tasks:
                    task.cancel()
                while self._ghost:
                    handle = self._ghost.popleft()
                    if not handle.cancelled():
                        handle._run()
            raise StuckError(f"{self.name} can't be unwound")
        finally:
            events._set_running_loop(None)
            self.world.current = before
            self.parked.clear()

    # The event loop, as far as asyncio needs it.

    def take_step(self, step: Any) -> None:
        """Run a callback of this process."""
        world = self.world
        world.current = self
        events._set_running_loop(self)
        try:
            if isinstance(step, asyncio.Handle):
                if not step._cancelled:  # type: ignore[attr-defined]
                    step._run()
            else:
                step()
        except Died:
            pass
        finally:
            events._set_running_loop(None)
            world.current = None

    def time(self) -> float:
        return self.world.now_s

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if self._ghost is not None:
            self._ghost.append(handle)
        else:
            self.world._ready.append((self, handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.world.now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if self._ghost is None:  # what is left of a dead process waits for nothing: it is cancelled once more
            self.world.push(when, self, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        self.check_alive()
        future = self.create_future()

        def call() -> None:
            result = func(*args)
            self.call_soon(lambda: None if future.done() else future.set_result(result))

        self.start_thread(call)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead and not isinstance(context.get("exception"), Died):
            self.defects.append(context)

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    # What runs in it.

    def spawn(self, make: Callable[[], Coroutine[Any, Any, Any]], ended: Callable[["asyncio.Task[Any]"], None]) -> None:
        """Start its main coroutine."""

        def start() -> None:
            task = self.create_task(make())
            task.add_done_callback(ended)

        self.world.push(0, self, start)

    def start_thread(self, target: Callable[[], None], ended: Callable[[], None] = lambda: None) -> None:
        """Start a thread of this process; it runs when its turn comes."""

        def start() -> None:
            strand = _idle_strands.pop() if _idle_strands else Strand()
            strand.begin(self, target, ended)

        self.world.push(0, self, start)

    def check_alive(self) -> None:
        """Raises Died in what is left of a killed process."""
        if self.dead:
            raise Died

    def poke(self) -> None:
        """End the idle wait of the thread that polls, within 20 ms."""
        strand = self.polling
        if strand is not None and not self.dead:
            token = strand.token
            self.world.push(self.world.now_s + self.world.rand.random() * 0.02, self, lambda: strand.wake(token))


_idle_strands: "list[Strand]" = []


class Strand:
    """A thread that runs only while the world waits for it. Kept and used again."""

    def __init__(self) -> None:
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self.token = 0
        self._woken = False
        self._job: tuple[Process, Callable[[], None], Callable[[], None]] | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, name="strand", daemon=True).start()

    def begin(self, process: Process, target: Callable[[], None], ended: Callable[[], None]) -> None:
        """Run a target on it, until it parks or ends. Called by the world."""
        self._job = (process, target, ended)
        self._switch_to(process)

    def park(self, timeout_s: float | None) -> bool:
        """Wait for `wake`; whether it came in time. Called on the strand itself. Raises Died."""
        assert self._job is not None
        process = self._job[0]
        process.check_alive()
        self.token += 1
        self._woken = False
        if timeout_s is not None:
            token = self.token
            process.world.push(process.world.now_s + timeout_s, process, lambda: self._time_out(token))
        process.parked.add(self)
        self._back.release()
        self._go.acquire()
        process.check_alive()
        return self._woken

    def wake(self, token: int) -> None:
        """End the wait with this token, if it still lasts. Called by the world, as a step of the process."""
        self._resume_if(token, woken=True)

    def wake_soon(self) -> None:
        """End the current wait; may be called from any step."""
        assert self._job is not None
        process, token = self._job[0], self.token
        process.world.push(0, process, lambda: self.wake(token))

    def resume(self, process: Process) -> None:
        """Let it go on. Called by the world only."""
        process.parked.discard(self)
        self._switch_to(process)

    def _time_out(self, token: int) -> None:
        self._resume_if(token, woken=False)

    def _resume_if(self, token: int, *, woken: bool) -> None:
        if self._job is not None and token == self.token and self in self._job[0].parked:
            self._woken = woken
            self.resume(self._job[0])

    def _switch_to(self, process: Process) -> None:
        world = process.world
        before = world.strand, world.current
        world.strand, world.current = self, process
        self._go.release()
        self._back.acquire()
        world.strand, world.current = before
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            assert self._job is not None
            _, target, ended = self._job
            try:
                with contextlib.suppress(Died):
                    target()
                ended()
            except BaseException as error:  # noqa: BLE001  (a defect of the simulation: shown by the world)
                self._error = error
            self._job = None
            _idle_strands.append(self)
            self._back.release()
