"""Requests of 2 KB, and writing them: all at once, or ahead of whoever reads them."""

import json
import random
import threading
from collections.abc import Callable, Iterator

from confluent_kafka import Producer

from stream.codecs.requests import encode_request
from stream.core.records import Headers

VALUE_BYTES = 2_048
_TEXT = (
    "after the update scanner shows error and we can not book any deliveries three warehouses standing still please "
    "help tried restarting pairing factory reset nothing works invoice order number customer account since monday "
    "morning screen stays white app asks again for password although it was changed last week by our administrator"
)
_AT_MS = 1_790_000_000_000


def requests(count: int, seed: int = 1) -> Iterator[tuple[bytes, Headers, bytes]]:
    """(key, headers, value) of `classify-ticket` requests; values of 2,048 bytes, texts and keys of their own."""
    draw = random.Random(seed)
    vocabulary = _TEXT.split()
    words = [draw.choice(vocabulary) for _ in range(4_000)]
    for number in range(count):
        start = draw.randrange(3_000)
        ticket = {
            "subject": f"Ticket {number}: {' '.join(words[start : start + 5])}",
            "body": " ".join(words[start : start + 500]),
            "channel": "email",
            "customer_tier": "enterprise",
        }
        ticket["body"] = ticket["body"][: VALUE_BYTES - len(json.dumps(ticket | {"body": ""}, separators=(",", ":")))]
        request_id = f"{draw.getrandbits(128):032x}"
        headers, value = encode_request(
            "classify-ticket", request_id, ticket, source="/benchmarks", at_ms=_AT_MS + number
        )
        yield f"ticket-{number}".encode(), headers, value


def producer(bootstrap_servers: str, linger_ms: int = 20) -> Producer:
    """A producer of requests."""
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": 20_000,
        }
    )


def write(bootstrap_servers: str, topic: str, count: int, room: Callable[[int], bool] = lambda _: True) -> None:
    """Write `count` requests. room: whether the one of this number may be written already; asked every 500."""
    sending = producer(bootstrap_servers)
    waiting = threading.Event()
    for number, (key, headers, value) in enumerate(requests(count)):
        while number % 500 == 0 and not room(number):
            waiting.wait(0.05)
        while True:
            try:
                sending.produce(topic, value, key, headers=list(headers))
            except BufferError:
                sending.poll(0.1)
            else:
                break
        sending.poll(0)
    if left := sending.flush(60):
        raise TimeoutError(f"{left} of {count} requests were not acknowledged")
