"""A record's way to its outcome: decode, route, render, call, validate; one await, the provider.

Exceptions inside, values at the edge: each of our exceptions becomes a `Failure`, an unknown one `internal_error`.
Provider trouble is the exception to that: a `ProviderError` that says nothing about this request passes through, for it
must never become a dead letter (in the worker, the retrying wrapper waits instead of raising it).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stream.core.errors import (
    INTERNAL_ERROR,
    AttemptsExhausted,
    ErrorClass,
    OutputError,
    ProviderError,
    RequestError,
    Stage,
)
from stream.core.expiry import refuse_expired
from stream.core.outcomes import Completed, DeadLettered, Failure, Outcome
from stream.core.ports import Catalogue, Clock, Decoder, PromptVersion, Provider, Validator
from stream.core.records import FREE_SLOT, Completion, ModelCall, Prompt, Record, Request, Slot, Stop, Tally

MAX_DETAIL_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record that was understood and knows where it goes; nothing has been paid for yet."""

    record: Record
    request: Request
    version: PromptVersion


@dataclass(slots=True)
class _Progress:
    """How far a request has come: what its failure will be able to tell."""

    stage: Stage
    request: Request
    version: PromptVersion
    tally: Tally
    prompt: Prompt | None = None
    completion: Completion | None = None

    def failed(self, stage: Stage, code: str, detail: str, error: OutputError | None = None) -> DeadLettered:
        violations = error.violations if error else ()
        failure = Failure(stage, code, detail[:MAX_DETAIL_CHARS], violations, self.tally.cost())
        return DeadLettered(failure, self.request, self.version, self.prompt, self.completion)


class Pipeline:
    """The steps, given what they need from outside.

    providers: by the names that tasks use. validate: the check list's runner. clock: for expiry only.
    """

    def __init__(
        self,
        decode: Decoder,
        catalogue: Catalogue,
        providers: Mapping[str, Provider],
        validate: Validator,
        clock: Clock,
    ) -> None:
        self._decode = decode
        self._catalogue = catalogue
        self._providers = providers
        self._validate = validate
        self._clock = clock

    def prepare(self, record: Record) -> Prepared | DeadLettered:
        """Decode and route: everything that needs no waiting and no money."""
        request: Request | None = None
        stage: Stage = "decode"
        try:
            request = self._decode(record)
            stage = "route"
            refuse_expired(request.expires_at_ms, self._clock.now_ms())
            return Prepared(record, request, self._catalogue.version_for(request))
        except RequestError as error:
            return DeadLettered(Failure(error.stage, error.code, error.detail[:MAX_DETAIL_CHARS]), request)
        except Exception as error:  # noqa: BLE001  (the promise: an unknown exception is a dead letter, not a crash)
            return DeadLettered(Failure(stage, INTERNAL_ERROR, unforeseen(error)), request)

    async def process(self, prepared: Prepared, slot: Slot = FREE_SLOT) -> Outcome:
        """Render, call and validate. Raises ProviderError only for trouble that isn't this request's own."""
        request, version = prepared.request, prepared.version
        progress = _Progress("route", request, version, Tally())
        try:
            return await self._run(progress, slot)
        except RequestError as error:
            return progress.failed(error.stage, error.code, error.detail)
        except OutputError as error:
            return progress.failed("validate", error.code, error.detail, error)
        except AttemptsExhausted as error:
            return progress.failed("call", "attempts_exhausted", error.detail)
        except ProviderError as error:
            if error.error_class is not ErrorClass.BAD_REQUEST:
                raise
            return progress.failed("call", "bad_request", error.detail)
        except Exception as error:  # noqa: BLE001  (as in `prepare`)
            return progress.failed(progress.stage, INTERNAL_ERROR, unforeseen(error))

    async def _run(self, progress: _Progress, slot: Slot) -> Outcome:
        request, version = progress.request, progress.version
        refuse_expired(request.expires_at_ms, self._clock.now_ms())
        progress.stage = "render"
        prompt = progress.prompt = version.render(request)
        progress.stage = "call"
        call = ModelCall(
            version.model,
            prompt,
            version.max_output_tokens,
            version.structured,
            version.output_schema,
            version.task,
            request.id,
            progress.tally,
            slot,
            request.expires_at_ms,
        )
        completion = await self._complete(call, version, progress)
        if completion.stop is Stop.TRUNCATED:
            detail = f"the reply was cut off at {completion.usage.output_tokens if completion.usage else '?'} tokens"
            return progress.failed("call", "truncated", f"{detail} (stop reason {completion.stop_reason!r})")
        if completion.stop is Stop.REFUSED:
            return progress.failed("call", "refused", f"the model refused (stop reason {completion.stop_reason!r})")
        progress.stage = "validate"
        if completion.stop is Stop.UNKNOWN:
            detail = f"the reply ended for a reason we don't know: {completion.stop_reason!r}"
            return progress.failed("validate", "unknown_stop_reason", detail)
        output = self._validate(version, completion.text, request)
        return Completed(request, version, prompt, output, completion, progress.tally.cost())

    async def _complete(self, call: ModelCall, version: PromptVersion, progress: _Progress) -> Completion:
        """One completion; for a truncated one, once more with more room where the task allows."""
        provider = self._providers[version.provider]
        completion = progress.completion = await provider.complete(call)
        if completion.stop is Stop.TRUNCATED and version.truncation_retry_tokens > call.max_output_tokens:
            larger = replace(call, max_output_tokens=version.truncation_retry_tokens)
            completion = progress.completion = await provider.complete(larger)
        return completion


def unforeseen(error: Exception) -> str:
    """What to say of an exception nobody foresaw: its type and place; its text may hold event data."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"an unforeseen {type(error).__name__} in {place}; this is a defect of llm-stream or of the task's code"
