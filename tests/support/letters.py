"""Dead letters and other records, as the worker writes them, for tests of what reads them."""

import json
from typing import Any

from stream.core.records import Headers, Record


def headers(**values: str | bytes | None) -> Headers:
    """Headers by keyword, `__` inside a name standing for a dot: `headers(llm__task="x")` is `llm.task`."""
    return tuple(
        (
            name if name.startswith("__") else name.replace("__", "."),
            value.encode() if isinstance(value, str) else value,
        )
        for name, value in values.items()
    )


def record(topic: str = "llm.dlq", **fields: Any) -> Record:
    """A record; value may be anything JSON can say, or bytes."""
    value = fields.pop("value", None)
    data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    defaults: dict[str, Any] = {"partition": 0, "offset": 0, "key": None, "headers": (), "timestamp_ms": 1_000}
    return Record(topic=topic, value=data, **(defaults | fields))


def request(request_id: str = "r-1", task: str = "greet", **fields: Any) -> Record:
    """A request as a CloudEvent in binary mode."""
    event = (
        ("ce_specversion", b"1.0"),
        ("ce_id", request_id.encode()),
        ("ce_source", b"/tests"),
        ("ce_type", b"llm.request." + task.encode()),
        ("content-type", b"application/json"),
    )
    own = fields.pop("headers", ())
    return record(**{"topic": "llm.requests", "value": {"name": "Ann"}, "headers": event + own, **fields})


def dead_letter(request_id: str = "r-1", task: str = "greet", more: Headers = (), **fields: Any) -> Record:
    """A dead letter of `llm.requests:2:7`, given up at 5,000 ms: a placeholder in the reply."""
    violation = {"path": "$.name", "check": "placeholder", "value": "N/A", "message": "$.name is a placeholder"}
    ours = (
        ("ce_id", request_id.encode()),
        ("tenant", b"a"),
        ("__dlq.errors.topic", b"llm.requests"),
        ("__dlq.errors.partition", b"2"),
        ("__dlq.errors.offset", b"7"),
        ("__dlq.errors.group", b"llm-stream"),
        ("__dlq.errors.delivery.count", b"1"),
        ("__dlq.errors.message", b"a placeholder"),
        ("__dlq.errors.timestamp", b"5000"),
        ("llm.error.stage", b"validate"),
        ("llm.error.code", b"placeholder"),
        ("llm.error.detail", b"$.name is a placeholder"),
        ("llm.error.violations", json.dumps([violation]).encode()),
        ("llm.request_id", request_id.encode()),
        ("llm.task", task.encode()),
        ("llm.prompt", b"greet@v1#0123456789ab"),
        ("llm.attempts", b"1"),
        ("llm.calls", b"2"),
        ("llm.usage", b'{"input_tokens":5,"output_tokens":3}'),
        ("llm.cost.micro_usd", b"1234"),
        ("llm.output", b'{"name":"N/A"}'),
        ("llm.source.group", b"llm-stream"),
        ("llm.source.topic", b"llm.requests"),
        ("llm.source.partition", b"2"),
        ("llm.source.offset", b"7"),
    )
    return record(
        **{"value": {"name": "Ann"}, "key": b"k", "partition": 2, "offset": 9, "headers": ours + more, **fields}
    )
