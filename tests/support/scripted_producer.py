"""A confluent_kafka.Producer that does what it is told, call by call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError

REFUSED = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


class ScriptedProducer:
    """Does what it is told: `script` has what each call of a method raises, in turn; None: it goes well. `refuses`:
    topics whose records come back refused. fails: how the records of others come back. silent: topics of whose records
    nothing is ever heard."""

    def __init__(
        self,
        script: dict[str, list[Exception | None]],
        refuses: Sequence[str] = (),
        fails: Mapping[str, KafkaError] | None = None,
        silent: Sequence[str] = (),
    ) -> None:
        self._script = script
        self._errors = {**dict.fromkeys(refuses, REFUSED), **(fails or {})}
        self._silent = silent
        self._reports: list[tuple[str, Callable[[Any, Any], None]]] = []
        self.calls: list[str] = []
        self.produced: list[str] = []
        self.offsets: list[tuple[str, int, int, str]] = []
        self.metadata = b""
        self.undelivered = 0

    def _step(self, name: str) -> None:
        self.calls.append(name)
        planned = self._script.get(name, [])
        if planned and (error := planned.pop(0)) is not None:
            raise error

    def init_transactions(self, timeout_s: float) -> None:
        self._step("init")

    def begin_transaction(self) -> None:
        self._step("begin")

    def produce(self, topic: str, value: Any, key: Any, *, headers: Any, on_delivery: Any, partition: int = -1) -> None:
        self._step("produce")
        self.produced.append(topic)
        self._reports.append((topic, on_delivery))

    def poll(self, timeout_s: float) -> int:
        self._step("poll")
        return 0

    def flush(self, timeout_s: float) -> int:
        self._step("flush")
        self._deliver()
        return self.undelivered + len(self._reports)

    def send_offsets_to_transaction(self, offsets: Any, metadata: bytes, timeout_s: float) -> None:
        self.metadata = metadata
        self._step("offsets")
        self.offsets = [(o.topic, o.partition, o.offset, o.metadata) for o in offsets]

    def commit_transaction(self, timeout_s: float) -> None:
        self._deliver()
        self._step("commit")

    def abort_transaction(self, timeout_s: float) -> None:
        self._step("abort")

    def _deliver(self) -> None:
        for topic, report in self._reports:
            if topic not in self._silent:
                report(self._errors.get(topic), None)
        self._reports = [(topic, report) for topic, report in self._reports if topic in self._silent]
