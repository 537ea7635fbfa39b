"""Records, requests and outcomes with nothing special about them, and the policy that settles them."""

import json
from dataclasses import dataclass, field
from typing import Any

from stream.codecs.strict_json import dumps
from stream.core.audit import AuditPolicy
from stream.core.outcomes import Completed, DeadLettered, Failure
from stream.core.records import Completion, Cost, Outgoing, Prompt, Record, Request, Stop, Usage
from stream.core.settlement import SettlePolicy

NOW_MS = 1_800_000_000_123
USAGE = Usage(100, 20, 30, 4, 5)
COST = Cost(attempts=2, calls=3, usage=Usage(200, 40, 60, 8, 10), micro_usd=77, unpriced_calls=1)
COMPLETION = Completion('{"answer": "yes"}', Stop.COMPLETE, "end_turn", "model-1-2026", USAGE, 812)


PROMPT = Prompt("Answer.", "<text>is it?</text>")


@dataclass(frozen=True)
class Version:
    """A prompt version; `render` and the rest are only what a test gives it."""

    task: str = "answer"
    label: str = "answer@v1#0123456789ab"
    provider: str = "main"
    model: str = "model-1"
    structured: str = "json_schema"
    max_output_tokens: int = 50
    results_topic: str = ""
    truncation_retry_tokens: int = 0
    output_schema: dict[str, Any] = field(default_factory=dict)
    rendering: Any = PROMPT

    def render(self, request: Request) -> Prompt:
        if isinstance(self.rendering, Exception):
            raise self.rendering
        return self.rendering  # type: ignore[no-any-return]


def record(**changes: Any) -> Record:
    """A request's record at requests:3, offset 41."""
    given = {
        "topic": "requests",
        "partition": 3,
        "offset": 41,
        "key": b"customer-1",
        "value": b'{"id":"r1"}',
        "headers": (),
        "timestamp_ms": 1_799_999_999_000,
        "leader_epoch": 7,
    }
    return Record(**(given | changes))  # type: ignore[arg-type]


def request(**changes: Any) -> Request:
    return Request(**({"id": "r1", "task": "answer", "input": {"text": "is it?"}} | changes))


def completed(**changes: Any) -> Completed:
    given = {
        "request": request(),
        "version": Version(),
        "prompt": PROMPT,
        "output": {"answer": "yes"},
        "completion": COMPLETION,
        "cost": COST,
    }
    return Completed(**(given | changes))  # type: ignore[arg-type]


def dead(failure: Failure | None = None, **changes: Any) -> DeadLettered:
    """A dead letter of which everything is known, unless changed."""
    given = {
        "request": request(),
        "version": Version(),
        "prompt": PROMPT,
        "completion": COMPLETION,
    }
    return DeadLettered(failure or Failure("validate", "schema", "$.answer is missing", (), COST), **(given | changes))  # type: ignore[arg-type]


def policy(*, audit_rate: float = 0.0, **changes: Any) -> SettlePolicy:
    given = {
        "group_id": "workers",
        "results": "results",
        "dlq": "dlq",
        "audit": "audit",
        "encode": dumps,
        "audit_policy": AuditPolicy(audit_rate, lambda text: text.replace("secret", "[redacted]")),
        "topic_ids": {"requests": "t-id"},
        "dlq_partitions": 12,
    }
    return SettlePolicy(**(given | changes))


def value_of(outgoing: Outgoing) -> Any:
    """The value, decoded by somebody else's JSON."""
    return json.loads(outgoing.value or b"null")


def headers_of(outgoing: Outgoing) -> dict[str, str]:
    """The headers as text; none may stand twice."""
    assert len({name for name, _ in outgoing.headers}) == len(outgoing.headers)
    return {name: (value or b"").decode() for name, value in outgoing.headers}
