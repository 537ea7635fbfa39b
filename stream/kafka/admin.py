"""What Kafka says about topics and brokers, and making topics what the settings want.

Every function has a time-out and raises DependencyError when no broker answers in it. What is wanted, and how it
compares with what is there, is decided in `stream.kafka.topics`, without I/O.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its own stubs forget to export them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from stream.core.errors import ConfigError, DependencyError
from stream.kafka import clients
from stream.kafka.topics import UNKNOWN_MAX_MESSAGE_BYTES, Alteration, TopicFacts, Topology, WantedTopic
from stream.settings import Settings

_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.TOPIC_EXCEPTION,
}
_UNTOLD = {
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001  (how the library spells its own codes)
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


def topic_facts(admin_client: AdminClient, topics: Iterable[str], timeout_s: float) -> dict[str, TopicFacts]:
    """What is there, by name; a topic that is not there is not in the result.

    A broker that can't describe (librdkafka's mock cluster) gives `topic_id=None` and no configuration.
    admin_client: as `clients.admin` makes it. timeout_s: for each of up to three requests. Raises DependencyError;
    ConfigError where the broker's ACLs refuse.
    """
    metadata = clients.metadata(admin_client, timeout_s)
    there = [name for name in dict.fromkeys(topics) if name in metadata.topics and metadata.topics[name].error is None]
    if there and _can_describe(admin_client, metadata, timeout_s):
        configs = _topic_configs(admin_client, there, timeout_s)
        ids = _topic_ids(admin_client, there, timeout_s)
    else:
        configs, ids = {}, {}
    return {name: _facts(metadata.topics[name].partitions, ids.get(name), configs.get(name)) for name in there}


def describe(settings: Settings, names: Iterable[str], timeout_s: float = clients.BROKER_WAIT_S) -> Topology:
    """The topics of these names, and every broker's configuration. Raises DependencyError, ConfigError."""
    client = clients.admin(settings)
    metadata = clients.metadata(client, timeout_s)
    topics = topic_facts(client, names, timeout_s)
    return Topology(topics, {number: _broker_config(client, number, timeout_s) for number in sorted(metadata.brokers)})


def broker_count(settings: Settings, timeout_s: float = clients.BROKER_WAIT_S) -> int:
    """How many brokers the cluster has. Raises DependencyError."""
    return len(clients.metadata(clients.admin(settings), timeout_s).brokers)


def create(settings: Settings, wanted: Sequence[WantedTopic], timeout_s: float = clients.BROKER_WAIT_S) -> list[str]:
    """Make these topics; the names of those made. One that somebody else just made is left as it is.

    Raises ConfigError where the broker refuses one, naming it and why.
    """
    if not wanted:
        return []
    new = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication_factor,
            config=dict(topic.config),
        )
        for topic in wanted
    ]
    client = clients.admin(settings)  # in a variable: it must outlive its futures
    futures = client.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s + 5)
    return [name for name, future in futures.items() if _made(client, name, future)]


def apply(settings: Settings, alterations: Sequence[Alteration], timeout_s: float = clients.BROKER_WAIT_S) -> None:
    """Change existing topics. Raises ConfigError where the broker refuses, naming the topic and why."""
    client = clients.admin(settings)
    for alteration in alterations:
        if alteration.config:
            _alter_config(client, alteration, timeout_s)
        if alteration.partitions is not None:
            wanted = [NewPartitions(alteration.topic, alteration.partitions)]
            futures = client.create_partitions(wanted, request_timeout=timeout_s)
            _result(client, futures[alteration.topic], f"more partitions for {alteration.topic}")


def url_safe(topic_id: str) -> str | None:
    """A topic id as Kafka's tools print it (URL-safe base64, no padding); None for the zero id of old brokers."""
    text = topic_id.replace("+", "-").replace("/", "_").rstrip("=")
    return None if not text.strip("A") else text


def _facts(partitions: Mapping[int, Any], topic_id: str | None, config: Mapping[str, str] | None) -> TopicFacts:
    """`partitions` are librdkafka's PartitionMetadata, by number; `config` is None where the broker can't say."""
    known = config or {}
    return TopicFacts(
        partitions=len(partitions),
        topic_id=topic_id,
        max_message_bytes=int(known.get("max.message.bytes", UNKNOWN_MAX_MESSAGE_BYTES)),
        cleanup_policy=known.get("cleanup.policy", "delete"),
        replication_factor=min((len(each.replicas) for each in partitions.values()), default=0),
        config=known,
    )


def _can_describe(client: AdminClient, metadata: Any, timeout_s: float) -> bool:
    """Whether the broker answers questions about topics; the mock cluster, which has no controller, never does.

    It would let them wait for a controller until the time-out, but refuses at once what is asked of a broker.
    """
    if metadata.controller_id in metadata.brokers or not metadata.brokers:
        return True
    resource = ConfigResource(ResourceType.BROKER, str(min(metadata.brokers)))
    futures = client.describe_configs([resource], request_timeout=timeout_s)
    return _described(client, futures[resource], "its configuration") is not None


def _topic_configs(client: AdminClient, names: Sequence[str], timeout_s: float) -> dict[str, dict[str, str]]:
    """Each topic's effective configuration, by the topic's name."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = client.describe_configs(resources, request_timeout=timeout_s)
    found: dict[str, dict[str, str]] = {}
    for resource, future in futures.items():
        entries = _described(client, future, f"the configuration of topic {resource.name}")
        if entries is not None:
            found[resource.name] = _values(entries)
    return found


def _topic_ids(client: AdminClient, names: Sequence[str], timeout_s: float) -> dict[str, str | None]:
    futures = client.describe_topics(TopicCollection(list(names)), request_timeout=timeout_s)
    described = {name: _described(client, future, f"topic {name}") for name, future in futures.items()}
    return {name: url_safe(str(facts.topic_id)) for name, facts in described.items() if facts is not None}


def _broker_config(client: AdminClient, broker: int, timeout_s: float) -> dict[str, str]:
    resources = [ConfigResource(ResourceType.BROKER, str(broker))]
    futures = client.describe_configs(resources, request_timeout=timeout_s)
    return _values(_described(client, next(iter(futures.values())), f"the configuration of broker {broker}") or {})


def _values(entries: Mapping[str, ConfigEntry]) -> dict[str, str]:
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def _described(client: AdminClient, future: Future[Any], what: str) -> Any:
    """What was asked for; None where the broker doesn't know the request, won't tell us, or the thing is gone."""
    try:
        return future.result()
    except KafkaException as error:
        if error.args[0].code() in _UNTOLD:
            return None
        raise _translated(client, error, what) from error


def _made(client: AdminClient, name: str, future: Future[Any]) -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise _translated(client, error, f"the new topic {name}") from error
    return True


def _alter_config(client: AdminClient, alteration: Alteration, timeout_s: float) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in alteration.config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, alteration.topic, incremental_configs=entries)
    futures = client.incremental_alter_configs([resource], request_timeout=timeout_s)
    _result(client, futures[resource], f"other settings for {alteration.topic}")


def _result(client: AdminClient, future: Future[Any], what: str) -> None:
    try:
        future.result()
    except KafkaException as error:
        raise _translated(client, error, what) from error


def _translated(client: AdminClient, error: KafkaException, what: str) -> ConfigError | DependencyError:
    """A refusal is the operator's to settle (exit code 2); anything else is Kafka not answering (3)."""
    if error.args[0].code() in _REFUSED:
        return ConfigError(
            f"Kafka refuses {what}: {error.args[0].str()}. Check the ACLs and quotas of the principal you connect as."
        )
    return DependencyError(f"Kafka did not give {what}. {clients.no_answer(client, error)}")
