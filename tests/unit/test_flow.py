"""A request's way through the worker: started, settled, handed over; who waits meanwhile, and what pauses reading."""

import asyncio
from typing import Any

import pytest

from stream.core import offsets, settlement
from stream.core.errors import DecodeError, ErrorClass, ProviderError
from stream.core.offsets import DoneMap, OffsetTracker
from stream.core.outcomes import DeadLettered
from stream.core.pipeline import Pipeline
from stream.core.records import Completion, ModelCall, Record, Request
from stream.kafka import flow as flow_module
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Settled
from stream.kafka.budget import Budget
from stream.kafka.flow import Flow
from stream.kafka.partition import Partition, Phase
from stream.telemetry.watch import Watch
from tests.support.outcome_builders import COMPLETION, NOW_MS, Version, policy, record, request
from tests.support.virtual_time import VirtualClock

HERE = TopicPartition("requests", 3)

POLICY = policy()


class Outbox:
    """Where outcomes go instead of the commit loop."""

    def __init__(self) -> None:
        self.settled: list[Settled] = []
        self.full = False
        self.unpublished = 0

    def add(self, settled: Settled) -> None:
        settled.partition.uncommitted += 1
        self.settled.append(settled)

    @property
    def offsets(self) -> list[int]:
        return [settled.record.offset for settled in self.settled]

    @property
    def topics(self) -> list[str]:
        return [settled.parcel.records[0].topic for settled in self.settled]


class Tap:
    def __init__(self) -> None:
        self.turns: list[str] = []

    def pause(self, partition: TopicPartition) -> None:
        self.turns.append("pause")

    def resume(self, partition: TopicPartition, epoch: int) -> None:
        self.turns.append("resume")


class Bench:
    """A flow over one partition, a provider that answers when told, and an outbox."""

    def __init__(self, *, keyed: bool = True, max_in_flight: int = 10, budget: Budget | None = None) -> None:
        self.calls: dict[str, asyncio.Future[Completion]] = {}
        self.sent: list[str] = []
        self.tap, self.outbox = Tap(), Outbox()
        self.defects: list[BaseException] = []
        self.live = True
        steps: Any = Pipeline(self._decode, self, {"main": self}, lambda *_: {"a": 1}, VirtualClock())  # type: ignore[arg-type,dict-item]
        self.flow = Flow(
            steps,
            lambda *_: POLICY,
            self.tap,
            lambda _: self.live,
            budget or Budget(),
            Watch(),
            lambda: NOW_MS,
            self.defects.append,
            max_in_flight=max_in_flight,
            admissions={},
        )
        self.flow.commits = self.outbox  # type: ignore[assignment]
        self.partition = Partition(HERE, 1, keyed)
        self.partition.tracker, self.partition.phase = OffsetTracker(DoneMap(0)), Phase.RUNNING
        self.partition.pauses.clear()

    def _decode(self, taken: Record) -> Request:
        if taken.value == b"bad":
            raise DecodeError("not_json", "made so")
        return request(id=f"r{taken.offset}")

    def version_for(self, _: Request) -> Any:
        return Version()

    async def complete(self, call: ModelCall) -> Completion:
        self.sent.append(call.request_id)
        self.calls[call.request_id] = asyncio.get_running_loop().create_future()
        return await self.calls[call.request_id]

    async def aclose(self) -> None: ...

    async def take_in(self, *taken: Record) -> None:
        assert self.partition.tracker is not None
        for each in taken:
            self.partition.tracker.delivered(each.offset, each.leader_epoch)
            self.flow.take_in(self.partition, each)
        await self.pump()

    async def pump(self) -> None:
        self.flow.scheduler.pump()
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self, id_: str, error: Exception | None = None) -> None:
        call = self.calls[id_]
        call.set_exception(error) if error else call.set_result(COMPLETION)
        for _ in range(5):
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self.partition.cancel(only_waiting=False)
        await asyncio.sleep(0)


def of_key(offset: int, key: bytes | None = b"k", value: bytes = b"good") -> Record:
    return record(offset=offset, key=key, value=value)


async def test_a_request_is_called_for_settled_and_handed_over() -> None:
    bench = Bench()
    await bench.take_in(of_key(0))
    await bench.answer("r0")
    assert (bench.outbox.offsets, bench.outbox.topics) == ([0], ["results"])
    assert bench.partition.running == {}


async def test_the_next_of_a_key_starts_when_the_first_is_settled() -> None:
    bench = Bench()
    await bench.take_in(of_key(0), of_key(1), of_key(2, b"other"))
    assert bench.sent == ["r0", "r2"]
    await bench.answer("r0")
    assert bench.sent == ["r0", "r2", "r1"]
    await bench.stop()


async def test_without_ordering_all_of_a_key_start_at_once() -> None:
    bench = Bench(keyed=False)
    await bench.take_in(of_key(0), of_key(1))
    assert bench.sent == ["r0", "r1"]
    await bench.stop()


async def test_records_behind_a_broken_one_of_their_key_are_not_held_up() -> None:
    bench = Bench()
    await bench.take_in(of_key(0, value=b"bad"), of_key(1, value=b"bad"), of_key(2))
    assert (bench.outbox.offsets, bench.outbox.topics) == ([0, 1], ["dlq", "dlq"])
    assert bench.sent == ["r2"]
    await bench.stop()


async def test_broken_ones_behind_a_call_end_in_their_turn() -> None:
    bench = Bench()
    await bench.take_in(of_key(0), of_key(1, value=b"bad"), of_key(2))
    assert bench.outbox.offsets == []
    await bench.answer("r0")
    assert bench.outbox.offsets == [0, 1]
    assert bench.sent == ["r0", "r2"]
    await bench.stop()


async def test_a_providers_trouble_puts_the_request_back_not_into_the_dlq() -> None:
    bench = Bench()
    await bench.take_in(of_key(0))
    await bench.answer("r0", ProviderError(ErrorClass.OVERLOADED, "not now"))
    assert bench.outbox.settled == []
    assert bench.sent == ["r0", "r0"]
    await bench.answer("r0")
    assert bench.outbox.offsets == [0]


async def test_an_outcome_of_an_ended_epoch_is_dropped() -> None:
    bench = Bench()
    await bench.take_in(of_key(0))
    bench.live = False
    await bench.answer("r0")
    assert bench.outbox.settled == []


async def test_nothing_is_paid_for_once_its_epoch_has_ended() -> None:
    bench = Bench(keyed=False, max_in_flight=1)
    await bench.take_in(of_key(0), of_key(1))
    bench.live = False
    await bench.answer("r0")
    assert bench.sent == ["r0"]


async def test_while_draining_what_runs_ends_and_nothing_of_its_key_follows() -> None:
    bench = Bench()
    await bench.take_in(of_key(0), of_key(1))
    bench.partition.phase = Phase.DRAINING
    bench.flow.forget_waiting(bench.partition)
    await bench.answer("r0")
    assert bench.outbox.offsets == [0]
    assert bench.sent == ["r0"]


async def test_nothing_starts_while_too_much_waits_for_its_commit() -> None:
    bench = Bench()
    bench.outbox.full = True
    await bench.take_in(of_key(0))
    assert bench.sent == []
    bench.outbox.full = False
    await bench.pump()
    assert bench.sent == ["r0"]
    await bench.stop()


async def test_a_record_beyond_the_window_waits_and_pauses_reading_until_a_commit_moves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offsets, "WINDOW", 3)
    bench = Bench(keyed=False)
    await bench.take_in(*(of_key(offset) for offset in range(5)))
    assert bench.sent == ["r0", "r1", "r2"]
    assert bench.tap.turns == ["pause"]
    bench.flow.moved(bench.partition, DoneMap(1))
    await bench.pump()
    assert bench.sent[3:] == ["r3"]
    assert bench.tap.turns == ["pause"]
    bench.flow.moved(bench.partition, DoneMap(2))
    await bench.pump()
    assert bench.sent[3:] == ["r3", "r4"]
    assert bench.tap.turns == ["pause", "resume"]
    await bench.stop()


async def test_too_many_waiting_bytes_pause_reading_until_half_of_them_are_gone() -> None:
    bench = Bench(keyed=False, max_in_flight=1)
    bench.partition.share(5_000)
    await bench.take_in(*(of_key(offset) for offset in range(6)))
    assert bench.tap.turns == ["pause"]
    await bench.answer("r0")
    await bench.answer("r1")
    assert bench.tap.turns == ["pause"]
    await bench.answer("r2")
    assert bench.tap.turns == ["pause", "resume"]
    await bench.stop()


async def test_reading_goes_on_only_when_the_last_reason_is_gone() -> None:
    bench = Bench()
    bench.flow.pause(bench.partition, "window")
    bench.flow.pause(bench.partition, "bytes")
    bench.flow.resume(bench.partition, "window")
    bench.flow.resume(bench.partition, "never given")
    assert bench.tap.turns == ["pause"]
    bench.flow.resume(bench.partition, "bytes")
    assert bench.tap.turns == ["pause", "resume"]


async def test_an_outcome_that_cannot_be_settled_by_a_defect_of_ours_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settle(taken: Record, outcome: Any, *rest: Any) -> Any:
        if not isinstance(outcome, DeadLettered):
            raise ZeroDivisionError
        return settlement.settle(taken, outcome, *rest)

    monkeypatch.setattr(flow_module, "settle", settle)
    bench = Bench()
    await bench.take_in(of_key(0))
    await bench.answer("r0")
    assert bench.outbox.topics == ["dlq"]


async def test_no_more_requests_begin_than_the_budget_allows() -> None:
    bench = Bench(keyed=False, budget=Budget(limit=2))
    await bench.take_in(*(of_key(offset) for offset in range(4)))
    assert bench.sent == ["r0", "r1"]
    assert not bench.flow.done
    await bench.answer("r0")
    await bench.answer("r1")
    assert bench.flow.done


async def test_a_request_that_has_begun_and_waits_for_room_is_not_done() -> None:
    bench = Bench(keyed=False, budget=Budget(limit=1))
    bench.outbox.full = True
    await bench.take_in(of_key(0))
    assert not bench.flow.done
    bench.outbox.full = False
    await bench.pump()
    await bench.answer("r0")
    assert bench.flow.done


async def test_once_the_money_is_spent_what_waits_need_not_be_done() -> None:
    bench = Bench(keyed=False, max_in_flight=1, budget=Budget(max_cost_usd=1e-9))
    await bench.take_in(of_key(0), of_key(1))
    bench.flow._budget.spent_micro_usd = 1
    await bench.answer("r0")
    assert bench.sent == ["r0"]
    assert bench.flow.done
