"""Where reading starts on a real Kafka: never silently past a record, never silently into work already done."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.app import WorkerOptions
from stream.core import headers as names
from stream.kafka import decisions, worker
from stream.kafka.assignment import TopicPartition as Partition
from stream.kafka.local import LocalKafka
from stream.settings import Settings
from tests.support.in_process_worker import MakeTopics, ScriptedProvider, request, running, settings_for, until_visible
from tests.support.kafka import Topics, Unsent, create_topic, produce
from tests.support.topic_reading import read_all
from tests.support.waiting import wait_until_async


async def done_once(kafka: LocalKafka, mine: Topics, settings: Settings, count: int) -> None:
    """Requests were sent, and a worker has finished them all and left."""
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(count)])
    async with running(settings, ScriptedProvider()) as run:
        await until_visible(run, count)


async def stop_cause(settings: Settings, options: WorkerOptions | None = None) -> tuple[str, str, str]:
    """Why the only partition stops, in a worker that must not call anybody."""
    provider = ScriptedProvider()
    async with running(settings, provider, options) as run:
        await wait_until_async(lambda: run.seen.stops, 30, "the partition stops")
        assert run.worker.figures().stopped
    assert provider.called == []
    ((_, stop),) = run.seen.stops.items()
    return stop


async def called_after(settings: Settings, options: WorkerOptions | None, count: int) -> list[str]:
    """What a worker calls until so many outcomes are visible."""
    provider = ScriptedProvider()
    async with running(settings, provider, options) as run:
        await until_visible(run, count)
    return provider.called


def commit(kafka: LocalKafka, settings: Settings, mine: Topics, offset: int, metadata: str = "") -> None:
    """Commit for the group from outside, as an operator's tool does."""
    with_metadata = TopicPartition(mine.requests, 0, offset, metadata)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": settings.kafka.group_id})
    consumer.commit(offsets=[with_metadata], asynchronous=False)
    consumer.close()


def committed(kafka: LocalKafka, settings: Settings, mine: Topics) -> TopicPartition:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": settings.kafka.group_id})
    try:
        (found,) = consumer.committed([TopicPartition(mine.requests, 0)], timeout=20)
        return found
    finally:
        consumer.close()


def admin(kafka: LocalKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 3})


def delete_before(kafka: LocalKafka, mine: Topics, offset: int) -> None:
    """Delete records as retention does."""
    client, gone = admin(kafka), TopicPartition(mine.requests, 0, offset)
    client.delete_records([gone])[gone].result(10)


@pytest.fixture
def mine(topics: MakeTopics) -> Topics:
    return topics(1)


@pytest.fixture
def settings(kafka: LocalKafka, mine: Topics, tmp_path: Path) -> Settings:
    return settings_for(kafka.bootstrap_servers, mine, tmp_path)


async def test_a_start_is_committed_with_a_map_before_anything_is_called(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    produce(kafka.bootstrap_servers, mine.requests, [request("0")])
    provider = ScriptedProvider()
    found: list[Any] = []

    async def look(_: object) -> None:
        found.append(await asyncio.to_thread(committed, kafka, settings, mine))

    provider.before = look
    async with running(settings, provider) as run:
        await until_visible(run, 1)
    assert found[0].offset == 0
    assert found[0].metadata.startswith("ls1.")


async def test_wiped_metadata_stops_the_partition_until_the_rerun_is_accepted(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """As `kafka-consumer-groups --reset-offsets` leaves it."""
    await done_once(kafka, mine, settings, 10)
    commit(kafka, settings, mine, 4)
    cause, detail, remedy = await stop_cause(settings)
    assert cause == "earlier_outcomes"
    assert "offset 4" in detail
    assert f"--accept-rerun {mine.requests}:0" in remedy
    accept = WorkerOptions(accept=[("accept_rerun", Partition(mine.requests, 0))])
    assert await called_after(settings, accept, 6) == ["4", "5", "6", "7", "8", "9"]
    (decision,) = decisions.read_all(settings)
    assert (decision.kind, decision.scope["from_offset"], decision.scope["to_offset"]) == ("accept_rerun", 4, 10)


async def test_an_accepted_rerun_is_used_up_by_what_it_brings(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """The offsets are reset once more, and nobody accepted that."""
    await done_once(kafka, mine, settings, 4)
    commit(kafka, settings, mine, 2)
    accept = WorkerOptions(accept=[("accept_rerun", Partition(mine.requests, 0))])
    assert await called_after(settings, accept, 2) == ["2", "3"]
    commit(kafka, settings, mine, 2)
    cause, _, _ = await stop_cause(settings)
    assert cause == "earlier_outcomes"


async def test_a_lost_commit_with_outcomes_stops_the_partition(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """The group's offsets expired, or somebody deleted the group."""
    await done_once(kafka, mine, settings, 3)
    client = admin(kafka)
    client.delete_consumer_groups([settings.kafka.group_id])[settings.kafka.group_id].result(10)
    cause, _, _ = await stop_cause(settings)
    assert cause == "earlier_outcomes"


async def test_an_offset_moved_where_nothing_was_done_is_simply_read_from(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """An operator skips ahead: no outcome lies at or past it, so nothing would be done twice."""
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(5)])
    commit(kafka, settings, mine, 3)
    assert await called_after(settings, None, 2) == ["3", "4"]


async def test_records_lost_to_retention_stop_the_partition_until_the_gap_is_accepted(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    await done_once(kafka, mine, settings, 3)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"later{n}") for n in range(5)])
    delete_before(kafka, mine, 6)
    cause, detail, remedy = await stop_cause(settings)
    assert cause == "retention_gap"
    assert "3 to 5" in detail
    assert "--accept-gap" in remedy
    accept = WorkerOptions(accept=[("accept_gap", Partition(mine.requests, 0))])
    assert await called_after(settings, accept, 2) == ["later3", "later4"]
    (decision,) = decisions.read_all(settings)
    assert (decision.kind, decision.scope["from_offset"], decision.scope["to_offset"]) == ("accept_gap", 3, 6)


async def test_retention_that_overtakes_a_running_worker_stops_the_partition(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """What was read already is finished first."""
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(2)])
    provider = ScriptedProvider()
    small = settings.model_copy(update={"worker": settings.worker.model_copy(update={"max_in_flight": 1})})
    async with running(small, provider) as run:
        await until_visible(run, 2)
        position = Partition(mine.requests, 0)
        epoch = next(iter(run.worker._holdings.all)).epoch
        run.worker._intake.pause(position)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(
            produce, kafka.bootstrap_servers, mine.requests, [request(f"later{n}") for n in range(5)]
        )
        await asyncio.to_thread(delete_before, kafka, mine, 5)
        run.worker._intake.resume(position, epoch)
        await wait_until_async(lambda: run.seen.stops, 30, "the partition stops")
    ((cause, _, _),) = run.seen.stops.values()
    assert cause == "retention_gap"
    assert provider.called == ["0", "1"]


async def test_a_mirrored_offset_stops_the_partition(kafka: LocalKafka, mine: Topics, settings: Settings) -> None:
    """Mirroring translates offsets, but copies their metadata."""
    await done_once(kafka, mine, settings, 10)
    commit(kafka, settings, mine, 7, committed(kafka, settings, mine).metadata)
    cause, _, _ = await stop_cause(settings)
    assert cause == "mirrored_offset"


async def test_a_damaged_map_stops_the_partition(kafka: LocalKafka, mine: Topics, settings: Settings) -> None:
    await done_once(kafka, mine, settings, 10)
    commit(kafka, settings, mine, 10, "ls1.AAAA")
    cause, _, _ = await stop_cause(settings)
    assert cause == "damaged_map"


async def recreate(kafka: LocalKafka, topic: str) -> None:
    """Delete a topic and make it again: same name, another id."""
    client = admin(kafka)
    client.delete_topics([topic])[topic].result(10)
    await wait_until_async(lambda: topic not in client.list_topics(timeout=5).topics, 20, "it is gone")
    await asyncio.to_thread(create_topic, kafka.bootstrap_servers, topic, 1)


async def test_outcomes_of_a_deleted_topic_do_not_count_for_the_new_one(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    await done_once(kafka, mine, settings, 10)
    await recreate(kafka, mine.requests)
    produce(kafka.bootstrap_servers, mine.requests, [request("fresh")])
    assert await called_after(settings, None, 1) == ["fresh"]


async def test_a_commit_of_a_deleted_topic_stops_the_new_one(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """A tool that restores offsets brings the old topic's map back."""
    await done_once(kafka, mine, settings, 10)
    old = committed(kafka, settings, mine)
    await recreate(kafka, mine.requests)
    commit(kafka, settings, mine, old.offset, old.metadata)
    cause, _, _ = await stop_cause(settings)
    assert cause == "other_topic"


async def test_a_topic_recreated_under_a_running_worker_stops_its_partitions(
    kafka: LocalKafka, mine: Topics, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event says so: the worker compares ids now and then."""
    monkeypatch.setattr(worker, "WATCH_BROKER_S", 0.3)
    produce(kafka.bootstrap_servers, mine.requests, [request("old")])
    provider = ScriptedProvider()
    async with running(settings, provider) as run:
        await until_visible(run, 1)
        await recreate(kafka, mine.requests)
        await wait_until_async(lambda: run.seen.stops, 30, "the partition stops")
    ((cause, detail, _),) = run.seen.stops.values()
    assert cause == "topic_changed"
    assert mine.requests in detail


async def test_start_latest_is_recorded_once_for_the_whole_group(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """A worker that comes later starts where the first one said, not at the end of its own moment."""
    late = from_the_end(settings)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"old{n}") for n in range(3)])
    provider = ScriptedProvider()
    async with running(late, provider) as run:
        await wait_until_async(lambda: run.seen.starts, 30, "it starts")
    assert list(run.seen.starts.values()) == [3]
    produce(kafka.bootstrap_servers, mine.requests, [request("new")])
    assert await called_after(late, None, 1) == ["new"]
    assert [d.kind for d in decisions.read_all(late)] == ["start_latest"]


async def test_start_latest_set_on_a_group_at_work_skips_nothing(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """It is about a new group only."""
    await done_once(kafka, mine, settings, 3)
    produce(kafka.bootstrap_servers, mine.requests, [request(f"more{n}") for n in range(2)])
    assert await called_after(from_the_end(settings), None, 2) == ["more0", "more1"]
    assert decisions.read_all(settings) == []


async def test_start_latest_skips_nothing_where_outcomes_tell_that_the_groups_commits_are_lost(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    produce(kafka.bootstrap_servers, mine.requests, [request(f"{n}") for n in range(5)])
    source = {
        names.SOURCE_GROUP: settings.kafka.group_id,
        names.SOURCE_TOPIC: mine.requests,
        names.SOURCE_TOPIC_ID: topic_id(kafka, mine.requests),
        names.SOURCE_PARTITION: "0",
        names.SOURCE_OFFSET: "1",
    }
    outcome = Unsent(b"{}", b"k", tuple((name, value.encode()) for name, value in source.items()), 0)
    produce(kafka.bootstrap_servers, mine.results, [outcome])
    assert (await stop_cause(from_the_end(settings)))[0] == "earlier_outcomes"
    assert decisions.read_all(settings) == []


def from_the_end(settings: Settings) -> Settings:
    return settings.model_copy(update={"worker": settings.worker.model_copy(update={"start": "latest"})})


async def test_a_worker_that_was_told_to_accept_for_a_partition_of_another_says_so(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    settings = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"delivery": "at_least_once"})}
    )  # two that are exactly-once would share one process's lock
    await done_once(kafka, mine, settings, 3)
    commit(kafka, settings, mine, 0)
    accepting = WorkerOptions(accept=[("accept_rerun", Partition(mine.requests, 0))])
    async with running(settings, ScriptedProvider()) as one:
        await wait_until_async(lambda: one.seen.stops, 30, "the partition stops")
        async with running(settings, ScriptedProvider(), accepting) as two:
            await wait_until_async(lambda: two.seen.troubles, 30, "it says so")
            assert f"--accept-rerun {mine.requests}:0 has no effect yet" in str(two.seen.troubles[0])
        assert one.worker.figures().stopped


async def test_an_acceptance_of_one_worker_is_honoured_by_every_later_owner(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    """The decision is on the topic: the flag need not be given again."""
    await done_once(kafka, mine, settings, 4)
    commit(kafka, settings, mine, 2)
    stop = await stop_cause(settings)
    decisions.append(
        settings,
        decisions.Decision(
            time.time_ns() // 1_000_000,
            "operator@host",
            "accept_rerun",
            decisions.OffsetRange(mine.requests, topic_id(kafka, mine.requests), 0, 2, 4).as_json()
            | {"group": settings.kafka.group_id},
            stop[1],
        ),
    )
    assert await called_after(settings, None, 2) == ["2", "3"]


def topic_id(kafka: LocalKafka, topic: str) -> str:
    client = admin(kafka)
    described = client.describe_topics(TopicCollection([topic]))[topic].result(10)
    return str(described.topic_id).replace("+", "-").replace("/", "_").rstrip("=")


async def test_results_of_another_group_do_not_stop_a_new_one(
    kafka: LocalKafka, mine: Topics, settings: Settings
) -> None:
    await done_once(kafka, mine, settings, 3)
    other = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"group_id": f"{mine.requests}.other"})}
    )
    assert sorted(await called_after(other, None, 3)) == ["0", "1", "2"]
    assert len(read_all(kafka.bootstrap_servers, mine.results)) == 6
