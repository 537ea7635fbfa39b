"""Calls wait at a shut gate without a slot, in their order, and one goes first."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stream.core.errors import ErrorClass, ProviderError, RouteError
from stream.core.records import Completion, ModelCall
from stream.providers.gated import Gated
from stream.resilience.gate import Gate, GateChange
from tests.support.faulty_provider import FaultyProvider, Mood, SemaphoreSlot, model_call
from tests.support.virtual_time import VirtualClock, run_virtual

E = ErrorClass


class Setup:
    """A gate before a moody provider, and what both did."""

    def __init__(self, mood: Mood, *, latency_s: float = 0.2, retry_after_s: float | None = None) -> None:
        self.provider = FaultyProvider(mood, latency_s=latency_s, retry_after_s=retry_after_s)
        self.changes: list[GateChange] = []
        self.gated = Gated(self.provider, Gate("p"), VirtualClock(), lambda: 0.5, self.changes.append)

    async def ask(self, name: str, **options: object) -> ErrorClass | None:
        return await self.send(model_call(name, **options))  # type: ignore[arg-type]

    async def insist(self, name: str) -> None:
        """Ask with one account until it is served, as a request that is tried again does."""
        call = model_call(name)
        while await self.send(call) is not None:
            pass

    async def send(self, call: ModelCall) -> ErrorClass | None:
        try:
            await self.gated.complete(call)
        except ProviderError as error:
            return error.error_class
        return None


def fails_until(end_s: float, failure: E) -> Mood:
    return lambda _, now_s: failure if now_s < end_s else None


def simulate(setup: Setup, main: Callable[[], Awaitable[None]]) -> Setup:
    async def run() -> None:
        await main()
        await setup.gated.aclose()

    run_virtual(run())
    return setup


def test_a_call_behind_a_shut_gate_waits_until_it_opens() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        assert await setup.ask("first") is E.ACCOUNT
        assert await setup.ask("second") is None

    simulate(setup, main)
    assert [at_s for at_s, _ in setup.provider.sent] == [0, pytest.approx(60.2)]


def test_waiters_go_in_the_order_they_came() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        await setup.ask("first")
        await asyncio.gather(*(setup.ask(f"r{n}") for n in range(50)))

    simulate(setup, main)
    assert [name for _, name in setup.provider.sent] == ["first", *(f"r{n}" for n in range(50))]


def test_one_call_probes_and_the_others_follow_its_success() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        await setup.ask("first")
        await asyncio.gather(*(setup.ask(f"r{n}") for n in range(50)))

    simulate(setup, main)
    assert setup.provider.calls_between(60, 60.3) == 1
    assert setup.provider.calls_between(60.3, 61) == 49


def test_a_failed_probe_is_followed_by_another_request() -> None:
    setup = Setup(lambda name, now_s: E.ACCOUNT if name == "bad" or now_s < 1 else None)

    async def main() -> None:
        await setup.ask("first")
        bad = asyncio.create_task(setup.insist("bad"))
        await asyncio.gather(*(setup.insist(f"r{n}") for n in range(3)))
        bad.cancel()

    simulate(setup, main)
    assert [name for _, name in setup.provider.sent[:3]] == ["first", "bad", "r0"]


def test_a_refused_request_goes_behind_those_that_come_later() -> None:
    setup = Setup(lambda name, now_s: E.ACCOUNT if name == "bad" else None)

    async def main() -> None:
        bad = asyncio.create_task(setup.insist("bad"))
        await asyncio.sleep(1)
        assert (setup.gated.waiting("m"), setup.gated.newcomers("m")) == (1, 0)
        later = asyncio.create_task(setup.ask("later"))
        await asyncio.sleep(1)
        assert (setup.gated.waiting("m"), setup.gated.newcomers("m")) == (2, 1)
        await later
        bad.cancel()
        await asyncio.gather(bad, return_exceptions=True)
        assert (setup.gated.waiting("m"), setup.gated.newcomers("m")) == (0, 0)

    simulate(setup, main)
    assert [name for _, name in setup.provider.sent[:2]] == ["bad", "later"]


def test_of_two_refused_requests_the_other_is_the_next_probe() -> None:
    setup = Setup(lambda *_: E.ACCOUNT)

    async def main() -> None:
        tasks = [asyncio.create_task(setup.insist(name)) for name in ("a", "b")]
        await asyncio.sleep(1_000)
        for task in tasks:
            task.cancel()

    simulate(setup, main)
    assert "".join(name for _, name in setup.provider.sent) == "abababab"[: len(setup.provider.sent)]
    assert len(setup.provider.sent) == 6


def test_what_expires_at_a_shut_gate_is_not_sent_and_the_next_one_probes() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))
    ends: list[object] = []

    async def main() -> None:
        await setup.ask("first")
        soon_ms = VirtualClock().now_ms() + 30_000
        late = setup.gated.complete(model_call("late").evolve(expires_at_ms=soon_ms))
        ends.extend(await asyncio.gather(late, setup.ask("next"), return_exceptions=True))

    simulate(setup, main)
    assert isinstance(ends[0], RouteError)
    assert ends[0].code == "expired"
    assert [(at_s, name) for at_s, name in setup.provider.sent] == [(0, "first"), (pytest.approx(60.2), "next")]


def test_whoever_waits_holds_no_slot() -> None:
    setup = Setup(lambda name, _: E.UNKNOWN_MODEL if name.startswith("typo") else None)

    async def main() -> None:
        slots = asyncio.Semaphore(2)
        await setup.ask("typo", model="typo")
        held = [SemaphoreSlot(slots) for _ in range(2)]
        waiting = []
        for number, slot in enumerate(held):
            await slot.acquire()
            waiting.append(asyncio.create_task(setup.ask(f"typo{number}", model="typo", slot=slot)))
        await asyncio.sleep(1)
        assert setup.gated.waiting("typo") == 2
        assert await setup.ask("other", slot=SemaphoreSlot(slots)) is None
        for task in waiting:
            task.cancel()

    simulate(setup, main)


def test_a_call_in_the_air_holds_its_slot() -> None:
    setup = Setup(lambda *_: None)

    async def main() -> None:
        slots = asyncio.Semaphore(3)

        async def work(number: int) -> None:
            slot = SemaphoreSlot(slots)
            await setup.ask(f"r{number}", slot=slot)
            slot.release()

        await asyncio.gather(*(work(number) for number in range(20)))

    assert simulate(setup, main).provider.most_in_the_air == 3


def test_a_cancelled_waiter_leaves_its_place_to_the_next() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        await setup.ask("first")
        tasks = [asyncio.create_task(setup.ask(f"r{n}")) for n in range(3)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        await asyncio.gather(*tasks[1:])
        assert setup.gated.waiting("m") == 0

    simulate(setup, main)
    assert [name for _, name in setup.provider.sent] == ["first", "r1", "r2"]


def test_cancelled_tries_of_requests_that_failed_leave_room_for_others_of_them() -> None:
    setup = Setup(lambda name, now_s: E.TRANSIENT if now_s < 3 else None, latency_s=5)

    async def main() -> None:
        calls = [model_call(f"r{n}") for n in range(9)]
        await asyncio.gather(*(setup.send(call) for call in calls))
        for _ in range(3):
            tasks = [asyncio.create_task(setup.send(call)) for call in calls[:-1]]
            await asyncio.sleep(1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert setup.gated.waiting("m") == 0
        assert await setup.send(calls[-1]) is None

    simulate(setup, main)
    assert setup.provider.most_in_the_air == 9
    assert setup.provider.calls_between(7.3, 23) <= 3 * 4 + 1


def test_thousands_of_cancelled_waiters_leave_no_trace() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        await setup.ask("first")
        for _ in range(20):
            tasks = [asyncio.create_task(setup.ask(f"r{n}")) for n in range(200)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert setup.gated.waiting("m") == 0
        assert await setup.ask("last") is None

    simulate(setup, main)


def test_a_waiter_cancelled_while_it_gets_a_slot_hands_its_call_on() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        slots = asyncio.Semaphore(1)
        await setup.ask("first")
        blocked = asyncio.create_task(setup.ask("blocked", slot=SemaphoreSlot(slots)))
        free = asyncio.create_task(setup.ask("free"))
        await asyncio.sleep(1)
        await slots.acquire()
        await asyncio.sleep(70)
        assert not free.done()
        blocked.cancel()
        assert await free is None

    simulate(setup, main)


def test_a_cancelled_probe_is_followed_by_another_at_once() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT), latency_s=5)

    async def main() -> None:
        await setup.ask("first")
        probe, _ = tasks = [asyncio.create_task(setup.ask(f"r{n}")) for n in range(2)]
        await asyncio.sleep(62)
        probe.cancel()
        assert await tasks[1] is None

    simulate(setup, main)
    assert [(round(at_s), name) for at_s, name in setup.provider.sent] == [(0, "first"), (65, "r0"), (67, "r1")]


def test_changes_are_told_when_they_happen() -> None:
    setup = Setup(fails_until(1, E.ACCOUNT))

    async def main() -> None:
        await setup.ask("first")
        assert [change.open for change in setup.changes] == [False]
        await setup.ask("second")

    simulate(setup, main)
    assert [(change.scope, change.open) for change in setup.changes] == [("account", False), ("account", True)]


def test_an_exception_that_is_nobodys_leaves_the_gate_as_it_was() -> None:
    class Broken(FaultyProvider):
        async def complete(self, call: ModelCall) -> Completion:
            raise ZeroDivisionError

    async def main() -> None:
        gated = Gated(Broken(lambda *_: None), Gate("p", ceiling=1), VirtualClock(), lambda: 0.5)
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await gated.complete(model_call("r"))
        assert gated.view("m").open

    run_virtual(main())


@pytest.mark.parametrize(
    ("failure", "counted"),
    [
        (E.TRANSIENT, True),
        (E.AMBIGUOUS, True),
        (E.BAD_REQUEST, True),
        (E.OVERLOADED, False),
        (E.RATE_LIMITED, False),
        (E.ACCOUNT, False),
        (E.UNKNOWN_MODEL, False),
    ],
)
def test_only_what_may_be_the_requests_own_fault_counts(failure: E, counted: bool) -> None:
    setup = Setup(lambda name, _: failure if name == "bad" else None)

    async def main() -> None:
        for n in range(200):
            await setup.ask(f"r{n}")
        with pytest.raises(ProviderError) as caught:
            await setup.gated.complete(model_call("bad"))
        recently = failure is not E.AMBIGUOUS  # it took a minute, in which nobody else was asked
        assert caught.value.counted is (counted and recently)

    simulate(setup, main)


def test_a_slow_failure_counts_the_second_time_if_others_got_through_meanwhile() -> None:
    """The first is any request's bad luck: one in fifty may run out of time, and two are the end of a request."""
    setup = Setup(lambda name, _: E.AMBIGUOUS if name == "bad" else None)

    async def main() -> None:
        call = model_call("bad")
        counted = []
        for _ in range(2):
            bad = asyncio.create_task(setup.gated.complete(call))
            for n in range(400):
                await setup.ask(f"r{n}")
            with pytest.raises(ProviderError) as caught:
                await bad
            counted.append(caught.value.counted)
        assert counted == [False, True]

    simulate(setup, main)
