"""Requests of every kind, good and bad, written continuously; and what a good answer to each must look like."""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from tests.support.ledger_check import Seen, Sent, Source

BURST_EVERY_S = 0.5
KEYS = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request before it is written. id=None: its bytes hold none that can be read."""

    value: bytes | None
    key: bytes | None
    id: str | None
    invoice: str | None = None


def request(chance: random.Random, number: int) -> Wanted:
    """The `number`-th request of a run: most are sound, one in twelve is not, one in five has no key."""
    key = None if chance.random() < 0.2 else b"customer-%d" % chance.randrange(KEYS)
    if chance.random() < 1 / 12:
        return _bad(chance, number, key)
    return _invoice(number, key) if chance.random() < 0.5 else _ticket(number, key)


def _invoice(number: int, key: bytes | None) -> Wanted:
    invoice = f"RC-{number:06d}"
    text = (
        f"Brightwater Supplies Ltd\n\nINVOICE\nInvoice number: {invoice}\nInvoice date: 3 March 2026\n\n"
        "2 x Desk lamp      24.50      49.00\n\nNet total   GBP 49.00\nVAT 20 %    GBP 9.80\nTotal due   GBP 58.80"
    )
    body = {"id": f"request-{number}", "task": "extract-invoice", "input": {"document_text": text}}
    return Wanted(json.dumps(body).encode(), key, f"request-{number}", invoice)


def _ticket(number: int, key: bytes | None) -> Wanted:
    text = {"subject": f"Ticket {number}", "body": "My card was charged twice, please refund.", "channel": "email"}
    body = {"id": f"request-{number}", "task": "classify-ticket", "input": text}
    return Wanted(json.dumps(body).encode(), key, f"request-{number}")


def _bad(chance: random.Random, number: int, key: bytes | None) -> Wanted:
    id_ = f"request-{number}"
    bad: list[Wanted] = [
        Wanted(b"\xff\xfe not text", key, None),
        Wanted(None, key, None),
        Wanted(b'{"id": "cut off', key, None),
        Wanted(json.dumps({"id": id_, "task": "no-such-task", "input": {}}).encode(), key, id_),
        Wanted(json.dumps({"id": id_, "task": "classify-ticket", "input": {"subject": 7}}).encode(), key, id_),
    ]
    return chance.choice(bad)


class Traffic:
    """A thread that writes requests in bursts, until stopped. `sent`: what the broker acknowledged, and as what."""

    def __init__(self, bootstrap_servers: str, topic: str, seed: int, per_s: float) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "reconnect.backoff.max.ms": 500,
            }
        )
        self._topic = topic
        self._chance = random.Random(f"{seed} traffic")
        self._per_s = per_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.written = 0
        self.sent: dict[Source, tuple[Sent, Wanted]] = {}
        self.failed: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more; returns when everything written is acknowledged."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(60)
        left = self._producer.flush(60)
        assert not left, f"{left} requests were never acknowledged"
        assert not self.failed, f"the broker refused requests: {self.failed[:3]}"

    def write(self, count: int) -> None:
        """So many more requests, now."""
        for _ in range(count):
            wanted = request(self._chance, self.written)
            self.written += 1
            self._producer.produce(self._topic, wanted.value, wanted.key, on_delivery=self._report(wanted))
        self._producer.poll(0)

    def belongs(self, request: Sent, outcome: Seen) -> bool:
        """A dead letter keeps the request's bytes; a result names its id, and its invoice's number."""
        wanted = self.sent[request.source][1]
        if outcome.text("llm.error.stage") is not None:
            return outcome.value == wanted.value
        result = json.loads(outcome.value or b"null")
        if result["request_id"] != wanted.id:
            return False
        return wanted.invoice is None or bool(result["output"]["invoice_number"] == wanted.invoice)

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stopping.wait(max(0.0, next_s - time.monotonic())):
            self.write(self._chance.randint(0, round(2 * self._per_s * BURST_EVERY_S)))
            next_s += BURST_EVERY_S

    def _report(self, wanted: Wanted) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed.append(error.str())
                return
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            sent = Sent(self._topic, partition, offset, wanted.key, wanted.id)
            self.sent[sent.source] = (sent, wanted)

        return delivered
