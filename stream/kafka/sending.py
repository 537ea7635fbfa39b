"""Records handed to Kafka by a command: acknowledged by every in-sync replica, or said not to be.

`lines_of` understands the lines of `llm-stream send`; `deliver` publishes records one by one; `deliver_together`
publishes a few in one transaction, all visible or none.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.codecs.requests import encode_request
from stream.codecs.strict_json import StrictJsonError, parse
from stream.core.errors import ConfigError, DependencyError, LlmStreamError
from stream.core.records import Outgoing
from stream.kafka import clients
from stream.settings import Settings

SOURCE = "/llm-stream/send"
"""The `ce_source` of requests sent from the command line."""

ACKNOWLEDGED_WITHIN_S = clients.BROKER_WAIT_S
_BUFFER_KB = 65_536
_LONG_FORM = frozenset({"id", "key", "input"})
_UNKNOWN_TOPIC = {
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  (how the library spells its own codes)
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request as a line asks for it. id: None where the line gives none. key: None for unordered."""

    line: int
    id: str | None
    key: str | None
    input: Any


class LineError(LlmStreamError):
    """A line that is no request. The message is a sentence without any of the line's content."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}")
        self.line = line
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where a record was written. index: which of the records handed over, from 0."""

    index: int
    topic: str
    partition: int
    offset: int


def request_from(line: int, text: bytes) -> NewRequest | None:
    """What a line asks for; None for an empty one. Raises LineError.

    The line is the task's Input; or the long form, where its keys are within {id, key, input} and include input.
    """
    if not text.strip():
        return None
    try:
        value = parse(text.rstrip())
    except StrictJsonError as error:
        raise LineError(line, str(error).replace("at line 1, column", "at column")) from error
    if not isinstance(value, dict):
        raise LineError(line, 'must be a JSON object: the task\'s Input, or {"id", "key", "input"}')
    if "input" not in value or not value.keys() <= _LONG_FORM:
        return NewRequest(line, None, None, value)
    return NewRequest(line, _optional_text(value, "id", line), _optional_text(value, "key", line), value["input"])


def _optional_text(value: dict[str, Any], name: str, line: int) -> str | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or (name == "id" and not found.strip()):
        raise LineError(line, f"its {name} must be text that isn't empty, or left out")
    return found


def record_for(request: NewRequest, task: str, topic: str, *, at_ms: int, max_bytes: int | None = None) -> Outgoing:
    """The request event: a CloudEvent in binary mode, with a fresh UUID where the line gave no id.

    max_bytes: what the topic takes; None where unknown. Raises LineError for a request larger than that.
    """
    request_id = request.id or str(uuid.uuid4())
    headers, value = encode_request(task, request_id, request.input, source=SOURCE, at_ms=at_ms)
    key = None if request.key is None else request.key.encode()
    record = Outgoing(topic, key, value, headers)
    if max_bytes is not None and record.size_bytes > max_bytes:
        raise LineError(
            request.line, f"makes a record of {record.size_bytes:,} bytes; topic {topic} takes {max_bytes:,}"
        )
    return record


def deliver(settings: Settings, records: Iterable[Outgoing], delivered: Callable[[Delivered], None]) -> int:
    """Publish records in their order, calling `delivered` for each that is acknowledged; how many were.

    Raises ConfigError where the topic is missing or forbidden, DependencyError where Kafka doesn't acknowledge within
    `ACKNOWLEDGED_WITHIN_S`; both say how many were acknowledged before.
    """
    timeout_ms = int(ACKNOWLEDGED_WITHIN_S * 1000)
    bounds = {"delivery.timeout.ms": timeout_ms, "queue.buffering.max.kbytes": _BUFFER_KB}
    producer = clients.producer(settings, **bounds)
    answers = _Answers(producer, delivered)
    there = _topics_there(producer)
    for index, record in enumerate(records):
        _make_sure_of(record.topic, there, settings)
        _produce(producer, record, answers.callback(index))
        producer.poll(0)
        if answers.failed:
            break
    producer.flush(ACKNOWLEDGED_WITHIN_S + 1)
    return answers.count_or_raise(len(producer))


def deliver_together(settings: Settings, records: Sequence[Outgoing]) -> list[Delivered]:
    """Publish records in one transaction: when this returns all are visible; when it raises none is.

    (One exception to "none": if the answer to the commit is lost, the error says that the outcome is unknown.)
    Raises ConfigError, DependencyError.
    """
    transactional_id = f"{settings.kafka.group_id}.operator.{uuid.uuid4()}"
    producer = clients.producer(settings, **{"transactional.id": transactional_id, "transaction.timeout.ms": 15_000})
    found: list[Delivered] = []
    answers = _Answers(producer, found.append)
    there = _topics_there(producer)
    for record in records:
        _make_sure_of(record.topic, there, settings)
    try:
        producer.init_transactions(clients.BROKER_WAIT_S)
        producer.begin_transaction()
        for index, record in enumerate(records):
            _produce(producer, record, answers.callback(index))
        producer.flush(clients.BROKER_WAIT_S)
        answers.count_or_raise(len(producer))
    except KafkaException as error:
        _abort(producer)
        raise _refused(producer, error.args[0], "nothing was written") from error
    except LlmStreamError:
        _abort(producer)
        raise
    _commit(producer)
    return sorted(found, key=lambda each: each.index)


def _topics_there(producer: Producer) -> frozenset[str]:
    """Asked beforehand, because librdkafka looks for a missing topic until the delivery time-out."""
    topics = clients.metadata(producer).topics
    return frozenset(name for name, each in topics.items() if each.error is None)


def _make_sure_of(topic: str, there: frozenset[str], settings: Settings) -> None:
    if topic not in there:
        raise ConfigError(
            f"There is no topic {topic} at {settings.kafka.bootstrap_servers}: llm-stream topics create makes it."
        )


def _commit(producer: Producer) -> None:
    for last in (False, True):  # a time-out can be resumed by asking again
        try:
            producer.commit_transaction(clients.BROKER_WAIT_S / 2)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                _abort(producer)
                raise _refused(producer, error.args[0], "nothing was written") from error
            if last or not error.args[0].retriable():
                raise DependencyError(
                    f"Kafka did not answer to the commit ({error.args[0].str()}): whether it was written is unknown. "
                    "Look with llm-stream tail decisions before you try again."
                ) from error
        else:
            return


def _abort(producer: Producer) -> None:
    try:
        producer.abort_transaction(clients.BROKER_WAIT_S / 2)
    except KafkaException:
        return  # the broker aborts it by itself after the transaction time-out; what we report is the first error


def _produce(producer: Producer, record: Outgoing, callback: Callable[[KafkaError | None, Message], None]) -> None:
    """Hand one record over, waiting while the producer's buffer is full (its delivery time-out ends the wait)."""
    while True:
        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                partition=-1 if record.partition is None else record.partition,
                timestamp=record.timestamp_ms or 0,
                on_delivery=callback,
            )
        except BufferError:
            producer.poll(0.1)
        else:
            return


class _Answers:
    """What became of the records handed over."""

    def __init__(self, producer: Producer, delivered: Callable[[Delivered], None]) -> None:
        self._producer, self._delivered = producer, delivered
        self._count = 0
        self._error: KafkaError | None = None

    @property
    def failed(self) -> bool:
        return self._error is not None

    def callback(self, index: int) -> Callable[[KafkaError | None, Message], None]:
        def answered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._error = self._error or error
                return
            self._count += 1
            partition, offset = message.partition(), message.offset()
            self._delivered(
                Delivered(
                    index,
                    message.topic() or "",
                    -1 if partition is None else partition,
                    -1 if offset is None else offset,
                )
            )

        return answered

    def count_or_raise(self, unanswered: int) -> int:
        if unanswered and self._error is None:
            self._error = KafkaError(KafkaError.REQUEST_TIMED_OUT)
        if self._error is not None:
            raise _refused(self._producer, self._error, f"{self._count} records were acknowledged before")
        return self._count


def _refused(producer: Producer, error: KafkaError, state: str) -> LlmStreamError:
    if error.code() in _UNKNOWN_TOPIC:
        return ConfigError(f"The topic is gone ({error.str()}; {state}): llm-stream topics create makes it.")
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return ConfigError(f"Kafka does not let you write there ({state}): the principal needs the ACL WRITE.")
    if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD):
        return ConfigError(f"Kafka refuses a record ({error.str()}; {state}).")
    return DependencyError(f"{clients.no_answer(producer, KafkaException(error))} ({state})")


def lines_of(lines: Iterable[bytes], refused: Callable[[LineError], None]) -> Iterator[NewRequest]:
    """The requests of these lines; each line that is none is handed to `refused`, and the next one is read."""
    for number, text in enumerate(lines, start=1):
        try:
            request = request_from(number, text)
        except LineError as error:
            refused(error)
        else:
            if request is not None:
                yield request
