"""librdkafka's messages as our records."""

from typing import Any

from stream.core.records import Record


def record_from(message: Any) -> Record:
    """A message that isn't an event as our record. Headers with a name that isn't UTF-8 can't be read: None."""
    try:
        headers = tuple(message.headers() or ())
    except SystemError:
        headers = None
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        headers,
        message.timestamp()[1],
        message.leader_epoch(),
    )
