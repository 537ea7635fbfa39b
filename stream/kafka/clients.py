"""How we configure librdkafka: one place, so that every client has the same safe settings."""

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from stream.core.errors import ConfigError, DependencyError
from stream.settings import Settings

BROKER_WAIT_S = 10.0
"""How long a command waits for a broker before it gives up (exit code 3 well within 15 s)."""

_QUIET = logging.getLogger("llm_stream.librdkafka")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


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
    tunable = {"compression.type": "zstd", "linger.ms": 5}
    return connection(settings, **tunable) | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": 64 * 1024 * 1024,
        **more,
    }


def member_config(settings: Settings) -> dict[str, Any]:
    """The worker's consumer: reads only committed records, commits nothing by itself, never skips."""
    tunable = {
        "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
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


def bystander_config(settings: Settings) -> dict[str, Any]:
    """A consumer that asks what the worker's group has committed, and never joins it."""
    return connection(settings) | {
        "group.id": settings.kafka.group_id,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
    }


def make(client: type[Any], config: dict[str, Any]) -> Any:
    """A client object, or a ConfigError that names the property librdkafka refuses."""
    try:
        return client(config, logger=_QUIET)
    except KafkaException as error:
        raise ConfigError(
            f"[kafka.properties] librdkafka refuses the configuration: {error.args[0].str()}. "
            "Correct or remove that property."
        ) from error


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


def unreachable(settings: Settings, error: BaseException) -> DependencyError:
    """The error a command ends with when no broker answers."""
    reason = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else str(error)
    return DependencyError(
        f"No Kafka broker answered at {settings.kafka.bootstrap_servers} ({reason}). "
        "Is Kafka running there, and is [kafka] bootstrap_servers (or LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS) right?"
    )
