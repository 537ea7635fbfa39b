"""Where the demo's Kafka comes from: inside this process, started from Maven's jars, or somebody's.

Each gives settings for topics of the demo's own, made and empty, and takes away afterwards whatever it made.
"""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException, Producer

from stream.core.counting import counted
from stream.core.errors import DependencyError, LlmStreamError
from stream.kafka import admin, clients, topics
from stream.kafka.local import LocalKafka
from stream.kafka.local_libs import ensure_libs
from stream.settings import Settings
from stream.settings.model import KafkaSettings, TopicSettings

GROUP = "llm-stream-demo"
LOCAL = "local"
_ANSWERS_WITHIN_S = 5.0
_PARTITIONS = 4  # the mock cluster has no choice; the others do as it does
_MAX_IN_FLIGHT = 64
_DRAIN_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """A Kafka to run on. settings: whose `[kafka]` and `[topics]` lead there. what: its name, for people."""

    settings: Settings
    what: str


@asynccontextmanager
async def ground(kafka: str, base: Settings, say: Say) -> AsyncIterator[Ground]:
    """The Kafka that `--kafka` asks for: empty: embedded; "local"; else an address.

    base: whose `[kafka]` says how to connect to an address. Raises DependencyError, ConfigError.
    """
    if not kafka:
        async with _embedded(base, say) as found:
            yield found
    elif kafka == LOCAL:
        async with _local(base, say) as found:
            yield found
    else:
        async with _somebodys(kafka, base, say) as found:
            yield found


@asynccontextmanager
async def _embedded(base: Settings, say: Say) -> AsyncIterator[Ground]:
    # Whoever holds the producer holds the cluster: it ends with it.
    mock = clients.make(Producer, {"test.mock.num.brokers": 1, "bootstrap.servers": "embedded"})
    brokers = mock.list_topics(timeout=_ANSWERS_WITHIN_S).brokers.values()
    address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    settings = _settings(base, KafkaSettings(bootstrap_servers=address, group_id=GROUP), TopicSettings())
    settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"delivery": "at_least_once"})})
    for row in topics.wanted(settings, 1):
        mock.list_topics(row.name, timeout=_ANSWERS_WITHIN_S)  # a topic appears when it is first asked for
    say(f"the embedded broker listens on {address}")
    yield Ground(settings, "the embedded broker")
    del mock


@asynccontextmanager
async def _local(base: Settings, say: Say) -> AsyncIterator[Ground]:
    libs = await asyncio.to_thread(ensure_libs, say)
    with tempfile.TemporaryDirectory(prefix="llm-stream-demo-", ignore_cleanup_errors=True) as folder:
        broker = LocalKafka(libs, Path(folder))
        say("starting Apache Kafka on this machine")
        starting = asyncio.create_task(asyncio.to_thread(broker.start))
        try:
            await asyncio.shield(starting)
            say(f"Apache Kafka listens on {broker.bootstrap_servers}")
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            settings = _fresh(_settings(base, kafka, TopicSettings()))
            await _create_topics(settings, say)
            yield Ground(settings, f"Apache Kafka on this machine ({broker.bootstrap_servers})")
        finally:
            broker.give_up()
            with suppress(LlmStreamError):
                await starting  # so that nothing is left that started after we looked
            await asyncio.to_thread(broker.kill)  # its data go with the folder: nothing is worth an orderly end


@asynccontextmanager
async def _somebodys(address: str, base: Settings, say: Say) -> AsyncIterator[Ground]:
    kafka = base.kafka.model_copy(update={"bootstrap_servers": address})
    settings = _fresh(_settings(base, kafka, TopicSettings()))
    say(f"looking for Kafka at {address}")
    await asyncio.to_thread(admin.broker_count, settings, _ANSWERS_WITHIN_S)
    try:
        await _create_topics(settings, say)
        yield Ground(settings, f"Kafka at {address}")
    finally:
        await asyncio.to_thread(_remove, settings, say)


def _settings(base: Settings, kafka: KafkaSettings, names: TopicSettings) -> Settings:
    worker = base.worker.model_copy(
        update={
            "max_in_flight": min(base.worker.max_in_flight, _MAX_IN_FLIGHT),
            "delivery": "exactly_once",
            "start": "earliest",
            "drain_timeout_s": _DRAIN_S,
        }
    )
    return base.model_copy(update={"kafka": kafka, "topics": names, "worker": worker})


def _fresh(settings: Settings) -> Settings:
    """The settings with a group and topics that nobody has used before."""
    run = f"{GROUP}-{uuid.uuid4().hex[:6]}"
    names: dict[str, object] = {
        each: f"{run}.{each}" for each in ("results", "dlq", "audit", "decisions", "control", "signals")
    }
    names |= {"requests": [f"{run}.requests"], "partitions": _PARTITIONS}
    kafka = settings.kafka.model_copy(update={"group_id": run, "transactional_id": "random"})
    return settings.model_copy(update={"kafka": kafka, "topics": settings.topics.model_copy(update=names)})


async def _create_topics(settings: Settings, say: Say) -> None:
    def create() -> int:
        brokers = admin.broker_count(settings, _ANSWERS_WITHIN_S)
        wanted = topics.wanted(settings, brokers)
        made = admin.create(settings, wanted)
        _wait_for({row.name for row in wanted}, settings)
        return len(made)

    made = await asyncio.to_thread(create)
    say(f"made {counted(made, 'topic')} {settings.kafka.group_id}.*")


def _wait_for(names: set[str], settings: Settings) -> None:
    """Until the broker asked shows what the controller has made. Raises DependencyError."""
    client = clients.admin(settings)
    give_up_s = time.monotonic() + clients.BROKER_WAIT_S
    while not names <= admin.topic_facts(client, names, _ANSWERS_WITHIN_S).keys():
        if time.monotonic() > give_up_s:
            raise DependencyError(f"Topics that were just made don't appear at {settings.kafka.bootstrap_servers}.")
        time.sleep(0.1)


def _remove(settings: Settings, say: Say) -> None:
    """Take the demo's topics and group away; say what could not be."""
    names = [row.name for row in topics.wanted(settings, 1)]
    client = clients.admin(settings)
    left = []
    try:
        there = admin.topic_facts(client, names, _ANSWERS_WITHIN_S)
        for name, future in (
            client.delete_topics(list(there), request_timeout=_ANSWERS_WITHIN_S).items() if there else ()
        ):
            with suppress(KafkaException):
                future.result()
                continue
            left.append(name)
        for future in client.delete_consumer_groups(
            [settings.kafka.group_id], request_timeout=_ANSWERS_WITHIN_S
        ).values():
            with suppress(KafkaException):  # a group that never committed isn't there
                future.result()
    except (KafkaException, LlmStreamError):
        left = names
    if left:
        say(f"these topics could not be removed, please do: {', '.join(left)}")
