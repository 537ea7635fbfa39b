"""A worker on a real Kafka in trouble: fenced, refused, unanswered, alone; nothing is lost, and it says so."""

import asyncio
import secrets
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from stream.core.errors import FencedError
from stream.core.records import ModelCall
from stream.kafka import refusals
from stream.kafka.local import LocalKafka
from tests.support.in_process_worker import (
    MakeTopics,
    ScriptedProvider,
    assert_once_each,
    request,
    running,
    settings_for,
    until_visible,
    with_kafka,
)
from tests.support.kafka import create_topic, create_topics, produce
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.topic_reading import read_all
from tests.support.waiting import wait_until, wait_until_async


async def test_two_workers_with_one_transactional_id_end_with_one_that_says_so(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(2)
    settings = with_kafka(
        settings_for(kafka.bootstrap_servers, mine, tmp_path), transactional_id=f"{mine.requests}.one"
    )
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(2_000)])
    provider = ScriptedProvider()
    provider.before = lambda _: asyncio.sleep(0.3)
    slow = settings.model_copy(update={"worker": settings.worker.model_copy(update={"max_in_flight": 20})})
    async with running(slow, provider) as one, running(slow, provider) as two:
        await asyncio.wait({one.task, two.task}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        (ended,) = (run for run in (one, two) if run.task.done())
        assert isinstance(ended.task.exception(), FencedError)
        assert "transactional id" in str(ended.task.exception())


async def test_a_commit_whose_answer_is_lost_is_not_published_twice(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path, proxy: KafkaProxy
) -> None:
    mine = topics(2)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(60)])
    settings = with_kafka(
        settings_for(kafka.bootstrap_servers, mine, tmp_path, max_in_flight=5),
        bootstrap_servers=proxy.bootstrap_servers,
    )
    provider = ScriptedProvider()
    provider.before = lambda _: asyncio.sleep(0.02)
    async with running(settings, provider) as run:
        for visible in (10, 25, 40):
            await until_visible(run, visible)
            proxy.lose_response(ApiKey.END_TXN)
        await until_visible(run, 60, 60)
    assert_once_each(kafka.bootstrap_servers, mine, sent)


@pytest.mark.parametrize("refused", [1, refusals.REFUSING_AT + 2])
async def test_what_the_broker_refuses_is_left_out_and_published_once_the_broker_takes_it(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """The topic's limit is lowered behind the worker's back: the others commit, the alarm names the offsets."""
    monkeypatch.setattr(refusals, "REFUSED_AGAIN_S", 0.5)
    mine = topics(1)
    names = [*(f"big {n}" for n in range(refused)), "a", "b", "c"]
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(name) for name in names])
    provider = ScriptedProvider()
    provider.reply = lambda call: '{"answer":"%s"}' % (random_words() if call.request_id[:3] == "big" else "fine")
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    ready = asyncio.Event()

    async def until_ready(_: ModelCall) -> None:
        await ready.wait()

    provider.before = until_ready
    async with running(settings, provider) as run:
        await wait_until_async(lambda: len(provider.called) == len(names), 30, "all calls")
        await asyncio.to_thread(limit_messages, kafka, mine.results, 20_000)
        ready.set()
        await until_visible(run, 3)
        await wait_until_async(lambda: len({offset for offset, _ in run.seen.refusals}) == refused, 30, "the alarm")
        later = [request(f"later {n}") for n in range(10)]
        sent += await asyncio.to_thread(produce, kafka.bootstrap_servers, mine.requests, later)
        await until_visible(run, 13)
        assert {offset for offset, _ in run.seen.refusals} == set(range(refused))
        await asyncio.to_thread(limit_messages, kafka, mine.results, 16_000_000)
        await until_visible(run, 13 + refused)
    assert len(provider.called) == len(names) + 10
    assert_once_each(kafka.bootstrap_servers, mine, sent)


async def test_an_audit_topic_that_takes_nothing_holds_up_no_outcome(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(1)
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path, max_in_flight=5)
    all_audited = settings.model_copy(update={"audit": settings.audit.model_copy(update={"rate": 1.0})})
    produce_later = [request(f"{n}", key=b"one") for n in range(40)]
    provider = ScriptedProvider()
    async with running(all_audited, provider) as run:
        await asyncio.to_thread(limit_messages, kafka, mine.audit, 300)
        sent = await asyncio.to_thread(produce, kafka.bootstrap_servers, mine.requests, produce_later)
        await until_visible(run, 40)
        assert run.seen.refusals == []
        assert any(f"{mine.audit}: " in trouble for trouble in run.seen.troubles)
    assert sorted(provider.called) == sorted(each.id for each in produce_later)
    assert_once_each(kafka.bootstrap_servers, mine, sent)
    assert read_all(kafka.bootstrap_servers, mine.audit) == []


async def test_a_deleted_dlq_holds_up_no_result_and_gets_its_dead_letters_once_it_is_back(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "REFUSED_AGAIN_S", 5.0)
    mine = topics(1)
    provider = ScriptedProvider()
    provider.reply = lambda call: "no JSON" if call.request_id.startswith("bad") else '{"answer":"fine"}'
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 3})
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), provider) as run:
        await asyncio.to_thread(produce, kafka.bootstrap_servers, mine.requests, [request("bad"), request("a")])
        await until_visible(run, 2)
        await asyncio.to_thread(lambda: admin.delete_topics([mine.dlq])[mine.dlq].result(10))
        later = [request("bad 2"), *(request(f"{n}") for n in range(20)), request("bad 3")]
        await asyncio.to_thread(produce, kafka.bootstrap_servers, mine.requests, later)
        await until_visible(run, 22, 60)
        assert all(mine.dlq in reason or "its topic" in reason for _, reason in run.seen.refusals)
        await asyncio.to_thread(create_topic, kafka.bootstrap_servers, mine.dlq)
        await until_visible(run, 24, 60)
    assert len(read_all(kafka.bootstrap_servers, mine.dlq)) == 2
    assert len(read_all(kafka.bootstrap_servers, mine.results)) == 21


def random_words() -> str:
    """Text that doesn't compress below 20 KB."""
    return secrets.token_hex(40_000)


def limit_messages(kafka: LocalKafka, topic: str, limit: int) -> None:
    """Set `max.message.bytes` of a topic; it has taken effect when this returns."""
    entry = ConfigEntry("max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 3})
    admin.incremental_alter_configs([resource])[resource].result(10)
    asked = ConfigResource(ResourceType.TOPIC, topic)
    wait_until(
        lambda: admin.describe_configs([asked])[asked].result(10)["max.message.bytes"].value == str(limit),
        10,
        "the limit is in force",
    )


async def test_when_all_brokers_are_gone_the_worker_says_so_once_lives_and_goes_on_by_itself(
    own_kafka: LocalKafka, tmp_path: Path
) -> None:
    mine = create_topics(own_kafka.bootstrap_servers, 2)
    sent = produce(own_kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(30)])
    provider = ScriptedProvider()
    gone = asyncio.Event()

    async def some_wait(call: ModelCall) -> None:
        if int(call.request_id) >= 20:
            await gone.wait()

    provider.before = some_wait
    async with running(settings_for(own_kafka.bootstrap_servers, mine, tmp_path), provider) as run:
        await until_visible(run, 20)
        await asyncio.to_thread(own_kafka.kill)
        await wait_until_async(lambda: run.seen.broker_changes == [False], 30, "it says that brokers are gone")
        assert not run.worker.figures().brokers_up
        gone.set()
        await asyncio.sleep(3)
        assert not run.task.done()
        await asyncio.to_thread(own_kafka.start)
        await until_visible(run, 30, 60)
        await wait_until_async(lambda: run.worker.figures().brokers_up, 10, "a broker is seen again")
        assert run.seen.broker_changes == [False, True]
    assert_once_each(own_kafka.bootstrap_servers, mine, sent)
