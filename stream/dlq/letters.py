"""Dead letters read from their topic: one by its id, or the newest that match."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from stream.core.counting import counted
from stream.core.errors import LlmStreamError
from stream.dlq.envelope import DeadLetter, coordinates, dead_letter_from
from stream.kafka import reading
from stream.kafka.reading import EARLIEST, Span, Start
from stream.settings import Settings


class NoSuchDeadLetterError(LlmStreamError):
    """There is no dead letter with this id. The message says how to see those there are."""

    def __init__(self, dead_letter_id: str, topic: str, reason: str = "") -> None:
        super().__init__(
            f"There is no dead letter at {dead_letter_id} of {topic}{reason}. `llm-stream dlq list` shows the ids "
            "there are."
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are wanted; None: any. code: `code` or `stage/code`."""

    task: str | None = None
    stage: str | None = None
    code: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a dead letter matches every part that is set."""
        return (
            self.task in (None, letter.task)
            and self.stage in (None, letter.stage)
            and self.code in (None, letter.code, letter.reason)
        )


def every(settings: Settings, start: Start = EARLIEST) -> Iterator[DeadLetter]:
    """All dead letters there are now, from `start` on, in no order. Raises ConfigError, DependencyError."""
    for record in reading.read_all(settings, [settings.topics.dlq], start):
        yield dead_letter_from(record)


def newest(settings: Settings, wanted: Filter, limit: int, start: Start = EARLIEST) -> list[DeadLetter]:
    """The newest that match, newest first; never more than `limit` are held in memory. Raises as `every` does."""
    matching = (letter for letter in every(settings, start) if wanted.takes(letter))
    return heapq.nlargest(limit, matching, key=lambda letter: (letter.at_ms, letter.record.offset))


def by_id(settings: Settings, dead_letter_id: str) -> DeadLetter:
    """The dead letter at `PARTITION:OFFSET`.

    Raises ValueError for what is no id, NoSuchDeadLetterError, ConfigError, DependencyError.
    """
    partition, offset = coordinates(dead_letter_id)
    topic = settings.topics.dlq
    there = {span.partition: span for span in reading.spans(settings, [topic])}
    if partition not in there:
        raise NoSuchDeadLetterError(dead_letter_id, topic, f", which has {counted(len(there), 'partition')}")
    held = there[partition]
    if held.first <= offset < held.end:
        for record in reading.read(settings, [Span(topic, partition, offset, offset + 1)]):
            return dead_letter_from(record)
    raise NoSuchDeadLetterError(dead_letter_id, topic)  # markers of transactions take offsets, too: no range is told
