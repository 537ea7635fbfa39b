"""The committer on its thread, as the event loop sees it. A call that hangs is given up, with thread and producer.

librdkafka promises that a call ends after the time it is given. It was seen not to: after answers had been lost,
`send_offsets_to_transaction` waited for ever, without a deadline. A worker that waited with it would stand still, its
partitions never released, though everything else was well again (ADR 14).
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from stream.kafka.attempts import Attempt, Committer, Ending, Result
from stream.kafka.threads import Serial
from stream.telemetry.watch import Watch

T = TypeVar("T")

LOOK_S = 1.0
"""How often it is looked for signs of life. Looks are counted, not seconds: a process that was frozen must not take its
own sleep for the committer's."""


class Carrier:
    """Carries out attempts, one at a time; see the module.

    make_thread: makes the thread, at first and in place of one that hangs.
    """

    def __init__(self, committer: Committer, make_thread: Callable[[], Serial], watch: Watch) -> None:
        self._make_thread = make_thread
        self._watch = watch
        self._committer = committer
        self._thread = make_thread()

    async def open(self) -> None:
        """Get ready. Raises as `Committer.open` does."""
        await self._asked(lambda committer: committer.open())

    async def attempt(self, attempt: Attempt) -> Ending:
        """Publish and commit. Raises as `Committer.attempt` does."""
        return await self._asked(lambda committer: committer.attempt(attempt)) or _HUNG

    async def resolve(self, attempt: Attempt) -> Ending:
        """The fate of an attempt that ended UNKNOWN. Raises as `Committer.resolve` does."""
        return await self._asked(lambda committer: committer.resolve(attempt)) or _HUNG

    def let_go(self) -> None:
        """Make a running attempt end soon."""
        self._committer.let_go()

    def doubt(self) -> None:
        """A broker went away."""
        self._committer.doubt()

    async def stop(self, timeout_s: float) -> bool:
        """End the committer and its thread; whether it ended in time."""
        self._committer.let_go()
        return await self._thread.stop(self._committer.close, timeout_s)

    async def _asked(self, call: Callable[[Committer], T]) -> T | None:
        """What the call gives; None if it hangs and was given up.

        Awaited here and not as a task of its own, with a timer beside it: at full load each turn of the loop that an
        attempt's end must wait for lets outcomes pile up.
        """
        committer = self._committer
        try:
            async with asyncio.timeout(None) as limit:
                with _looked_at(committer, limit):
                    return await self._thread.run(lambda: call(committer))
        except TimeoutError:
            if not limit.expired():
                raise
            self._give_up(committer)
            return None

    def _give_up(self, committer: Committer) -> None:
        """The next call is another committer's. Its producer ends what the old one has open; nobody hears what the old
        one says, should its call come back after all."""
        self._committer = committer.replacement()
        self._thread = self._make_thread()
        self._watch.trouble("a call to Kafka's client library hangs; it is given up, and a new producer goes on")


@contextmanager
def _looked_at(committer: Committer, limit: asyncio.Timeout) -> Iterator[None]:
    """Look for signs of life; end the wait when there were none for longer than the committer takes when well."""
    loop = asyncio.get_running_loop()
    beats, silent = committer.beats, 0
    timer = loop.call_later(LOOK_S, lambda: look())

    def look() -> None:
        nonlocal beats, silent, timer
        beats, silent = committer.beats, silent + 1 if committer.beats == beats else 0
        if silent * LOOK_S > committer.longest_silence_s:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(LOOK_S, look)

    try:
        yield
    finally:
        timer.cancel()


_HUNG = Ending(Result.UNKNOWN, "the call hung")
