"""What the workers of a simulated fleet do: trivial requests, a moody provider, and the ledger of its calls."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from stream.codecs.strict_json import dumps
from stream.core.audit import AuditPolicy
from stream.core.errors import DecodeError, ErrorClass, OutputError, ProviderError
from stream.core.pipeline import Pipeline
from stream.core.records import Completion, ModelCall, Prompt, Record, Request, Stop, Usage
from stream.core.settlement import SettlePolicy
from tests.support.simulated_time import Process

GROUP = "group"
_COMPLETION = Completion("{}", Stop.COMPLETE, "stop", "m", Usage(1, 1), 1)


@dataclass(frozen=True)
class Version:
    """A prompt version that asks for nothing in particular."""

    task: str = "answer"
    label: str = "answer@v1#000000000000"
    provider: str = "fake"
    model: str = "m"
    structured: str = "text"
    max_output_tokens: int = 10
    results_topic: str = ""
    truncation_retry_tokens: int = 0

    @property
    def output_schema(self) -> Mapping[str, Any]:
        return {}

    def render(self, request: Request) -> Prompt:
        return Prompt("", request.id)

    def version_for(self, request: Request) -> "Version":
        """It is its own catalogue."""
        return self


VERSION = Version()


def decode(record: Record) -> Request:
    """A value is `id kind`."""
    id_, _, kind = (record.value or b"").decode().partition(" ")
    if kind == "bad":
        raise DecodeError("not_json", "made so")
    return Request(id_, "answer", {"kind": kind})


def validate(version: Any, reply: str, request: Request) -> Mapping[str, Any]:
    if request.input["kind"] == "unusable":
        raise OutputError("empty", "made so")
    return {"answer": request.id}


@dataclass(eq=False)
class Call:
    """One call to the provider, by which process and when. owned: whether it thought that the partition was its own."""

    request_id: str
    process: str
    at_s: float
    failed: bool = False
    owned: bool = True


class Provider:
    """Takes as long as chance says, and fails as often. owns: whether its worker owns a request's partition now."""

    def __init__(
        self,
        process: Process,
        ledger: list[Call],
        rand: Random,
        longest_s: float,
        faults: float,
        owns: Callable[[str], bool],
    ) -> None:
        self._process = process
        self._ledger = ledger
        self._rand = rand
        self._longest_s = longest_s
        self._faults = faults
        self._owns = owns

    async def complete(self, call: ModelCall) -> Completion:
        call.tally.calls += 1
        owned = self._owns(call.request_id)
        entry = Call(call.request_id, self._process.name, self._process.time(), owned=owned)
        self._ledger.append(entry)
        await asyncio.sleep(self._rand.random() ** 2 * self._longest_s)
        if self._rand.random() < self._faults:
            entry.failed = True
            error_class = self._rand.choice((ErrorClass.RATE_LIMITED, ErrorClass.OVERLOADED))
            raise ProviderError(error_class, "made so")
        return _COMPLETION

    async def aclose(self) -> None: ...


@dataclass
class WallClock:
    """A process's clocks."""

    process: Process

    def now_ms(self) -> int:
        return 1_800_000_000_000 + round(self.process.time() * 1000)

    def monotonic_s(self) -> float:
        return self.process.time()


def pipeline(provider: Any, clock: WallClock) -> Pipeline:
    """The real pipeline over all this."""
    return Pipeline(decode, VERSION, {"fake": provider}, validate, clock)  # type: ignore[arg-type]


def settle_policy(redact: Callable[[str], str] = lambda text: text) -> SettlePolicy:
    return SettlePolicy(GROUP, "results", "dlq", "audit", dumps, AuditPolicy(0.1, redact))
