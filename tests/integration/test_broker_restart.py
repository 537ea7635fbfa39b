"""A broker that restarts while the worker idles: librdkafka then waits for ever for a coordinator that is gone."""

from pathlib import Path

from stream.kafka.local import LocalKafka
from tests.support.in_process_worker import (
    ScriptedProvider,
    assert_once_each,
    request,
    running,
    settings_for,
    until_visible,
)
from tests.support.kafka import create_topics, produce
from tests.support.waiting import wait_until_async


async def test_after_a_restart_of_the_broker_results_are_published_without_a_hang(
    own_kafka: LocalKafka, tmp_path: Path
) -> None:
    mine = create_topics(own_kafka.bootstrap_servers, 2)
    sent = produce(own_kafka.bootstrap_servers, mine.requests, [request(f"a{n}") for n in range(20)])
    settings = settings_for(own_kafka.bootstrap_servers, mine, tmp_path)
    async with running(settings, ScriptedProvider()) as run:
        await until_visible(run, 20)
        own_kafka.restart()
        await wait_until_async(lambda: run.worker.figures().brokers_up, 60, "the worker sees the broker again")
        sent += produce(own_kafka.bootstrap_servers, mine.requests, [request(f"b{n}") for n in range(20)])
        await until_visible(run, 40)
        assert not [trouble for trouble in run.seen.troubles if "hangs" in trouble]
    assert_once_each(own_kafka.bootstrap_servers, mine, sent)
