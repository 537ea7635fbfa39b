"""A call that hangs in the client library costs a thread and a producer, not the worker."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from stream.kafka.attempts import Attempt, Ending, Result
from stream.kafka.carrier import Carrier
from stream.telemetry.watch import Watch
from tests.support.virtual_time import run_virtual

ATTEMPT = Attempt((), (), b"", lambda _: True)
SILENCE_S = 40.0
LONG_S = 10 * SILENCE_S


class Committer:
    """Answers each call after `takes_s`; with `beating` it shows that it is alive meanwhile."""

    def __init__(self, takes_s: float, *, beating: bool = False) -> None:
        self.takes_s = takes_s
        self.beating = beating
        self.beats = 0
        self.longest_silence_s = SILENCE_S
        self.asked: list[str] = []
        self.replacements: list[Committer] = []
        self.replaced = False

    def open(self) -> None:
        self.asked.append("open")

    def attempt(self, attempt: Attempt) -> Ending:
        self.asked.append("attempt")
        return Ending(Result.COMMITTED)

    def resolve(self, attempt: Attempt) -> Ending:
        self.asked.append("resolve")
        return Ending(Result.COMMITTED)

    def let_go(self) -> None: ...

    def doubt(self) -> None:
        self.asked.append("doubt")

    def replacement(self) -> "Committer":
        self.replaced = True
        return self.replacements.pop(0)

    def close(self) -> None:
        self.asked.append("close")


class Thread:
    """A `Serial` whose calls take as long as the newest committer says."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def run(self, call: Callable[[], Any]) -> Any:
        left_s = self._committer.takes_s
        while left_s > 0:
            await asyncio.sleep(min(left_s, 0.5))
            left_s -= 0.5
            self._committer.beats += self._committer.beating
        return call()

    async def stop(self, last: Callable[[], object], timeout_s: float) -> bool:
        last()
        return True


class Setup:
    def __init__(self, *committers: Committer) -> None:
        self.committers = committers
        self.troubles: list[str] = []
        watch = Watch()
        watch.trouble = self.troubles.append  # type: ignore[method-assign]
        for committer, next_ in itertools.pairwise(committers):
            committer.replacements.append(next_)
        of_each = iter(committers)
        self.carrier = Carrier(committers[0], lambda: Thread(next(of_each)), watch)


def test_an_attempt_that_hangs_is_of_unknown_fate_and_another_committer_finds_it_out() -> None:
    setup = Setup(Committer(LONG_S), Committer(0))

    async def main() -> None:
        assert (await setup.carrier.attempt(ATTEMPT)).result is Result.UNKNOWN
        assert (await setup.carrier.resolve(ATTEMPT)).result is Result.COMMITTED

    run_virtual(main())
    hung, fresh = setup.committers
    assert hung.replaced
    assert fresh.asked == ["resolve"]
    assert len(setup.troubles) == 1


def test_one_that_waits_for_a_broker_for_long_but_lives_is_waited_for() -> None:
    setup = Setup(Committer(LONG_S, beating=True))

    async def main() -> None:
        assert (await setup.carrier.attempt(ATTEMPT)).result is Result.COMMITTED

    run_virtual(main())
    assert not setup.committers[0].replaced


def test_a_doubt_reaches_the_committer_that_is_at_work() -> None:
    setup = Setup(Committer(LONG_S), Committer(0))

    async def main() -> None:
        await setup.carrier.open()
        setup.carrier.doubt()

    run_virtual(main())
    assert [committer.asked for committer in setup.committers] == [[], ["doubt"]]


def test_getting_ready_may_hang_too() -> None:
    setup = Setup(Committer(LONG_S), Committer(0))

    async def main() -> None:
        await setup.carrier.open()
        assert (await setup.carrier.attempt(ATTEMPT)).result is Result.COMMITTED
        await setup.carrier.stop(1)

    run_virtual(main())
    assert setup.committers[1].asked == ["attempt", "close"]


def test_what_a_call_raises_comes_out() -> None:
    class Fails(Committer):
        def attempt(self, attempt: Attempt) -> Ending:
            raise ZeroDivisionError

    setup = Setup(Fails(0))

    async def main() -> None:
        try:
            await setup.carrier.attempt(ATTEMPT)
        except ZeroDivisionError:
            return
        raise AssertionError("it was swallowed")

    run_virtual(main())


def test_the_end_of_an_attempt_is_known_in_the_next_turn_of_the_loop() -> None:
    """At full load a turn takes 0.1 s: with two more of them before each commit, outcomes wait by the thousand."""
    committer = Committer(0)

    async def main() -> None:
        ended = asyncio.get_running_loop().create_future()

        class Waits(Thread):
            async def run(self, call: Callable[[], Any]) -> Any:
                return await ended

        attempt = asyncio.ensure_future(Carrier(committer, lambda: Waits(committer), Watch()).attempt(ATTEMPT))
        await asyncio.sleep(0)
        ended.set_result(Ending(Result.COMMITTED))
        await asyncio.sleep(0)
        assert attempt.done()

    run_virtual(main())
