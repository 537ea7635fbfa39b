"""What one call asks for and what it gets, in words that hold for both providers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from stream.core.errors import LlmStreamError
from stream.simulator.quota import Levels

Form = Literal["tool", "schema", "object", "text"]

BYTES_PER_TOKEN = 4
CACHEABLE_TOKENS = 1024
"""A shorter prefix is not cached (both providers' prompt caching guides)."""


def byte_count(text: str) -> int:
    """Bytes as UTF-8."""
    return len(text.encode("utf-8", "replace"))


def cut_text(text: str, size_bytes: int) -> str:
    """The text's start, at most so many bytes, no character torn."""
    return text.encode("utf-8", "replace")[:size_bytes].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Ask:
    """A call, understood.

    form: how the reply is to be carried: input of the tool `tool`, JSON text of `schema`, any JSON object, or text.
    system, user: the instructions, and the longest of the user's messages, as text.
    extra_bytes: of the prompt beside those two (other messages, the schema).
    max_tokens: None: no limit given.
    cache_prefix: what the provider would cache, empty if nothing.
    request_id: the client's own name for what it wants, empty if it gave none.
    named_tool: whether that one tool was named (else: any tool).
    """

    model: str
    system: str
    user: str
    form: Form
    schema: Mapping[str, Any] | None = None
    tool: str = ""
    named_tool: bool = True
    max_tokens: int | None = None
    stream: bool = False
    stream_usage: bool = True
    cache_prefix: str = ""
    extra_bytes: int = 0
    request_id: str = ""

    @property
    def input_tokens(self) -> int:
        """Of the whole prompt: instructions, messages, schema."""
        size = byte_count(self.system) + byte_count(self.user)
        return max(1, -(-(size + self.extra_bytes) // BYTES_PER_TOKEN))


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion before a provider's format is put around it.

    text: JSON text, or prose. as_tool: whether it is a tool's input (then JSON text).
    stop: "complete", "truncated", "refused", "filtered", or a provider's word that nobody knows.
    """

    text: str
    as_tool: bool = False
    stop: str = "complete"

    def evolve(self, **changes: Any) -> "Reply":
        """A copy with some fields changed."""
        return replace(self, **changes)

    @property
    def output_tokens(self) -> int:
        """4 bytes a token, 1 at least."""
        return max(1, -(-byte_count(self.text) // BYTES_PER_TOKEN))


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens of one call; `input_tokens` counts cache reads and writes too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Refused(LlmStreamError):  # noqa: N818  (it is an answer)
    """The simulator answers with an error. word: a row of the dialect's error table. message: None: the table's own.

    headers: those that only this answer carries.
    """

    def __init__(
        self,
        word: str,
        message: str | None = None,
        param: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or word)
        self.word = word
        self.message = message
        self.param = param
        self.headers = headers or {}


class Dialect(Protocol):
    """One provider's wire format."""

    name: str

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The API key that was sent."""
        ...

    def read(self, body: Any, headers: Mapping[str, str]) -> Ask:
        """A decoded request body, understood. Raises Refused."""
        ...

    def write(self, ask: Ask, reply: Reply, billed: Billed, call_id: str) -> bytes:
        """The body of a reply: JSON, or server-sent events if a stream was asked for."""
        ...

    def error(self, refused: Refused, call_id: str, model: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and error object. model: what was asked for, empty if unknown."""
        ...

    def headers(self, call_id: str, levels: Levels | None = None) -> dict[str, str]:
        """What every answer carries: the call's id and the quotas; levels None: they are never used up."""
        ...

    def cut(self, reply: Reply, at_tokens: int) -> Reply:
        """The reply as it looks when the token limit ends it there."""
        ...
