"""What the core needs from outside, as interfaces, with the guarantees each must give."""

from collections.abc import Mapping
from typing import Any, Protocol

from stream.core.records import Completion, ModelCall, Prompt, Record, Request, StructuredMode, Usage


class Clock(Protocol):
    """Time, from outside."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class Provider(Protocol):
    """A place that completes prompts. Wrappers (retry, break, limit, observe) have this same interface.

    Guarantees: `complete` returns a `Completion` or raises `ProviderError`, nothing else but cancellation; a call is
    counted in `call.tally` before it is handed to the transport; a bare provider sends one HTTP request at most.
    """

    async def complete(self, call: ModelCall) -> Completion:
        """One completion. Raises ProviderError."""
        ...

    async def aclose(self) -> None:
        """Give back connections. Safe to call twice."""
        ...


class Pricer(Protocol):
    """What calls cost."""

    def __call__(self, provider: str, model: str, usage: Usage) -> int | None:
        """Price in millionths of a US dollar; None if it isn't known."""
        ...


class Decoder(Protocol):
    """Makes a request of a record."""

    def __call__(self, record: Record) -> Request:
        """Raises DecodeError. Pure; bounded time and memory for any bytes."""
        ...


class PromptVersion(Protocol):
    """One immutable version of one task's prompt, with what it calls and how its reply is judged."""

    @property
    def task(self) -> str: ...
    @property
    def label(self) -> str:
        """`task@version#hash`, the hash 12 hex digits."""
        ...

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def structured(self) -> StructuredMode: ...
    @property
    def max_output_tokens(self) -> int: ...
    @property
    def output_schema(self) -> Mapping[str, Any]: ...
    @property
    def output_model(self) -> Any:
        """The Pydantic model class of the reply."""
        ...

    @property
    def checks(self) -> Mapping[str, Any]:
        """The check list: name to options; False switches one off."""
        ...

    @property
    def results_topic(self) -> str:
        """Empty: the shared one."""
        ...

    @property
    def truncation_retry_tokens(self) -> int:
        """A truncated reply is asked for once more with this many output tokens; 0: never."""
        ...

    def render(self, request: Request) -> Prompt:
        """Raises RenderError."""
        ...


class Catalogue(Protocol):
    """The tasks."""

    def version_for(self, request: Request) -> PromptVersion:
        """The prompt version this request is for: the same for the same id. Raises RouteError."""
        ...


class Validator(Protocol):
    """Judges replies."""

    def __call__(self, version: PromptVersion, reply: str, request: Request) -> Mapping[str, Any]:
        """The reply as a JSON-ready object, after every check. Raises OutputError."""
        ...
