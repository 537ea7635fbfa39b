"""Does librdkafka take what `[kafka.properties]` says? The clients asked know no broker and connect to nothing."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer
from pydantic import SecretStr

from stream.core.errors import ConfigError
from stream.kafka import clients
from stream.settings import Loaded
from stream.settings.properties import WELL_KNOWN
from stream.settings.shape import PROPERTIES, spelled

_ONE_PROPERTYS = re.compile(r"No such configuration property|Invalid value|.* outside allowed range")
"""Refusals that are about one property alone; the others are about how several go together."""


def properties(loaded: Loaded, problem: Callable[[str], None]) -> None:
    """Tell `problem` a sentence for each property that librdkafka refuses, never with a secret in it."""
    values = loaded.settings.kafka.properties
    given = {name: (value, loaded.source((*PROPERTIES, name))) for name, value in values.items()}
    sentences = list(refused_alone(given)) or list(_refused_together(loaded))
    for sentence in dict.fromkeys(sentences):
        problem(sentence)


def refused_alone(given: Mapping[str, tuple[Any, str]]) -> Iterator[str]:
    """A sentence for each property that librdkafka refuses by itself. given: value and source by name."""
    for name, (value, source) in given.items():
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            Producer({"log_level": 0, name: plain})
        except KafkaException as error:
            reason = error.args[0].str().strip().rstrip(".")
            if _ONE_PROPERTYS.match(reason):
                path = (*PROPERTIES, name)
                yield f"{spelled(path)} ({source}) {_in_words(name, value, reason)}."


def _in_words(name: str, value: Any, reason: str) -> str:
    if reason.startswith("No such"):
        near = difflib.get_close_matches(name[:100], WELL_KNOWN, n=1, cutoff=0.6)
        meant = f" (did you mean {near[0]}?)" if near else ""
        return f"is not a property of librdkafka{meant}"
    if isinstance(value, SecretStr):
        return "is refused by librdkafka"  # whose reason may quote it
    return f"is refused by librdkafka: {reason}"


def _refused_together(loaded: Loaded) -> Iterator[str]:
    """As the worker makes its clients; what one refuses, the other mostly refuses too, in nearly the same words."""
    kinds: tuple[tuple[type[Any], dict[str, Any]], ...] = (
        (Consumer, clients.member_config(loaded.settings)),
        (Producer, clients.producer_config(loaded.settings)),
    )
    for kind, config in kinds:
        del config["bootstrap.servers"]
        try:
            client = clients.make(kind, config, polled=False)
        except ConfigError as error:
            yield str(error)
            return
        with suppress(KafkaException):
            client.close()
