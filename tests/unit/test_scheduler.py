"""Which requests start, and when: room for calls, room at the gate, pool by pool."""

import asyncio
from dataclasses import dataclass
from typing import Any

from stream.core.pipeline import Prepared
from stream.kafka.assignment import TopicPartition
from stream.kafka.partition import Item, Partition
from stream.kafka.scheduler import MAX_PARKED, MIN_PARKED, PROBERS, Scheduler
from stream.kafka.slots import HeldSlot
from tests.support.outcome_builders import Version, record, request
from tests.support.virtual_time import run_virtual


@dataclass
class GateView:
    open: bool = True
    room: float = 1e9
    opens_in_s: float | None = None


class Gate:
    """An admission that says what a test wants."""

    def __init__(self, view: GateView, waiting: int = 0, refused: int = 0) -> None:
        self._view = view
        self._waiting = waiting
        self._refused = refused

    def refuses(self, count: int) -> None:
        self._waiting = self._refused = count

    def view(self, model: str) -> GateView:
        return self._view

    def waiting(self, model: str) -> int:
        return self._waiting

    def newcomers(self, model: str) -> int:
        return self._waiting - self._refused


class Setup:
    """A scheduler whose requests run until they are let go on with."""

    def __init__(self, limit: int = 10, admissions: dict[str, Any] | None = None) -> None:
        self.partition = Partition(TopicPartition("requests", 0), 1, keyed=False)
        self.started: list[int] = []
        self.slots: dict[int, HeldSlot] = {}
        self.ends: dict[int, asyncio.Future[None]] = {}
        self.may_start = True
        self.defects: list[BaseException] = []
        self.scheduler = Scheduler(limit, admissions or {}, self._run, lambda: self.may_start, self.defects.append)

    async def _run(self, item: Item, slot: HeldSlot) -> None:
        offset = item.record.offset
        self.started.append(offset)
        self.slots[offset] = slot
        self.ends[offset] = asyncio.get_running_loop().create_future()
        await self.ends[offset]

    def ready(self, *offsets: int, model: str = "model-1", provider: str = "main") -> None:
        for offset in offsets:
            item = self.partition.item(record(offset=offset))
            version: Any = Version(model=model, provider=provider)
            item.prepared = Prepared(item.record, request(), version)
            self.scheduler.ready(item)

    async def pump(self) -> list[int]:
        """Pump, and which requests have started by then."""
        self.scheduler.pump()
        await asyncio.sleep(0)
        return self.started

    async def end(self, offset: int, error: BaseException | None = None) -> None:
        end = self.ends[offset]
        end.set_exception(error) if error else end.set_result(None)
        for _ in range(4):
            await asyncio.sleep(0)


async def stop(setup: Setup) -> None:
    setup.partition.cancel(only_waiting=False)
    await asyncio.sleep(0)


async def test_as_many_start_as_there_are_slots_and_the_next_when_one_ends() -> None:
    setup = Setup(limit=2)
    setup.ready(1, 2, 3)
    assert await setup.pump() == [1, 2]
    assert setup.scheduler.started == 2
    await setup.end(1)
    assert setup.started == [1, 2, 3]
    await stop(setup)


async def test_what_starts_no_longer_counts_as_waiting_and_is_known_as_running() -> None:
    setup = Setup()
    setup.ready(7)
    await setup.pump()
    assert setup.partition.waiting == 0
    assert list(setup.partition.running) == [7]
    await setup.end(7)
    assert setup.partition.idle


async def test_pools_are_served_in_turn() -> None:
    setup = Setup(limit=4)
    setup.ready(1, 2, 3, 4, model="busy")
    setup.ready(5, model="quiet")
    assert await setup.pump() == [1, 5, 2, 3]
    await stop(setup)


async def test_nothing_starts_while_outcomes_or_limits_leave_no_room() -> None:
    setup = Setup()
    setup.may_start = False
    setup.ready(1)
    assert await setup.pump() == []
    setup.may_start = True
    assert await setup.pump() == [1]
    await stop(setup)


async def test_no_more_start_than_the_gate_has_room_for() -> None:
    setup = Setup(admissions={"main": Gate(GateView(room=3), waiting=1)})
    setup.ready(1, 2, 3, 4)
    assert await setup.pump() == [1, 2]
    await stop(setup)


async def test_a_shut_gate_gets_a_few_to_probe_it_and_no_more() -> None:
    setup = Setup(admissions={"main": Gate(GateView(open=False, room=0))})
    setup.ready(*range(10))
    assert len(await setup.pump()) == PROBERS
    await stop(setup)


async def test_refused_requests_at_a_shut_gate_keep_no_other_from_probing_it() -> None:
    setup = Setup(admissions={"main": Gate(GateView(open=False, room=0), waiting=5, refused=4)})
    setup.ready(1, 2, 3)
    assert await setup.pump() == [1]
    await stop(setup)


async def test_refused_requests_leave_a_probe_its_place_however_many_they_are() -> None:
    view = GateView()
    gate = Gate(view)
    setup = Setup(limit=1, admissions={"main": gate})
    setup.ready(*range(MIN_PARKED + 2))
    for offset in range(MIN_PARKED):
        await setup.pump()
        setup.slots[offset].release()
    view.open, view.room = False, 0
    assert len(await setup.pump()) == MIN_PARKED
    gate.refuses(MIN_PARKED)
    assert len(await setup.pump()) == MIN_PARKED + 1
    await stop(setup)


async def test_at_an_open_gate_newcomers_wait_beside_those_that_failed_and_the_line_decides() -> None:
    setup = Setup(admissions={"main": Gate(GateView(room=3), waiting=4, refused=4)})
    setup.ready(1, 2, 3, 4)
    assert await setup.pump() == [1, 2, 3]
    await stop(setup)


async def test_at_an_open_gate_without_room_one_newcomer_waits_beside_those_that_failed() -> None:
    setup = Setup(admissions={"main": Gate(GateView(room=0), waiting=4, refused=4)})
    setup.ready(1, 2)
    assert await setup.pump() == [1]
    await stop(setup)


async def test_a_full_pool_holds_up_no_other() -> None:
    setup = Setup(admissions={"main": Gate(GateView(room=0))})
    setup.ready(1, 2)
    setup.ready(3, provider="other")
    assert await setup.pump() == [3]
    await stop(setup)


def test_when_time_alone_makes_room_it_looks_again_then() -> None:
    async def main() -> None:
        view = GateView(room=0, opens_in_s=5.0)
        setup = Setup(admissions={"main": Gate(view)})
        setup.ready(1)
        assert await setup.pump() == []
        view.room = 10
        await asyncio.sleep(4.9)
        assert setup.started == []
        await asyncio.sleep(0.2)
        assert setup.started == [1]
        await stop(setup)

    run_virtual(main())


async def test_those_that_wait_inside_without_a_slot_are_bounded() -> None:
    setup = Setup(limit=40)
    setup.ready(*range(200))
    for _ in range(10):
        await setup.pump()
        for slot in list(setup.slots.values()):
            slot.release()
    assert setup.scheduler.started == MAX_PARKED * 40
    await stop(setup)


async def test_with_few_slots_more_may_wait_inside_so_that_others_find_room() -> None:
    setup = Setup(limit=1)
    setup.ready(*range(100))
    for _ in range(100):
        await setup.pump()
        for slot in list(setup.slots.values()):
            slot.release()
    assert setup.scheduler.started == MIN_PARKED
    await stop(setup)


async def test_a_partition_that_is_let_go_of_starts_nothing_more() -> None:
    setup = Setup()
    setup.ready(1, 2)
    setup.scheduler.forget(setup.partition)
    assert await setup.pump() == []


async def test_one_cancelled_before_its_first_step_gives_its_slot_back() -> None:
    setup = Setup(limit=1)
    setup.ready(1)
    setup.scheduler.pump()
    setup.partition.cancel(only_waiting=False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (setup.scheduler.started, setup.scheduler.slots.used) == (0, 0)
    assert setup.partition.running == {}


async def test_one_that_waited_at_its_gate_without_a_slot_and_is_cancelled_makes_room_for_another() -> None:
    gate = Gate(GateView(open=False, room=0))
    setup = Setup(admissions={"main": gate})
    setup.ready(1, 2, 3)
    assert await setup.pump() == [1, 3]
    gate._waiting = 2
    for slot in setup.slots.values():
        slot.release()
    assert await setup.pump() == [1, 3]
    gate._waiting = 1
    setup.partition.running[1][0].cancel()
    for _ in range(4):
        await asyncio.sleep(0)
    assert setup.started == [1, 3, 2]
    await stop(setup)


async def test_an_exception_that_comes_out_of_a_request_is_told() -> None:
    setup = Setup()
    setup.ready(1)
    await setup.pump()
    await setup.end(1, ZeroDivisionError())
    assert [type(defect) for defect in setup.defects] == [ZeroDivisionError]
    assert setup.scheduler.started == 0
