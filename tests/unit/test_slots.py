"""How many calls may be in the air: never more than the limit, whoever comes, goes or is cancelled."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.kafka.slots import HeldSlot, Slots
from tests.support.virtual_time import run_virtual


def nobody() -> None:
    """Nobody waits to be told of a free slot."""


async def test_a_slot_given_back_goes_to_who_waits_longest_before_any_newcomer() -> None:
    slots, order = Slots(1, nobody), []
    first = slots.taken()

    async def again(name: str) -> None:
        await slots.wait()
        order.append(name)
        slots.give()

    waiting = [asyncio.create_task(again(name)) for name in "ab"]
    await asyncio.sleep(0)
    first.release()
    assert slots.free < 1
    await asyncio.gather(*waiting)
    assert order == ["a", "b"]
    assert slots.used == 0


async def test_a_free_slot_is_reported_only_when_nobody_waits_for_it() -> None:
    told = []
    slots = Slots(1, lambda: told.append("free"))
    slots.taken().release()
    assert told == ["free"]


async def test_giving_back_twice_gives_back_once() -> None:
    slots = Slots(2, nobody)
    slot, other = slots.taken(), slots.taken()
    slot.release()
    slot.release()
    assert (slots.used, other.held) == (1, True)


async def test_acquiring_what_is_held_takes_no_second_slot() -> None:
    slots = Slots(1, nobody)
    slot = slots.taken()
    await slot.acquire()
    assert slots.used == 1


async def test_one_that_is_cancelled_while_a_slot_comes_back_is_just_cancelled() -> None:
    """It must not end in any other exception: a healthy request would become a dead letter by it."""
    slots = Slots(1, nobody)
    held = slots.taken()
    waiting = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    held.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.used == 0


async def test_one_that_is_cancelled_as_it_gets_its_slot_passes_it_on() -> None:
    slots = Slots(1, nobody)
    held = slots.taken()
    unlucky, next_one = (asyncio.create_task(slots.wait()) for _ in range(2))
    await asyncio.sleep(0)
    held.release()
    unlucky.cancel()
    await asyncio.wait_for(next_one, 1)
    assert slots.used == 1


@settings(max_examples=50)
@given(
    limit=st.integers(1, 3),
    lives=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 12))),
        max_size=15,
    ),
)
def test_there_are_never_more_than_the_limit_and_none_is_lost(
    limit: int, lives: list[tuple[int, int, int, int | None]]
) -> None:
    """Each life: comes, works, waits elsewhere and works again; some are cancelled at a moment."""

    async def main() -> None:
        slots, most = Slots(limit, nobody), 0

        async def live(comes: int, works: int, waits: int) -> None:
            nonlocal most
            await asyncio.sleep(comes)
            slot = HeldSlot(slots, "")
            slot.held = False
            try:
                for _ in range(2):
                    await slot.acquire()
                    most = max(most, slots.used)
                    await asyncio.sleep(works)
                    slot.release()
                    await asyncio.sleep(waits)
            finally:
                slot.release()

        tasks = [asyncio.create_task(live(*life[:3])) for life in lives]
        for task, (*_, cancelled_at) in zip(tasks, lives, strict=True):
            if cancelled_at is not None:
                asyncio.get_running_loop().call_at(cancelled_at, task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        assert most <= limit
        assert slots.used == 0
        assert slots.free == limit

    run_virtual(main())


async def test_one_that_stands_aside_gives_its_slot_back_and_is_counted_until_it_works_again_or_ends() -> None:
    slots = Slots(2, nobody)
    back, over = slots.taken("pool"), slots.taken("pool")
    for slot in (back, over, over):
        slot.step_aside()
    assert (slots.free, slots.aside["pool"]) == (2, 2)
    await back.acquire()
    assert (slots.free, slots.aside["pool"]) == (1, 1)
    for slot in (back, over):
        slot.end()
    assert (slots.free, slots.aside["pool"]) == (2, 0)
