"""What the demo sends: the samples over and over, told apart by their ids, and among them what is no request at all."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from stream.codecs.requests import encode_request
from stream.core.errors import ConfigError
from stream.core.records import Outgoing
from stream.demo.samples import Sample
from stream.tasks import Catalogue

SOURCE = "/llm-stream/demo"
"""The `ce_source` of the requests."""

FEWEST_WITH_POISON = 10


def requests(
    samples: Mapping[str, Sequence[Sample]], count: int, seed: int, topic: str, now_ms: Callable[[], int]
) -> Iterator[Outgoing]:
    """So many records, in an order that the seed decides. Raises ConfigError for a sample that JSON can't carry."""
    deck = [(task, sample) for task, listed in samples.items() for sample in listed]
    random.Random(seed).shuffle(deck)
    poison = dict(zip(poison_places(count), poison_records(topic), strict=False))
    for number in range(count):
        if number in poison:
            yield poison[number]
            continue
        task, sample = deck[number % len(deck)]
        request_id = f"{sample.id or task}.{number + 1}"
        try:
            headers, value = encode_request(task, request_id, sample.input, source=SOURCE, at_ms=now_ms())
        except ValueError as error:
            raise ConfigError(f"An example of {task} can't be sent as JSON: {error}") from None
        yield Outgoing(topic, None if sample.key is None else sample.key.encode(), value, headers)


def poison_places(count: int) -> list[int]:
    """Where among so many records those stand that are no requests; nowhere among few."""
    return [count * fifth // 5 for fifth in (1, 2, 4)] if count >= FEWEST_WITH_POISON else []


def poison_records(topic: str) -> list[Outgoing]:
    """What a broken producer sends: bytes that are no JSON, a task that nobody has, no value at all."""
    unknown, value = encode_request("sumarise-contract", "poison-2", {"text": "?"}, source=SOURCE, at_ms=0)
    return [
        Outgoing(topic, b"poison", b"\xff\xfe this is no JSON", (("content-type", b"application/json"),)),
        Outgoing(topic, b"poison", value, unknown),
        Outgoing(topic, b"poison", None, ()),
    ]


def without_own_topics(tasks: Catalogue) -> Catalogue:
    """The tasks, all of them publishing to the shared results topic: the demo writes to no topic but its own."""
    shared = {
        name: replace(
            task,
            versions=MappingProxyType(
                {each: replace(version, results_topic="") for each, version in task.versions.items()}
            ),
        )
        for name, task in tasks.tasks.items()
    }
    return Catalogue(MappingProxyType(shared))
