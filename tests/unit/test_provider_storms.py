"""Whole bad days in virtual time: a provider that fails for all dead-letters nobody, one bad request is found out."""

import asyncio
from dataclasses import dataclass, field
from random import Random

import pytest

from stream.core.errors import AttemptsExhausted, ErrorClass
from stream.core.records import Tally
from stream.providers.gated import Gated
from stream.providers.retrying import Retrying, RetryPolicy
from stream.resilience.gate import Gate, GateChange
from tests.support.faulty_provider import FaultyProvider, Mood, SemaphoreSlot, model_call
from tests.support.virtual_time import VirtualClock, run_virtual

E = ErrorClass
SLOTS = 512


@dataclass
class Day:
    """How it went: who was served and who wasn't, with their accounts, and when it was over."""

    provider: FaultyProvider
    served: dict[str, Tally] = field(default_factory=dict)
    dead: dict[str, Tally] = field(default_factory=dict)
    changes: list[GateChange] = field(default_factory=list)
    over_at_s: float = 0.0

    @property
    def wasted(self) -> int:
        """Calls that brought nothing."""
        return len(self.provider.sent) - len(self.served)


def live_through(
    mood: Mood,
    *,
    requests: int,
    per_s: float = float("inf"),
    first_alone_for_s: float = 0.0,
    seed: int = 1,
    latency_s: float = 0.2,
    retry_after_s: float | None = None,
) -> Day:
    day = Day(FaultyProvider(mood, latency_s=latency_s, retry_after_s=retry_after_s))

    async def main() -> None:
        rand = Random(seed).random
        gated = Gated(day.provider, Gate("p", ceiling=SLOTS), VirtualClock(), rand, day.changes.append)
        retrying = Retrying(gated, RetryPolicy(), rand, asyncio.sleep)
        slots = asyncio.Semaphore(SLOTS)

        async def request(number: int) -> None:
            await asyncio.sleep(number / per_s + (first_alone_for_s if number else 0))
            slot = SemaphoreSlot(slots)
            call = model_call(f"r{number}", slot=slot)
            await slot.acquire()
            try:
                await retrying.complete(call)
                day.served[call.request_id] = call.tally
            except AttemptsExhausted:
                day.dead[call.request_id] = call.tally
            finally:
                slot.release()

        await asyncio.gather(*(request(number) for number in range(requests)))
        day.over_at_s = asyncio.get_running_loop().time()
        await retrying.aclose()

    run_virtual(main())
    return day


def between(start_s: float, end_s: float, failure: E) -> Mood:
    return lambda _, now_s: failure if start_s <= now_s < end_s else None


@pytest.mark.parametrize("seed", range(5))
def test_500s_for_everybody_for_five_minutes_kill_nobody_and_cost_one_call_each(seed: int) -> None:
    day = live_through(between(0, 300, E.TRANSIENT), requests=200, seed=seed)
    assert not day.dead
    assert day.wasted <= 200 + 25  # the first burst, then probes
    assert day.over_at_s <= 300 + 30 + 30


@pytest.mark.parametrize("latency_s", [0.2, 5.0])
@pytest.mark.parametrize("failure", [E.TRANSIENT, E.OVERLOADED])
def test_an_outage_in_full_traffic_kills_nobody(failure: E, latency_s: float) -> None:
    day = live_through(between(20, 140, failure), requests=2_000, per_s=50, latency_s=latency_s)
    assert not day.dead
    assert day.wasted <= 1_500  # while the window still remembers better times
    assert day.over_at_s <= 140 + 60
    assert max(tally.attempts for tally in day.served.values()) <= 2


def test_an_outage_with_three_requests_a_minute_kills_nobody() -> None:
    day = live_through(between(100, 700, E.TRANSIENT), requests=40, per_s=0.05)
    assert not day.dead
    assert day.over_at_s <= 40 / 0.05 + 1


def test_a_wave_of_hanging_calls_kills_nobody() -> None:
    day = live_through(between(20, 320, E.AMBIGUOUS), requests=3_000, per_s=50)
    assert not day.dead
    assert max(tally.calls for tally in day.served.values()) <= 3


@pytest.mark.parametrize("retry_after_s", [None, 20.0])
def test_a_storm_of_429s_consumes_no_attempt_and_few_calls(retry_after_s: float | None) -> None:
    day = live_through(between(0, 100, E.RATE_LIMITED), requests=500, retry_after_s=retry_after_s)
    assert not day.dead
    assert {tally.attempts for tally in day.served.values()} == {1}
    assert day.wasted <= 500 + 15
    assert day.over_at_s <= 100 + 30


def test_a_wrong_key_pauses_until_it_is_mended_and_says_so_once_at_once() -> None:
    day = live_through(between(0, 200, E.ACCOUNT), requests=500)
    assert {tally.attempts for tally in day.served.values()} == {1}
    shut, *still_shut, opened = day.changes
    assert (shut.open, shut.again, shut.opens_in_s) == (False, False, 60)
    assert [(change.again, change.opens_in_s) for change in still_shut] == [(True, 120), (True, 240)]
    assert opened.open
    assert day.wasted == 4 + 2  # the first calls of all, probes at 60 s and 180 s; the one at 420 s gets through
    assert day.over_at_s == pytest.approx(60 + 120 + 240, abs=2)


def test_one_bad_request_among_many_is_dead_after_four_attempts() -> None:
    day = live_through(lambda name, _: E.TRANSIENT if name == "r7" else None, requests=500, per_s=20)
    assert list(day.dead) == ["r7"]
    assert day.dead["r7"].attempts == day.dead["r7"].calls == 4


def test_a_bad_request_that_hangs_is_dead_after_two_attempts() -> None:
    day = live_through(lambda name, _: E.AMBIGUOUS if name == "r7" else None, requests=500, per_s=2)
    assert list(day.dead) == ["r7"]
    assert (day.dead["r7"].attempts, day.dead["r7"].calls) == (2, 3)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
def test_time_outs_at_random_kill_nobody(share: float) -> None:
    chance = Random(11)
    day = live_through(lambda *_: E.AMBIGUOUS if chance.random() < share else None, requests=3_000, per_s=50)
    assert not day.dead


def test_a_bad_request_in_little_traffic_is_found_out_too() -> None:
    day = live_through(lambda name, _: E.TRANSIENT if name == "r7" else None, requests=60, per_s=0.1)
    assert list(day.dead) == ["r7"]
    assert day.dead["r7"].calls <= 20


def test_a_bad_request_is_found_out_after_an_outage() -> None:
    day = live_through(
        lambda name, now_s: E.TRANSIENT if name == "r7" or now_s < 120 else None, requests=1_800, per_s=5
    )
    assert list(day.dead) == ["r7"]


def test_a_bad_request_that_is_alone_is_tried_on_until_others_get_through() -> None:
    """Nobody can tell it from an outage; when others come an hour later, it is found out."""
    day = live_through(
        lambda name, _: E.TRANSIENT if name == "r0" else None, requests=200, per_s=1, first_alone_for_s=3_600
    )
    assert list(day.dead) == ["r0"]
    assert day.dead["r0"].attempts == 4
    assert 150 <= day.provider.calls_between(0, 3_600) <= 400  # about four a minute


def test_bad_requests_do_not_keep_the_gate_shut_for_others() -> None:
    """A tenth of all requests is bad: the others are served all the same."""
    day = live_through(
        lambda name, _: E.TRANSIENT if int(name[1:]) % 10 == 3 and int(name[1:]) < 1_000 else None,
        requests=6_000,
        per_s=50,
    )
    assert len(day.dead) == 100
    assert day.over_at_s <= 6_000 / 50 + 1


def test_three_failures_in_ten_at_random_kill_nobody() -> None:
    chance = Random(3)
    fates: dict[tuple[str, float], bool] = {}

    def mood(name: str, now_s: float) -> E | None:
        return E.TRANSIENT if fates.setdefault((name, now_s), chance.random() < 0.3) else None

    day = live_through(mood, requests=3_000, per_s=50)
    assert not day.dead  # 24 of 3,000 by chance alone, did every failure count
