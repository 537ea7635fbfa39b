"""A worker's scheduler, gate and retries in virtual time, before a provider that refuses some or all."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stream.core.errors import AttemptsExhausted, ProviderError
from stream.core.pipeline import Prepared
from stream.core.records import Tally
from stream.kafka.assignment import TopicPartition
from stream.kafka.partition import Item, Partition
from stream.kafka.scheduler import Scheduler
from stream.kafka.slots import HeldSlot
from stream.providers.gated import Gated
from stream.providers.retrying import Retrying, RetryPolicy
from stream.resilience.gate import Gate, GateChange
from tests.support.faulty_provider import FaultyProvider, Mood, model_call
from tests.support.outcome_builders import Version, record, request
from tests.support.virtual_time import VirtualClock, run_virtual


@dataclass
class Day:
    """How it went: when who was served or given up, the accounts of the latter, and what the gate told."""

    provider: FaultyProvider
    served_s: dict[str, float] = field(default_factory=dict)
    dead: dict[str, Tally] = field(default_factory=dict)
    dead_s: dict[str, float] = field(default_factory=dict)
    errors: dict[str, ProviderError] = field(default_factory=dict)
    changes: list[GateChange] = field(default_factory=list)
    defects: list[BaseException] = field(default_factory=list)

    @property
    def shut(self) -> list[GateChange]:
        """When and for how long it shut."""
        return [change for change in self.changes if not change.open]

    def calls(self, name: str) -> int:
        """How many calls a request cost."""
        return sum(1 for _, sent in self.provider.sent if sent == name)


def live_through(
    mood: Mood,
    *,
    requests: int,
    per_s: float = float("inf"),
    max_in_flight: int = 64,
    latency_s: float = 0.2,
    seed: int = 1,
    until_s: float = float("inf"),
    at_once: Collection[int] = (),
) -> Day:
    """Requests r0, r1, ... for one model, so many a second; over when all have an outcome, or at `until_s`.

    at_once: those that come together with the first of them.
    """
    day = Day(FaultyProvider(mood, latency_s=latency_s))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        rand = Random(seed).random
        partition = Partition(TopicPartition("requests", 0), 1, keyed=False)
        gated = Gated(day.provider, Gate("main", ceiling=max_in_flight), VirtualClock(), rand, day.changes.append)
        retrying = Retrying(gated, RetryPolicy(), rand, asyncio.sleep)
        over = asyncio.Event()
        done = asyncio.create_task(asyncio.wait_for(over.wait(), None if until_s == float("inf") else until_s))

        async def run(item: Item, slot: HeldSlot) -> None:
            call = model_call(f"r{item.record.offset}", model="model-1", slot=slot)
            try:
                await retrying.complete(call)
                day.served_s[call.request_id] = loop.time()
            except AttemptsExhausted as error:
                day.dead[call.request_id], day.dead_s[call.request_id] = call.tally, loop.time()
                day.errors[call.request_id] = error
            if len(day.served_s) + len(day.dead) == requests:
                over.set()

        scheduler = Scheduler(max_in_flight, {"main": gated}, run, lambda: not done.done(), day.defects.append)
        version: Any = Version(model="model-1", provider="main")

        async def arrivals() -> None:
            for number in range(requests):
                together = number in at_once and number > min(at_once)
                if per_s != float("inf") and number / per_s > loop.time() and not together:
                    await asyncio.sleep(number / per_s - loop.time())
                item = partition.item(record(offset=number))
                item.prepared = Prepared(item.record, request(), version)
                scheduler.ready(item)
                scheduler.pump()

        arriving = asyncio.create_task(arrivals())
        await asyncio.wait([done])
        arriving.cancel()
        partition.cancel(only_waiting=False)
        await asyncio.gather(done, arriving, return_exceptions=True)
        await retrying.aclose()

    run_virtual(main())
    return day
