"""Who goes next at a gate: newcomers, and those whose failures may be their own."""

import asyncio

import pytest

from stream.providers.line import AT_LEAST, MOST_PASSES, REFUSED_PASSES, SHARE, Line, Place


class Setup:
    """A line, and in which order those that wait in it are woken."""

    def __init__(self, *places: Place) -> None:
        self.serves = False
        self.line = Line(64, lambda: self.serves)
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
    return [Place(False, first + number, 0) for number in range(count)]


async def order(setup: Setup, *, shut: bool = False) -> list[int]:
    tickets = []
    while (place := setup.call(shut=shut)) is not None:
        tickets.append(place.ticket)
    return tickets


def sent_again(setup: Setup) -> int:
    """How many go until none may."""
    count = 0
    while setup.call() is not None:
        setup.line.sent_again()
        count += 1
    return count


async def test_newcomers_go_in_the_order_they_came() -> None:
    assert await order(Setup(*reversed(newcomers(5)))) == [100, 101, 102, 103, 104]


async def test_as_probes_of_a_shut_gate_three_newcomers_pass_one_that_failed_and_all_one_that_was_refused() -> None:
    """A healthy one that failed once must not wait behind a backlog of requests that are refused, and vice versa."""
    setup = Setup(Place(False, 1, 1), Place(True, 2, 1), *newcomers(20))
    went = await order(setup, shut=True)
    assert went[:5] == [100, 101, 102, 1, 103]
    assert went[-1] == 2


@pytest.mark.parametrize(
    ("place", "passes"),
    [
        (Place(False, 1, 1), 1),
        (Place(False, 1, 3), 3),
        (Place(False, 1, 50), MOST_PASSES),
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


async def test_those_that_failed_take_turns_the_refused_behind_the_others() -> None:
    setup = Setup(Place(True, 1, 1), Place(False, 2, 5), Place(False, 3, 2), Place(False, 4, 2))
    assert await order(setup) == [2, 3, 4, 1]


async def test_of_those_that_failed_few_go_at_a_time_and_more_as_they_are_served() -> None:
    setup = Setup(*(Place(False, ticket, 1) for ticket in range(40)))
    assert sent_again(setup) == AT_LEAST
    setup.line.came_back(served=True)
    assert sent_again(setup) == 3  # its own place, and two more
    setup.line.came_back(served=None)
    assert sent_again(setup) == 1
    for _ in range(3):
        setup.line.came_back(served=False)
    assert sent_again(setup) == 1  # six, less a quarter three times, is four at least
    assert setup.line.waiting == 31


async def test_while_anybody_is_served_those_that_failed_have_a_share_of_the_slots() -> None:
    setup = Setup(*(Place(False, ticket, 1) for ticket in range(40)))
    setup.serves = True
    assert sent_again(setup) == SHARE * 64
    for _ in range(9):
        setup.line.came_back(served=False)
    assert sent_again(setup) == 9
    setup.serves = False
    for _ in range(9):
        setup.line.came_back(served=False)
    assert sent_again(setup) == 0


async def test_however_many_were_served_no_more_of_them_go_than_there_are_slots() -> None:
    setup = Setup(*(Place(False, ticket, 1) for ticket in range(100)))
    for _ in range(100):
        setup.line.sent_again()
    for _ in range(100):
        setup.line.came_back(served=True)
    assert sent_again(setup) == 64


async def test_who_gave_up_is_passed_over_and_counts_no_more() -> None:
    setup = Setup(Place(False, 1, 2), *newcomers(3))
    setup.give_up(Place(False, 100, 0))
    setup.give_up(Place(False, 1, 2))
    assert (setup.line.waiting, setup.line.newcomers) == (2, 2)
    assert await order(setup) == [101, 102]
    assert (setup.line.waiting, setup.line.newcomers, setup.line.first()) == (0, 0, None)


async def test_who_was_called_counts_as_waiting_until_it_has_come() -> None:
    setup = Setup(Place(False, 1, 2), *newcomers(1))
    assert setup.line.call(shut=True)
    assert (setup.line.parked, setup.line.called, setup.line.waiting, setup.line.newcomers) == (1, 1, 2, 1)
    setup.line.came(Place(False, 100, 0))
    assert (setup.line.called, setup.line.waiting, setup.line.newcomers) == (0, 1, 0)
