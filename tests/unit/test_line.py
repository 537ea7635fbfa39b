"""Who goes next at a gate: newcomers, and those whose failures may be their own."""

import asyncio

import pytest

from stream.providers.line import MOST_PASSES, REFUSED_PASSES, Line, Place


class Setup:
    """A line, and in which order those that wait in it are woken."""

    def __init__(self, *places: Place) -> None:
        self.line = Line()
        self.woken: list[Place] = []
        self.waiters: dict[Place, asyncio.Future[None]] = {}
        for place in places:
            self.park(place)

    def park(self, place: Place) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters[place] = waiter
        self.line.park(place, waiter)

    def call(self, *, shut: bool = False) -> Place | None:
        """Wake the next, who comes at once; None: nobody was left."""
        if not self.line.call(shut=shut):
            return None
        place = next(place for place, waiter in self.waiters.items() if waiter.done() and not waiter.cancelled())
        del self.waiters[place]
        self.line.came(place)
        return place

    def give_up(self, place: Place) -> None:
        self.waiters.pop(place).cancel()
        self.line.leave(place)


def newcomers(count: int, first: int = 100) -> list[Place]:
    return [Place(False, 0, first + number) for number in range(count)]


async def order(setup: Setup, *, shut: bool = False) -> list[int]:
    tickets = []
    while (place := setup.call(shut=shut)) is not None:
        tickets.append(place.ticket)
    return tickets


async def test_newcomers_go_in_the_order_they_came() -> None:
    assert await order(Setup(*reversed(newcomers(5)))) == [100, 101, 102, 103, 104]


async def test_at_a_shut_gate_those_that_failed_wait_until_no_newcomer_is_left() -> None:
    setup = Setup(Place(False, 1, 1), Place(True, 1, 2), *newcomers(20))
    assert (await order(setup, shut=True))[-2:] == [1, 2]


@pytest.mark.parametrize(
    ("place", "passes"),
    [
        (Place(False, 1, 1), 1),
        (Place(False, 3, 1), 3),
        (Place(False, 50, 1), MOST_PASSES),
        (Place(True, 1, 1), REFUSED_PASSES),
    ],
)
async def test_at_an_open_gate_one_that_failed_has_its_turn_after_so_many_newcomers(place: Place, passes: int) -> None:
    setup = Setup(place, *newcomers(100))
    for _ in range(3):
        turns = [setup.call() for _ in range(passes + 1)]
        assert turns[-1] == place
        assert place not in turns[:-1]
        setup.park(place)


async def test_of_those_that_failed_the_refused_go_last_and_who_failed_less_first() -> None:
    setup = Setup(Place(True, 1, 1), Place(False, 5, 2), Place(False, 2, 3), Place(False, 2, 4))
    assert await order(setup) == [3, 4, 2, 1]


async def test_who_gave_up_is_passed_over_and_counts_no_more() -> None:
    setup = Setup(Place(False, 2, 1), *newcomers(3))
    setup.give_up(Place(False, 0, 100))
    setup.give_up(Place(False, 2, 1))
    assert (setup.line.waiting, setup.line.newcomers) == (2, 2)
    assert await order(setup) == [101, 102]
    assert (setup.line.waiting, setup.line.newcomers, setup.line.first()) == (0, 0, None)


async def test_who_was_called_counts_as_waiting_until_it_has_come() -> None:
    setup = Setup(Place(False, 2, 1), *newcomers(1))
    assert setup.line.call(shut=True)
    assert (setup.line.parked, setup.line.called, setup.line.waiting, setup.line.newcomers) == (1, 1, 2, 1)
    setup.line.came(Place(False, 0, 100))
    assert (setup.line.called, setup.line.waiting, setup.line.newcomers) == (0, 1, 0)
