"""The worker on a real Kafka: what goes in comes out once, whatever it is and whoever else moves."""

import asyncio
import dataclasses
import threading
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream.app import WorkerOptions
from stream.core.records import ModelCall
from stream.kafka import worker
from stream.kafka.assignment import TopicPartition as Partition
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.local import LocalKafka
from tests.support.in_process_worker import (
    MakeTopics,
    ScriptedProvider,
    assert_once_each,
    request,
    running,
    settings_for,
    until_visible,
)
from tests.support.kafka import Unsent, create_topic, produce
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.topic_reading import read_all
from tests.support.waiting import wait_until_async


async def test_every_request_ends_in_one_result(kafka: LocalKafka, topics: MakeTopics, tmp_path: Path) -> None:
    """Keys and no keys, several partitions; results carry the source's coordinates."""
    mine = topics(3)
    sent = produce(
        kafka.bootstrap_servers,
        mine.requests,
        [request(f"r{n}", key=f"k{n % 7}".encode() if n % 3 else None) for n in range(200)],
    )
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), ScriptedProvider()) as run:
        await until_visible(run, 200)
    assert_once_each(kafka.bootstrap_servers, mine, sent)


BAD_RECORDS: list[tuple[str, Unsent]] = [
    ("decode/null_value", Unsent(None, b"k")),
    ("decode/not_json", Unsent(b"\xff\xfe\x00nonsense", b"k")),
    ("decode/not_json", Unsent(b'{"id": "x", "id": "y"}', b"k")),
    ("decode/missing_id", Unsent(b'{"task": "answer", "input": {}}', b"k")),
    ("decode/avro_unconfigured", Unsent(b"\x00\x00\x00\x00\x07abcdef", b"k")),
    ("decode/bad_header", Unsent(b"{}", b"k", headers=(("ce_specversion", b"1.0"), ("ce_id", b"\xff")))),
    ("route/unknown_task", Unsent(b'{"id": "u", "task": "answr", "input": {}}', b"k")),
    ("render/invalid_input", Unsent(b'{"id": "i", "task": "answer", "input": {"text": 5}}', b"k")),
    ("render/unrendered_input", Unsent(b'{"id": "t", "task": "answer", "input": {"text": "{{ name }}"}}', b"k")),
]


async def test_what_cannot_be_served_is_a_dead_letter_with_its_bytes_and_a_reason_and_holds_up_nobody(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(1)
    records = [unsent for _, unsent in BAD_RECORDS]
    sent = produce(kafka.bootstrap_servers, mine.requests, [*records, request("good", key=b"k")])
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), ScriptedProvider()) as run:
        await until_visible(run, len(sent))
    assert_once_each(kafka.bootstrap_servers, mine, sent)
    letters = {m.headers_by["llm.source.offset"]: m for m in map(Letter, read_all(kafka.bootstrap_servers, mine.dlq))}
    for (reason, unsent), origin in zip(BAD_RECORDS, sent, strict=False):
        letter = letters[str(origin.offset)]
        stage, code = reason.split("/")
        assert (letter.headers_by["llm.error.stage"], letter.headers_by["llm.error.code"]) == (stage, code)
        assert letter.value == unsent.value
        assert letter.key == b"k"
        assert len(letter.headers_by["llm.error.detail"]) > 20


class Letter:
    """A dead letter, its headers as text by name."""

    def __init__(self, message: object) -> None:
        self.value = message.value()  # type: ignore[attr-defined]
        self.key = message.key()  # type: ignore[attr-defined]
        self.headers = message.headers()  # type: ignore[attr-defined]
        self.headers_by = {name: (value or b"").decode(errors="replace") for name, value in self.headers}


async def test_a_5_mb_value_and_foreign_and_forged_headers_are_processed(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    """Forged `llm.*` headers are stripped, foreign ones kept byte for byte on a dead letter."""
    mine = topics(1)
    foreign = (("x-binary", b"\xff\x00"), ("llm.source.offset", b"999"), ("llm.corrects", b"0:0"))
    sent = produce(
        kafka.bootstrap_servers,
        mine.requests,
        [
            request("big", "x" * 5_000_000),
            Unsent(b"not json", headers=foreign),
            request("forged", headers=foreign),
        ],
    )
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), ScriptedProvider()) as run:
        await until_visible(run, 3)
    assert_once_each(kafka.bootstrap_servers, mine, sent)
    (letter,) = map(Letter, read_all(kafka.bootstrap_servers, mine.dlq))
    assert ("x-binary", b"\xff\x00") in letter.headers
    assert [value for name, value in letter.headers if name == "llm.source.offset"] == [b"1"]
    assert "llm.corrects" not in letter.headers_by


async def test_transactional_requests_leave_no_gap_behind(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    """Markers and aborted records are passed over, and the commit comes to the very end of the log."""
    mine = topics(1)
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": mine.requests, "log_level": 3}
    )
    producer.init_transactions(20)
    for number, keep in enumerate([True, False, True, False]):
        producer.begin_transaction()
        for part in range(3):
            unsent = request(f"{number}.{part}")
            producer.produce(mine.requests, unsent.value)
        producer.flush(20)
        producer.commit_transaction(20) if keep else producer.abort_transaction(20)
    provider = ScriptedProvider()
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    end = 16  # 12 records and 4 markers
    bystander = GroupOffsets(settings)
    partition = Partition(mine.requests, 0)
    async with running(settings, provider) as run:
        await until_visible(run, 6)
        await wait_until_async(
            lambda: asyncio.to_thread(lambda: bystander.committed([partition])[partition][0] == end),
            20,
            lambda: str(bystander.committed([partition])),
        )
    bystander.close()
    assert sorted(provider.called) == ["0.0", "0.1", "0.2", "2.0", "2.1", "2.2"]


async def test_records_that_reading_skipped_are_found_and_read_again(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    """A consumer that jumps ahead for whatever reason must not turn records into lost ones."""
    mine = topics(1)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(10)])
    provider = ScriptedProvider()
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), provider) as run:
        await until_visible(run, 10)
        (partition,) = run.worker._holdings.all
        run.worker._intake.pause(partition.id)
        await asyncio.sleep(0.3)
        more = await asyncio.to_thread(
            produce, kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(10, 20)]
        )
        run.worker._intake.begin(partition.id, partition.epoch, 15)  # the jump
        await until_visible(run, 20)
        assert any("were skipped" in trouble for trouble in run.seen.troubles)
    assert_once_each(kafka.bootstrap_servers, mine, sent + more)


async def test_requests_of_a_key_run_one_at_a_time_and_in_order(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(1)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}", key=b"same") for n in range(20)])
    provider = ScriptedProvider()
    provider.before = lambda _: asyncio.sleep(0.005)
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), provider) as run:
        await until_visible(run, 20)
    assert provider.called == [str(n) for n in range(20)]
    assert provider.at_once == 1


async def test_without_ordering_requests_of_a_key_run_side_by_side(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(1)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}", key=b"same") for n in range(20)])
    provider = ScriptedProvider()

    async def together(_: ModelCall) -> None:
        await wait_until_async(lambda: provider.at_once == 20, 20, "all twenty in the air")

    provider.before = together
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path, ordering="none")
    async with running(settings, provider) as run:
        await until_visible(run, 20)
    assert_once_each(kafka.bootstrap_servers, mine, sent, ordered=False)


async def test_after_a_restart_only_what_was_unfinished_is_called_again(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    """The first request hangs while fifty behind it are finished: the done-map remembers them."""
    mine = topics(1)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(51)])
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path, drain_timeout_s=0.2)
    hanging, second = ScriptedProvider(), ScriptedProvider()
    forever = asyncio.Event()

    async def first_hangs(call: ModelCall) -> None:
        if call.request_id == "0":
            await forever.wait()

    hanging.before = first_hangs
    async with running(settings, hanging) as first_run:
        await until_visible(first_run, 50)
    ((_, _, given_up, drain_s),) = first_run.seen.revokes
    assert given_up == 1
    assert drain_s >= 0.2  # from the stop on, not from when the group took the partition back
    async with running(settings, second) as run:
        await until_visible(run, 1)
    assert second.called == ["0"]
    assert_once_each(kafka.bootstrap_servers, mine, sent)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_second_worker_takes_its_share_and_nothing_is_lost_or_doubled(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path, delivery: str
) -> None:
    mine = topics(4)
    sent = produce(
        kafka.bootstrap_servers, mine.requests, [request(f"a{n}", key=f"{n % 20}".encode()) for n in range(400)]
    )
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path, delivery=delivery, max_in_flight=8)
    first, second = ScriptedProvider(), ScriptedProvider()
    first.before = second.before = lambda _: asyncio.sleep(0.15)
    async with running(settings, first) as one:
        await until_visible(one, 50)
        async with running(settings, second) as two:
            await wait_until_async(lambda: two.seen.visible > 20, 30, "the second worker works")
            await wait_until_async(lambda: one.seen.visible + two.seen.visible >= 400, 30, "all are visible")
    assert_once_each(kafka.bootstrap_servers, mine, sent)
    assert len(first.called) + len(second.called) == 400


async def test_at_least_once_delivers_every_request(kafka: LocalKafka, topics: MakeTopics, tmp_path: Path) -> None:
    mine = topics(2)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(100)])
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path, delivery="at_least_once")
    async with running(settings, ScriptedProvider()) as run:
        await until_visible(run, 100)
    assert_once_each(kafka.bootstrap_servers, mine, sent)


async def test_a_broker_that_is_slow_to_commit_does_not_silence_the_poll_loop(
    kafka: LocalKafka, proxy: KafkaProxy, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(2)
    sent = produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(100)])
    settings = settings_for(proxy.bootstrap_servers, mine, tmp_path, delivery="at_least_once")
    proxy.delay(1.5, ApiKey.OFFSET_COMMIT)
    async with running(settings, ScriptedProvider()) as run:
        await wait_until_async(lambda: proxy.requests(ApiKey.OFFSET_COMMIT) > 0, 30, "the first commit is sent")
        ticks = set()
        while run.seen.visible == 0:
            ticks.add(round(time.monotonic() - run.worker.figures().ticked_s_ago, 2))
            await asyncio.sleep(0.05)
        proxy.heal()
        await until_visible(run, 100)
    assert len(ticks) >= 10
    assert_once_each(kafka.bootstrap_servers, mine, sent)


async def test_a_limit_ends_the_worker_by_itself(kafka: LocalKafka, topics: MakeTopics, tmp_path: Path) -> None:
    mine = topics(1)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(20)])
    provider = ScriptedProvider()
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    async with running(settings, provider, WorkerOptions(limit=5)) as run:
        await asyncio.wait_for(run.task, 30)
    assert len(provider.called) == 5
    assert len(read_all(kafka.bootstrap_servers, mine.results)) == 5


async def test_a_limit_that_nothing_comes_for_is_told(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 0.5)
    mine = topics(1)
    produce(kafka.bootstrap_servers, mine.requests, [request("only")])
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    async with running(settings, ScriptedProvider(), WorkerOptions(limit=3)) as run:
        await until_visible(run, 1)
        said = "--limit: 2 requests still to come, and nothing waits here; Ctrl-C ends the worker"
        await wait_until_async(lambda: said in run.seen.troubles, 30, lambda: str(run.seen.troubles))


async def test_a_limit_whose_requests_went_to_another_worker_ends_the_worker_too(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = topics(1)
    produce(kafka.bootstrap_servers, mine.requests, [request("only")])
    provider = ScriptedProvider()
    provider.before = lambda _: asyncio.sleep(600)
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    async with running(settings, provider, WorkerOptions(limit=1)) as run:
        await wait_until_async(lambda: provider.called, 30, "the call is under way")
        run.worker.revoked([Partition(mine.requests, 0)], True, threading.Event())
        await asyncio.wait_for(run.task, 30)
    assert read_all(kafka.bootstrap_servers, mine.results) == []


async def test_a_money_limit_starts_no_further_call(kafka: LocalKafka, topics: MakeTopics, tmp_path: Path) -> None:
    """Each call costs 7 millionths: 20 of them are too much."""
    mine = topics(1)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(50)])
    provider = ScriptedProvider()
    settings = settings_for(kafka.bootstrap_servers, mine, tmp_path)
    async with running(settings, provider, WorkerOptions(max_cost_usd=0.00014)) as run:
        await asyncio.wait_for(run.task, 30)
    assert len(provider.called) == 20


async def test_a_result_too_large_for_its_topic_is_a_dead_letter(
    kafka: LocalKafka, topics: MakeTopics, tmp_path: Path
) -> None:
    mine = dataclasses.replace(topics(1), results=f"{uuid.uuid4().hex[:8]}.small")
    create_topic(kafka.bootstrap_servers, mine.results, 1, {"max.message.bytes": "20000"})
    sent = produce(kafka.bootstrap_servers, mine.requests, [request("big"), request("small")])
    provider = ScriptedProvider()
    provider.reply = lambda call: '{"answer":"%s"}' % ("word " * 20_000 if call.request_id == "big" else "fine")
    async with running(settings_for(kafka.bootstrap_servers, mine, tmp_path), provider) as run:
        await until_visible(run, 2)
    assert_once_each(kafka.bootstrap_servers, mine, sent)
    (letter,) = map(Letter, read_all(kafka.bootstrap_servers, mine.dlq))
    assert letter.headers_by["llm.error.stage"] == "encode"
    assert letter.headers_by["llm.output.truncated"] == "true"
