"""What may stand in `[kafka.properties]`: which librdkafka properties would break delivery, and which are secrets.

Meanings: librdkafka's CONFIGURATION.md. A property that isn't named here is passed on; librdkafka refuses names it
doesn't know when the first client is made, or when `config check` asks it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_OFFSETS = "offsets are committed with the outcomes in one transaction, and only when both are there"
_OURS = "it is set by its own key: "
_IDEMPOTENCE = "without it an outcome could be published twice, lost, or out of order"
_CALLBACK = "it can only be set by a program"
_MEMBER = "a worker must leave the group when it stops, so that its partitions go on elsewhere at once"
_UNREAD = "llm-stream decides where reading starts; a default would skip or repeat requests silently"
_TIMEOUT = "it must fit the transaction time-out, which decides how soon a crashed worker's transaction ends"
_REPORTS = "delivery is known from the reports of every record"

REFUSED: Mapping[str, str] = {
    "bootstrap.servers": _OURS + "kafka.bootstrap_servers",
    "metadata.broker.list": _OURS + "kafka.bootstrap_servers",
    "group.id": _OURS + "kafka.group_id",
    "group.protocol": _OURS + "kafka.group_protocol",
    "transactional.id": _OURS + "kafka.transactional_id",
    "group.protocol.type": _MEMBER,
    "group.instance.id": f"a static member doesn't leave: {_MEMBER}",
    "partition.assignment.strategy": "the cooperative-sticky strategy is what draining and the done-map rely on",
    "group.remote.assignor": "assignment is the broker's, and revoking partition by partition is relied on",
    "max.poll.interval.ms": "a drain happens between two polls: partitions would be lost in it",
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "offset.store.method": _OFFSETS,
    "offset.store.path": _OFFSETS,
    "offset.store.sync.interval.ms": _OFFSETS,
    "auto.offset.reset": _UNREAD,
    "isolation.level": "requests of aborted transactions would be processed and paid",
    "enable.partition.eof": "ends of partitions would be taken for errors",
    "topic.blacklist": "requests of topics hidden so would be left lying silently",
    "allow.auto.create.topics": "a mistyped topic would be made instead of reported",
    "enable.idempotence": _IDEMPOTENCE,
    "acks": _IDEMPOTENCE,
    "request.required.acks": _IDEMPOTENCE,
    "max.in.flight": _IDEMPOTENCE,
    "max.in.flight.requests.per.connection": _IDEMPOTENCE,
    "retries": _IDEMPOTENCE,
    "message.send.max.retries": _IDEMPOTENCE,
    "queuing.strategy": _IDEMPOTENCE,
    "enable.gapless.guarantee": "it stops the producer for good where a transaction would be retried",
    "transaction.timeout.ms": _TIMEOUT,
    "message.timeout.ms": _TIMEOUT,
    "delivery.timeout.ms": _TIMEOUT,
    "retry.backoff.ms": "transactions that follow each other wait for it: at 100 ms each costs 110 ms",
    "reconnect.backoff.max.ms": "it bounds how long a worker stays away after the brokers are back",
    "message.max.bytes": "the producer's limit follows the topics': outcomes that they take must not be refused",
    "partitioner": "requests of one key must land where other clients put them",
    "delivery.report.only.error": _REPORTS,
    "produce.offset.report": _REPORTS,
    "test.mock.num.brokers": "records would go to a toy cluster inside the process",
    "test.mock.broker.rtt": "it belongs to the toy cluster inside the process",
    "internal.termination.signal": "signals end the worker in order",
    "enabled_events": _CALLBACK,
    "log.queue": "log messages would pile up unread",
    "opaque": _CALLBACK,
    "interceptors": _CALLBACK,
    "default_topic_conf": _CALLBACK,
    "default.topic.config": "its keys belong into [kafka.properties] themselves",
    "msg_order_cmp": _CALLBACK,
    "ssl_key": _CALLBACK,
    "ssl_certificate": _CALLBACK,
    "ssl_ca": _CALLBACK,
    "ssl_engine_callback_data": _CALLBACK,
    "consume.callback.max.messages": _CALLBACK,
}
"""Property: why it is refused."""

WELL_KNOWN = (
    "broker.address.family",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "linger.ms",
    "log_level",
    "max.partition.fetch.bytes",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "statistics.interval.ms",
)
"""Properties that people set, to suggest where a name is mistyped."""

FILE_SUFFIX = "_file"
_SECRET = re.compile(r"(^|\.)(password|passphrase|secret|token|(private\.)?key\.pem)$|^sasl\.oauthbearer\.config$")
_CALLBACK_NAME = re.compile(r"(^|[._])(cb|on_commit|on_delivery)$|_cb$")


def is_secret(name: str) -> bool:
    """Whether the property's value must not be shown, nor stand in the file."""
    return _SECRET.search(name) is not None


def why_refused(name: str) -> str | None:
    """Why the property may not be set; None if it may."""
    return REFUSED.get(name) or (_CALLBACK if _CALLBACK_NAME.search(name) else None)


def flattened(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The properties by their dotted names: `sasl.mechanism = ...` without quotes is a nested table in TOML."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{above}{name}.")
        else:
            yield above + name, value


def from_variable(name: str) -> str:
    """The property that an environment variable's last part names: SASL_PASSWORD → sasl.password."""
    dotted = name.lower().replace("_", ".")
    base = dotted.removesuffix(".file")
    return base + FILE_SUFFIX if base != dotted and is_secret(base) else dotted
