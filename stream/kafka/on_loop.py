"""The intake's reports, carried over from its thread to the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from stream.core.records import Record
from stream.kafka.assignment import TopicPartition
from stream.kafka.intake import Owner


class OnLoop:
    """An `Owner` that passes reports on to the worker on its loop. One that fails by a defect ends the worker."""

    def __init__(self, worker: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop

    def received(self, batch: list[Record], taken: Callable[[], None]) -> None:
        self._report(self._worker.received, batch, taken)

    def assigned(self, partitions: list[tuple[TopicPartition, int]]) -> None:
        self._report(self._worker.assigned, partitions)

    def revoked(self, partitions: list[TopicPartition], lost: bool, released: threading.Event) -> None:
        self._report(self._worker.revoked, partitions, lost, released)

    def reached_end(self, partition: TopicPartition, offset: int) -> None:
        self._report(self._worker.reached_end, partition, offset)

    def out_of_range(self, partition: TopicPartition, detail: str) -> None:
        self._report(self._worker.out_of_range, partition, detail)

    def trouble(self, error: KafkaError) -> None:
        self._report(self._worker.trouble, error)

    def failed(self, error: BaseException) -> None:
        self._report(self._worker.failed, error)

    def _report(self, what: Callable[..., None], *about: Any) -> None:
        self._loop.call_soon_threadsafe(self._guarded, what, about)

    def _guarded(self, what: Callable[..., None], about: tuple[Any, ...]) -> None:
        try:
            what(*about)
        except Exception as error:  # noqa: BLE001  (whatever it is, records are in limbo: the worker must end)
            self._worker.failed(error)
