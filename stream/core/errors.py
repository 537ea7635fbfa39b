"""Everything that can go wrong, as one tree, and the closed table of failure codes.

LlmStreamError
├── ConfigError            the operator must act; the command ends with exit code 2
├── DependencyError        a broker, registry or provider could not be reached; exit code 3
├── FencedError            another worker uses our transactional id; exit code 4
├── RequestError           the request can never succeed as it is; dead letter
│   ├── DecodeError        its bytes are not a request
│   ├── RouteError         no task takes it, or it came too late
│   └── RenderError        no prompt can be made from it
├── OutputError            the model's reply can't be used; dead letter
└── ProviderError          what a provider answered, classified (`resilience.classify`)
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from stream.core.quotas import NO_QUOTAS, Quotas

Stage = Literal["decode", "route", "render", "call", "validate", "encode"]

CODES: dict[Stage, frozenset[str]] = {
    "decode": frozenset(
        {"null_value", "not_json", "bad_header", "bad_cloudevent", "missing_id", "avro_unconfigured", "too_large"}
    ),
    "route": frozenset({"unknown_task", "expired"}),
    "render": frozenset({"invalid_input", "unrendered_input", "template_error", "too_long"}),
    "call": frozenset({"attempts_exhausted", "bad_request", "truncated", "refused"}),
    "validate": frozenset({"not_json", "schema", "unknown_stop_reason", "placeholder", "empty"}),
    "encode": frozenset({"too_large"}),
}
"""Which codes each stage may give. `internal_error` may stand beside any stage (`INTERNAL_ERROR`)."""

INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a reply.

    path: JSON path of the offending value, `$` for the whole reply.
    check: the name of the check that found it.
    value: the offending value as text, at most 200 characters.
    message: a sentence for a person.
    """

    path: str
    check: str
    value: str
    message: str


class LlmStreamError(Exception):
    """The root: every exception this package raises on purpose."""


class ConfigError(LlmStreamError):
    """The configuration can't work. The message names the key, why, and what to do."""


class DependencyError(LlmStreamError):
    """A broker, registry or provider could not be reached. The message names which, and what was tried."""


class FencedError(LlmStreamError):
    """Another process uses this worker's transactional id."""


class RequestError(LlmStreamError):
    """The request can never succeed as it is: it becomes a dead letter with this stage, code and sentence."""

    stage: Stage

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class DecodeError(RequestError):
    """The record's bytes are not a request (codes: `CODES["decode"]`)."""

    stage: Stage = "decode"


class RouteError(RequestError):
    """No task takes the request, or it came too late (codes: `CODES["route"]`)."""

    stage: Stage = "route"


class RenderError(RequestError):
    """No prompt can be made from the request's input (codes: `CODES["render"]`)."""

    stage: Stage = "render"


class OutputError(LlmStreamError):
    """The reply can't be used.

    code: one of `CODES["validate"]`; the code of the first violation where there are several.
    """

    def __init__(self, code: str, detail: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.violations = violations


class ErrorClass(StrEnum):
    """What a provider's failure means for the request and for the flow (design: the classification table)."""

    ACCOUNT = "account"
    UNKNOWN_MODEL = "unknown_model"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    BAD_REQUEST = "bad_request"


FAILURES = frozenset({ErrorClass.OVERLOADED, ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})
"""A call that failed without a reason that tells whose fault it is: the provider's, or the request's own."""


REFUSALS = frozenset({ErrorClass.ACCOUNT, ErrorClass.UNKNOWN_MODEL})
"""What waiting alone doesn't cure."""


class ProviderError(LlmStreamError):
    """A call that brought no completion, classified.

    error_class: what it means, see `resilience.classify`.
    detail: a sentence for a person; never holds a key.
    status: the HTTP status, None where there was no answer.
    error_type: the provider's own word for it, None where it gave none.
    retry_after_s: how long the provider asked us to wait, already checked (0 ≤ s ≤ 900), None if it did not.
    unbilled: whether it is known that the call cost nothing: a readable answer says so, or it was never sent. Any other
        may have been billed: its price is unknown.
    counted: whether it counts as an attempt; the wrapper that knows how the provider fares for others says so.
    may_be_own: whether a refusal that shuts gates (account, unknown model, rate limit) may all the same concern this
        request alone, see `resilience.classify`: then it counts where others get through.
    final: whether the provider said that trying again is of no use (`x-should-retry: false`). It is believed once the
        failure counts: while the provider fails for everybody, it says nothing about this request.
    quotas: how the account's quotas stood; empty if the provider didn't say.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        detail: str,
        *,
        status: int | None = None,
        error_type: str | None = None,
        retry_after_s: float | None = None,
        unbilled: bool = True,
        counted: bool = True,
        may_be_own: bool = False,
        final: bool = False,
        quotas: Quotas = NO_QUOTAS,
    ) -> None:
        super().__init__(detail)
        self.error_class = error_class
        self.detail = detail
        self.status = status
        self.error_type = error_type
        self.retry_after_s = retry_after_s
        self.unbilled = unbilled
        self.counted = counted
        self.may_be_own = may_be_own
        self.final = final
        self.quotas = quotas

    @property
    def refuses(self) -> bool:
        """Whether it pauses the flow until an operator acts, or is a rate limit that this request can't keep alone."""
        return self.error_class in REFUSALS or self.may_be_own


class AttemptsExhausted(ProviderError):  # noqa: N818  (its name is the failure code)
    """The provider works for others, but this request failed as often as it may."""
