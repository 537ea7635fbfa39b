"""How we configure librdkafka: one place, so that every client has the same safe settings.

Each client keeps what librdkafka says of its connections (`last_words`), so that whoever gives up can say why.
"""

import functools
import logging
import time
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from stream.core.errors import ConfigError, DependencyError
from stream.kafka.last_words import LastWords
from stream.settings import Settings

BROKER_WAIT_S = 10.0
"""How long a command waits for a broker before it gives up (exit code 3 well within 15 s)."""

LARGEST_RECORD_BYTES = 64 * 1024 * 1024
"""What a producer takes: more than most topics do, for a topic's limit may be raised while it lives. Whoever makes the
record heeds the limit."""

NOT_KNOWN_HERE = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  (librdkafka's local codes are spelt with an underscore)
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What a client says of a partition that it never heard of, though the broker may have it."""

_ASK_AGAIN_S = (0.5, 0.5, 1.0, 2.0)
"""How long the first questions for metadata wait, so that a broker which turns us away is heard soon."""

_SAID_AFTER_S = 1.9
"""When somebody who waits for a broker should be told so: as the third question ends, which a clock may call 1.99 s."""

_QUIET = logging.getLogger("llm_stream.librdkafka")
WAITING = logging.getLogger("llm_stream.waiting")
"""Told once by a `metadata` that has waited for two seconds. Only commands for people listen (`cli.waiting`)."""
for _logger in (_QUIET, WAITING):
    _logger.addHandler(logging.NullHandler())
    _logger.propagate = False
WAITING.setLevel(logging.INFO)


def connection(settings: Settings, **tunable: Any) -> dict[str, Any]:
    """What every client needs: where the brokers are, and what `[kafka.properties]` adds.

    tunable: our defaults that `[kafka.properties]` may change. What delivery rests on is set by the callers, on top.
    """
    properties = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.kafka.properties.items()
    }
    return {
        "client.id": "llm-stream",
        "log_level": 0,  # nobody reads its log: lines would pile up in clients that are not polled
        **tunable,
        **properties,
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "reconnect.backoff.max.ms": 2_000,
        "retry.backoff.ms": 10,
        "allow.auto.create.topics": False,
    }


def reader_config(settings: Settings, **more: Any) -> dict[str, Any]:
    """A consumer that reads topics to their end, joins no group and commits nothing. Only committed records."""
    tunable = {"queued.max.messages.kbytes": 32_768, "fetch.queue.backoff.ms": 10}
    return connection(settings, **tunable) | {
        "group.id": f"{settings.kafka.group_id}.reader",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        **more,
    }


def producer_config(settings: Settings, **more: Any) -> dict[str, Any]:
    """A producer that loses and doubles nothing: idempotent, acknowledged by all in-sync replicas.

    The partitioner is Java's (murmur2), so that a key lands where other clients would put it.
    """
    # A topic that is gone must be known before a transaction times out.
    tunable = {"compression.type": "zstd", "linger.ms": 5, "topic.metadata.propagation.max.ms": 3_000}
    return connection(settings, **tunable) | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": LARGEST_RECORD_BYTES,
        **more,
    }


def member_config(settings: Settings) -> dict[str, Any]:
    """The worker's consumer: reads only committed records, commits nothing by itself, never skips."""
    tunable = {
        "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
        "topic.metadata.refresh.interval.ms": 30_000,  # how soon added partitions are noticed
        "fetch.message.max.bytes": 262_144,  # compressed: what it becomes in memory may be many times as much
    }
    config = connection(settings, **tunable) | {
        "group.id": settings.kafka.group_id,
        "group.protocol": settings.kafka.group_protocol,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
    }
    if settings.kafka.group_protocol == "classic":
        config["partition.assignment.strategy"] = "cooperative-sticky"
    return config


def learn(consumer: Consumer, topic: str) -> None:
    """Have a client look at a topic again: partitions that were added are unknown to one that reads none of its topics
    for up to 15 minutes (`metadata.max.age.ms`). Raises KafkaException."""
    consumer.list_topics(topic, timeout=BROKER_WAIT_S)


def bystander_config(settings: Settings) -> dict[str, Any]:
    """A consumer that asks what the worker's group has committed, and never joins it."""
    return connection(settings) | {
        "group.id": settings.kafka.group_id,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
    }


def make(client: type[Any], config: dict[str, Any], *, polled: bool = True) -> Any:
    """A client object with `last_words`, or a ConfigError that names the property librdkafka refuses.

    An `error_cb` in the configuration is told everything too. polled: whether somebody polls the client again and
    again: while no broker answers, one that isn't polled would gather some 17 events a second; it hears none instead.
    """
    words, told = LastWords(config), config.get("error_cb")

    def heard(error: KafkaError) -> None:
        words.note(error)
        if told is not None:
            told(words.without_secrets(error))

    try:
        kind = _with_attributes(client)  # type: ignore[arg-type]  # a class is hashable
        made = kind(config | {"error_cb": heard}, logger=_QUIET) if polled else kind(config)
    except KafkaException as error:
        raise _misconfigured(words.scrubbed(error.args[0].str())) from error
    made.last_words = words
    return made


def _misconfigured(reason: str) -> ConfigError:
    remedy = "Correct or remove that property."
    if "mechanism GSSAPI" in reason:  # librdkafka's default, which no one chose
        reason, remedy = 'a login needs "sasl.mechanism"', "Set it, to SCRAM-SHA-512 or PLAIN for example."
    return ConfigError(f"[kafka.properties] librdkafka refuses the configuration: {reason}. {remedy}")


@functools.cache
def _with_attributes(client: type[Any]) -> type[Any]:
    """confluent-kafka's own classes take none."""
    return type(client.__name__, (client,), {})


def admin(settings: Settings) -> AdminClient:
    """An admin client. Raises ConfigError."""
    client: AdminClient = make(AdminClient, connection(settings))
    return client


def reader(settings: Settings, **more: Any) -> Consumer:
    """A consumer as `reader_config` says. Raises ConfigError."""
    client: Consumer = make(Consumer, reader_config(settings, **more))
    return client


def producer(settings: Settings, **more: Any) -> Producer:
    """A producer as `producer_config` says. Raises ConfigError."""
    client: Producer = make(Producer, producer_config(settings, **more))
    return client


def metadata(client: Any, timeout_s: float = BROKER_WAIT_S, topic: str | None = None) -> Any:
    """The cluster's metadata (librdkafka's ClusterMetadata). Raises DependencyError: after `timeout_s`, or as soon as a
    broker has turned us away.

    client: as made here. topic: None for all topics.
    """
    asked = {} if topic is None else {"topic": topic}
    begun_s = time.monotonic()
    give_up_s, said = begun_s + timeout_s, False
    # Events are heard in `poll`, which of a consumer that reads something would take a record away.
    reads = isinstance(client, Consumer) and bool(client.assignment())
    for wait_s in (timeout_s,) if reads else (*_ASK_AGAIN_S, timeout_s):
        left_s = give_up_s - time.monotonic()
        this_s = min(wait_s, left_s)
        started_s = time.monotonic()
        try:
            found = client.list_topics(**asked, timeout=max(this_s, 0.001))
        except KafkaException as error:
            gave_up_early = time.monotonic() - started_s < this_s * 0.9
            if this_s >= left_s or gave_up_early or _heard(client).answered:
                raise no_answer(client, error) from error
            if not said and time.monotonic() - begun_s > _SAID_AFTER_S:
                WAITING.info("waiting for Kafka at %s", client.last_words.servers)
                said = True
        else:
            (client.last_words if reads else _heard(client)).forget()
            return found
    raise AssertionError("the last question waits for all the time that is left")


def no_answer(client: Any, error: BaseException) -> DependencyError:
    """The error a command ends with when this client's call failed for want of a broker: what was wrong, what to do.

    To be called when nothing more is read with that client: it may swallow a record.
    """
    return DependencyError(_heard(client).no_answer(error))


def _heard(client: Any) -> LastWords:
    with suppress(KafkaException, RuntimeError):  # fatal errors and closed clients have nothing more to tell
        client.poll(0)
    words: LastWords = client.last_words
    return words
