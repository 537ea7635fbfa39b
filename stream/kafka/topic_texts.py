"""The wanted topics as others would make them: `kafka-topics.sh` commands, and Strimzi's KafkaTopic. No I/O."""

import json
import re
import shlex
from collections.abc import Iterable

from stream.kafka.topics import WantedTopic


def kafka_topics_commands(rows: Iterable[WantedTopic], bootstrap_servers: str) -> str:
    """A shell script that makes the topics and leaves those that are there as they are."""
    lines = ["# Kafka's own tool:"]
    for row in rows:
        words = [
            *("kafka-topics.sh", "--bootstrap-server", bootstrap_servers, "--create", "--if-not-exists"),
            *("--topic", row.name, "--partitions", str(row.partitions)),
            *("--replication-factor", str(row.replication_factor)),
            *(word for name, value in row.config.items() for word in ("--config", f"{name}={value}")),
        ]
        lines.append(shlex.join(words))
    return "\n".join(lines) + "\n"


def strimzi_yaml(rows: Iterable[WantedTopic]) -> str:
    """One KafkaTopic resource (`kafka.strimzi.io/v1beta2`) a topic. Replace the label by your cluster's name."""
    return "# Strimzi (strimzi.io/cluster: your cluster's name):\n" + "".join(_resource(row) for row in rows)


def _resource(row: WantedTopic) -> str:
    config = "".join(f"    {name}: {_scalar(value)}\n" for name, value in row.config.items())
    return (
        "---\n"
        "apiVersion: kafka.strimzi.io/v1beta2\n"
        "kind: KafkaTopic\n"
        "metadata:\n"
        f"  name: {_resource_name(row.name)}\n"
        "  labels:\n"
        "    strimzi.io/cluster: kafka\n"
        "spec:\n"
        f"  topicName: {json.dumps(row.name)}\n"
        f"  partitions: {row.partitions}\n"
        f"  replicas: {row.replication_factor}\n"
        "  config:\n"
        f"{config}"
    )


def _scalar(value: str) -> str:
    return value if re.fullmatch(r"-?\d+", value) else json.dumps(value)


def _resource_name(topic: str) -> str:
    """A name that Kubernetes takes (RFC 1123 subdomain): lower case, digits, `-` and `.`, ends included."""
    return re.sub(r"[^a-z0-9.-]", "-", topic.lower()).strip("-.")[:253] or "topic"
