"""The reference: consume, transform, produce in transactions, as one writes it with confluent-kafka and nothing else.

`python -m benchmarks.bare_loop SERVERS REQUESTS RESULTS`: it parses the JSON, answers every request with the same
output, and commits every 100 ms, or as soon as nothing more has come.
"""

import json
import sys
import time

from confluent_kafka import Consumer, Producer

from benchmarks.replies import OUTPUT

BATCH_S = 0.1


def main(bootstrap_servers: str, requests: str, results: str) -> None:
    """Loop until killed."""
    group = f"{results}.bare"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": group,
            "compression.type": "zstd",
            "retry.backoff.ms": 10,  # the default makes back-to-back transactions four times slower
        }
    )
    producer.init_transactions()
    consumer.subscribe([requests])
    while True:
        first = consumer.poll(1.0)
        if first is None:
            continue
        cut_s = time.monotonic() + BATCH_S
        messages = [first]
        producer.begin_transaction()
        while messages:
            for message in messages:
                request = json.loads(message.value() or b"")
                result = {"subject": request["subject"], "task": "classify-ticket", "output": OUTPUT}
                producer.produce(results, json.dumps(result), message.key())
            messages = consumer.consume(500, 0) if time.monotonic() < cut_s else []
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()


if __name__ == "__main__":
    main(*sys.argv[1:])
