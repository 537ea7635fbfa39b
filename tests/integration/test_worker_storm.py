"""A worker behind a bad connection: requests and answers that are lost, cuts, silence; then all is well again."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from stream.core.records import ModelCall
from stream.kafka.local import LocalKafka
from tests.support.in_process_worker import (
    MakeTopics,
    Running,
    ScriptedProvider,
    assert_once_each,
    request,
    running,
    settings_for,
    until_visible,
    with_kafka,
)
from tests.support.kafka import produce
from tests.support.proxy import ApiKey, KafkaProxy

LOSABLE = (
    ApiKey.END_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.OFFSET_FETCH,
    ApiKey.PRODUCE,
    ApiKey.FETCH,
)
KEYS = (None, b"", *(b"key-%d" % number for number in range(30)))
REQUESTS = 1_000


async def bad_spells(proxy: KafkaProxy, run: Running, chance: Random) -> None:
    for _ in range(10):
        await asyncio.sleep(chance.random() * 1.5)
        assert not run.task.done()
        for _ in range(chance.randrange(1, 4)):
            chance.choice([proxy.lose_response, proxy.lose_request])(chance.choice(LOSABLE))
        trouble = chance.random()
        if trouble < 0.2:
            await asyncio.to_thread(proxy.cut)
        elif trouble < 0.4:
            await asyncio.to_thread(proxy.black_hole)
            await asyncio.sleep(chance.choice([1, 4.5]))  # longer than the session lasts, or not
            await asyncio.to_thread(proxy.heal)
        elif trouble < 0.5:
            await asyncio.to_thread(proxy.delay, chance.random() * 0.5)
    await asyncio.to_thread(proxy.heal)


@pytest.mark.parametrize("seed", [72, 73])
async def test_once_a_bad_connection_is_well_again_everything_ends_once_and_in_order(
    kafka: LocalKafka,
    topics: MakeTopics,
    tmp_path: Path,
    proxy: KafkaProxy,
    seed: int,
) -> None:
    """In about half of such runs a call of librdkafka never comes back (ADR 14)."""
    chance = Random(seed)
    mine = topics(3)
    sent = produce(
        kafka.bootstrap_servers, mine.requests, [request(f"{n}", key=chance.choice(KEYS)) for n in range(REQUESTS)]
    )
    settings = with_kafka(
        settings_for(kafka.bootstrap_servers, mine, tmp_path, max_in_flight=20),
        bootstrap_servers=proxy.bootstrap_servers,
    )
    provider = ScriptedProvider()

    async def some_time(_: ModelCall) -> None:
        await asyncio.sleep(chance.random() * 0.6)

    provider.before = some_time
    async with running(settings, provider) as run:
        await bad_spells(proxy, run, chance)
        await until_visible(run, REQUESTS, 90)
    assert_once_each(kafka.bootstrap_servers, mine, sent)
