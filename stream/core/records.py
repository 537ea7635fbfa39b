"""The values that travel: what came from Kafka, what goes to a model, what comes back, what is published.

All frozen, but for `Tally`, the running account of one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol

from stream.core.quotas import NO_QUOTAS, Quotas

Headers = tuple[tuple[str, bytes | None], ...]
StructuredMode = Literal["strict_tool", "json_schema", "json_object", "text"]


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it was read, bytes kept.

    headers: None when the client library can't read them (a header *name* that isn't UTF-8).
    leader_epoch: of the record's batch; None if the broker gave none.
    timestamp_ms: milliseconds since 1970; -1 if the record has none.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    timestamp_ms: int
    leader_epoch: int | None = None

    @property
    def source(self) -> dict[str, Any]:
        """The coordinates, as results and audit copies carry them."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp_ms": self.timestamp_ms,
        }

    @property
    def size_bytes(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers or ():
            size += len(name) + len(value or b"")
        return size


@dataclass(frozen=True, slots=True)
class Replay:
    """That a request is a replay of a dead letter: how often, which, and by whom (`llm.replay.*`)."""

    count: int
    id: str
    by: str


@dataclass(frozen=True, slots=True)
class Request:
    """A record understood as a request event.

    id: the event's id (`ce_id`); not unique by promise, the record's coordinates are.
    task: the name of the task that should take it; unchecked.
    input: the event's data, any JSON value; unchecked.
    traceparent: W3C trace context to carry on, None if upstream sent none.
    expires_at_ms: after this moment it must not be paid for (`ce_expirytime`); None: never.
    """

    id: str
    task: str
    input: Any
    traceparent: str | None = None
    expires_at_ms: int | None = None
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or of several added up.

    `input_tokens` counts all of the prompt, cache reads and writes included (as OpenAI and the OpenTelemetry GenAI
    conventions count; Anthropic's own figure leaves them out). `reasoning_tokens` are part of `output_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request has cost, every call made for it since the worker took it included.

    calls: HTTP requests handed to the transport. attempts: the calls that count against the limit.
    usage: tokens of all calls. micro_usd: the sum of what is known; None if nothing is (never 0 for "unknown").
    unpriced_calls: how many calls aren't in `micro_usd`.
    """

    attempts: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    micro_usd: int | None = 0
    unpriced_calls: int = 0


@dataclass(slots=True)
class Tally:
    """The running account of one request; the only mutable value here. `cost()` is its snapshot.

    suspect_since_s: monotonic moment of its last failed call that counted, else of its first that failed; None: none
        did. Only a call sent after it, and answered, is a witness against the request (ADR 0002).
    refused_s: monotonic moment of its last refusal that shuts gates (403, 404, ...); None: no such since it was served.
    refused_alone: whether one of those refusals was its own: others got through (ADR 0015).
    """

    attempts: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    known_micro_usd: int = 0
    unpriced_calls: int = 0
    suspect_since_s: float | None = None
    refused_s: float | None = None
    refused_alone: bool = False

    def bill(self, usage: Usage, micro_usd: int | None) -> None:
        """Add one answered call: its tokens, and its price if that is known."""
        self.usage += usage
        if micro_usd is None:
            self.unpriced_calls += 1
        else:
            self.known_micro_usd += micro_usd

    def cost(self) -> Cost:
        """The account as it stands."""
        unknown = self.calls > 0 and self.unpriced_calls >= self.calls
        return Cost(
            self.attempts, self.calls, self.usage, None if unknown else self.known_micro_usd, self.unpriced_calls
        )


class Slot(Protocol):
    """The right to have one call in the air. A request that waits (for a gate, a backoff) gives it back meanwhile."""

    async def acquire(self) -> None:
        """Wait for a slot; returns at once if it is held already."""
        ...

    def release(self) -> None:
        """Give the slot back; does nothing if it isn't held."""
        ...

    def step_aside(self) -> None:
        """Give it back, and keep nobody from starting meanwhile: this request sleeps before it is tried again."""
        ...


class FreeSlot:
    """A slot where there is no limit to calls in the air (`try`, tests)."""

    async def acquire(self) -> None: ...

    def release(self) -> None: ...

    def step_aside(self) -> None: ...


FREE_SLOT = FreeSlot()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt. Only `user` ever holds text from an event."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class ModelCall:
    """Everything a provider needs for one completion.

    model: the provider's own name for it, without our provider name.
    output_schema: JSON Schema (2020-12) of the wanted reply; ignored in the modes `json_object` and `text`.
    schema_name: a name for that schema, matching `[a-zA-Z0-9_-]{1,64}`.
    tally: where the call is counted and billed. slot: held while a call is in the air, given back while waiting.
    expires_at_ms: after this moment it must not be sent (`Request.expires_at_ms`).
    """

    model: str
    prompt: Prompt
    max_output_tokens: int
    structured: StructuredMode
    output_schema: Mapping[str, Any]
    schema_name: str
    request_id: str
    tally: Tally = field(default_factory=Tally, compare=False)
    slot: Slot = field(default=FREE_SLOT, compare=False)
    expires_at_ms: int | None = None

    def evolve(self, **changes: Any) -> "ModelCall":
        """A copy with some fields changed; the tally stays the same object."""
        return replace(self, **changes)


class Stop(StrEnum):
    """Why a model stopped, in words that hold for every provider."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered.

    text: the reply; in structured modes the JSON text, a tool's input included.
    stop_reason: as the provider spells it, None if it gave none.
    model_served: the model that answered, as the provider names it.
    usage: None if the provider didn't say.
    latency_ms: of this call, from handing it to the transport to the last byte.
    quotas: how the account's quotas stood; empty if the provider didn't say.
    """

    text: str
    stop: Stop
    stop_reason: str | None
    model_served: str
    usage: Usage | None
    latency_ms: int
    quotas: Quotas = field(default_factory=lambda: NO_QUOTAS)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be published. `partition=None`: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int | None = None
    timestamp_ms: int | None = None

    @property
    def size_bytes(self) -> int:
        """An upper bound of what the broker counts against `max.message.bytes` for this record alone.

        Key, value, header names and values, with their varint lengths (5 bytes each at most), plus the batch's 61 bytes
        and the record's own framing (Kafka protocol guide, "Record Batch").
        """
        size = 61 + 40 + len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += 10 + len(name.encode()) + len(value or b"")
        return size
