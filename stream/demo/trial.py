"""One request's way without Kafka: what a worker would do with it, each step kept to be looked at.

It is the worker's own pipeline. Only the waiting differs: a person sits there, so nothing is waited for that a person
must change, and a provider that gives no reply ends the trial, where a worker would wait for it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stream import app
from stream.codecs.redact import redact
from stream.codecs.requests import RequestDecoder, encode_request
from stream.codecs.strict_json import dumps, parse
from stream.core.audit import AuditPolicy
from stream.core.errors import ConfigError, ErrorClass, ProviderError
from stream.core.outcomes import Completed, Outcome
from stream.core.pipeline import Pipeline, Prepared
from stream.core.ports import Provider
from stream.core.records import Completion, Cost, ModelCall, Prompt, Record, Request
from stream.core.settlement import Settlement, SettlePolicy, settle
from stream.core.spelling import did_you_mean
from stream.demo.samples import Sample
from stream.demo.simulated import NO_KEYS, refuse_unknown_fault, simulated
from stream.providers.keys import is_loopback
from stream.providers.prices import Prices
from stream.providers.retrying import Retrying, RetryPolicy
from stream.providers.table import KINDS, api_key, build_provider
from stream.settings import Settings
from stream.settings.model import ProviderSettings
from stream.simulator import Simulator
from stream.tasks import Catalogue, Version
from stream.validation.validator import Validator

SOURCE = "/llm-stream/try"
"""The `ce_source` of the request."""

SIMULATED_DEADLINE_S = 3.0
"""So long may a call to the simulator take: some of its faults never answer."""

_QUICKER: Mapping[str, Mapping[str, float]] = {"rate_limit": {"retry_after_s": 1.0}, "slow": {"delay_s": 1.5}}
"""Faults whose usual length would try a person's patience."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that brought no reply."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went.

    version: None where no task took the request. calls: in their order, what came of each. cost: of all of them.
    trouble: why the provider gave no reply at all; then there is no outcome and nothing would be published.
    limits: how many tokens each call's reply could have. base_url: where the calls went; empty: the provider's official
    address.
    """

    record: Record
    task: str
    simulated: bool
    version: Version | None = None
    request: Request | None = None
    prompt: Prompt | None = None
    calls: tuple[Completion | Failed, ...] = ()
    limits: tuple[int, ...] = ()
    cost: Cost = field(default_factory=Cost)
    outcome: Outcome | None = None
    settlement: Settlement | None = None
    trouble: ProviderError | None = None
    base_url: str = ""

    @property
    def completion(self) -> Completion | None:
        """The reply that was judged; None if there was none."""
        return None if self.outcome is None else self.outcome.completion

    @property
    def completed(self) -> bool:
        """Whether it ended in a result."""
        return isinstance(self.outcome, Completed)


class Overheard:
    """A provider whose calls and answers are kept."""

    def __init__(self, inner: Provider, on_failure: Callable[[ProviderError], None]) -> None:
        self._inner = inner
        self._on_failure = on_failure
        self.asked: list[ModelCall] = []
        self.answers: list[Completion | Failed] = []

    async def complete(self, call: ModelCall) -> Completion:
        """One completion. Raises ProviderError."""
        self.asked.append(call)
        try:
            completion = await self._inner.complete(call)
        except ProviderError as error:
            self.answers.append(Failed(error))
            self._on_failure(error)
            raise
        self.answers.append(completion)
        return completion

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()


def only(task: str, tasks: Catalogue, folder: str | Path) -> Catalogue:
    """The catalogue with this task alone. Raises ConfigError for a task that isn't there."""
    if task not in tasks.tasks:
        raise ConfigError(f"There is no task {task!r} in {folder}{did_you_mean(task, tasks.tasks)}.")
    return Catalogue(MappingProxyType({task: tasks.tasks[task]}))


def request_record(task: str, sample: Sample, topic: str) -> Record:
    """The record that `llm-stream send` would have written. Raises ConfigError for what JSON can't carry."""
    at_ms = app.CLOCK.now_ms()
    try:
        headers, value = encode_request(task, sample.id or "try-1", sample.input, source=SOURCE, at_ms=at_ms)
    except ValueError as error:
        raise ConfigError(f"The input can't be sent as JSON: {error}") from None
    return Record(topic, 0, 0, None if sample.key is None else sample.key.encode(), value, headers, at_ms)


async def tried_simulated(
    settings: Settings,
    tasks: Catalogue,
    record: Record,
    *,
    fault: str | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Trial:
    """A trial with a simulator of its own. fault: lay this kind on every call. Raises ConfigError."""
    if fault is not None:
        refuse_unknown_fault(fault)
    script: list[Mapping[str, Any]] = [{"kind": fault, **_QUICKER.get(fault, {})}] if fault else []
    async with Simulator(script=script, seed=seed) as simulator:
        names = [version.provider for version in tasks.versions()]
        stand_ins = simulated(settings, names, simulator.base_url, SIMULATED_DEADLINE_S)
        return await tried(stand_ins, tasks, record, environ=NO_KEYS, tell=tell)


async def tried(
    settings: Settings,
    tasks: Catalogue,
    record: Record,
    *,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = lambda _: None,
) -> Trial:
    """A trial with the configured provider of the task, the only one in `tasks`.

    environ: where API keys are. tell: gets a line when a call failed and is tried again. Raises ConfigError.
    """
    (task,) = tasks.tasks
    pipeline = Pipeline(RequestDecoder(), tasks, {}, Validator(parse), app.CLOCK)
    is_simulated = environ is NO_KEYS
    prepared = pipeline.prepare(record)
    if not isinstance(prepared, Prepared):
        settlement = settle(record, prepared, _policy(settings), app.CLOCK.now_ms())
        return Trial(record, task, is_simulated, None, prepared.request, outcome=prepared, settlement=settlement)
    return await _called(settings, tasks, prepared, environ, tell)


async def _called(
    settings: Settings,
    tasks: Catalogue,
    prepared: Prepared,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> Trial:
    """The part of a trial that needs a provider."""
    app.used_providers(settings, tasks)
    name = prepared.version.provider
    prices = Prices(settings.providers, settings.prices)
    key = api_key(name, settings.providers[name], environ)
    overheard = Overheard(
        build_provider(name, settings.providers[name], key, 4, prices), lambda error: tell(error.detail)
    )

    async def wait(seconds: float) -> None:
        tell(f"trying again in {seconds:.1f} s")
        await asyncio.sleep(seconds)

    provider = Retrying(overheard, RetryPolicy(patient=False), random.random, wait)
    pipeline = Pipeline(RequestDecoder(), tasks, {name: provider}, Validator(parse), app.CLOCK)
    outcome: Outcome | None = None
    trouble: ProviderError | None = None
    try:
        outcome = await pipeline.process(prepared)
    except ProviderError as error:
        trouble = error
    finally:
        await provider.aclose()
    if outcome is not None and not isinstance(outcome, Completed) and outcome.failure.code == "attempts_exhausted":
        # Nothing shows here that the provider works for others: a worker would wait, not write a dead letter.
        outcome, trouble = None, _last_error(overheard)
    return _trial(settings, prepared, overheard, outcome, trouble, is_simulated=environ is NO_KEYS)


def _trial(
    settings: Settings,
    prepared: Prepared,
    overheard: Overheard,
    outcome: Outcome | None,
    trouble: ProviderError | None,
    *,
    is_simulated: bool,
) -> Trial:
    asked = overheard.asked[-1] if overheard.asked else None
    version = prepared.version
    if not isinstance(version, Version):
        raise TypeError("a catalogue of tasks gives their versions")
    return Trial(
        prepared.record,
        version.task,
        is_simulated,
        version,
        prepared.request,
        asked.prompt if asked else None,
        tuple(overheard.answers),
        tuple(call.max_output_tokens for call in overheard.asked),
        asked.tally.cost() if asked else Cost(),
        outcome,
        settle(prepared.record, outcome, _policy(settings), app.CLOCK.now_ms()) if outcome else None,
        trouble,
        settings.providers[version.provider].base_url,
    )


def _last_error(overheard: Overheard) -> ProviderError | None:
    return next((each.error for each in reversed(overheard.answers) if isinstance(each, Failed)), None)


def _policy(settings: Settings) -> SettlePolicy:
    topics = settings.topics
    audit = AuditPolicy(settings.audit.rate, redact)
    return SettlePolicy(settings.kafka.group_id, topics.results, topics.dlq, topics.audit, dumps, audit)


def trouble_in_words(trial: Trial, settings: Settings) -> str:
    """Why there is no reply, what it means, and what to do."""
    error, version = trial.trouble, trial.version
    if error is None or version is None:
        raise ValueError("there was no trouble")
    configured = settings.providers.get(version.provider)
    said = error.detail if error.detail.endswith((".", "!", "?")) else f"{error.detail}."
    if error.error_class is ErrorClass.ACCOUNT and error.status in (401, 403):
        said = f"The key in {_key_place(configured, trial)} was refused: {said}"
    elif error.error_class is ErrorClass.ACCOUNT:
        said = f"The account can't be used: {said}"
    elif error.error_class is ErrorClass.UNKNOWN_MODEL:
        said = f"{version.task} asks for the model {version.model}: {said}"
    elif len(trial.calls) > 1:
        said = f"No reply after {len(trial.calls)} calls; the last: {said}"
    if error.status is None and trial.base_url and not trial.simulated:
        said += f" Is {trial.base_url} the right base_url, and does a server run there?"
    return f"{said} A worker would shut its gate and wait: the request would not become a dead letter."


def _key_place(configured: ProviderSettings | None, trial: Trial) -> str:
    """Where the key that was used comes from, for a person."""
    if trial.simulated or configured is None:
        return "this trial (the simulator's own, not yours)"
    if configured.api_key_file:
        return configured.api_key_file
    variable = configured.api_key_env or KINDS[configured.kind].key_env
    if not configured.api_key_env and is_loopback(configured.base_url):
        return f"{variable} (or none, if it isn't set)"
    return variable
