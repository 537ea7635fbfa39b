"""The only place where things are wired together: settings in, a running service out."""

import asyncio
import gc
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Producer

from stream.codecs.redact import redact
from stream.codecs.requests import RequestDecoder
from stream.codecs.strict_json import dumps, parse
from stream.core.audit import AuditPolicy
from stream.core.errors import ConfigError, DependencyError
from stream.core.pipeline import Pipeline
from stream.core.ports import Provider
from stream.core.quotas import Meter
from stream.core.settlement import SettlePolicy
from stream.kafka import clients
from stream.kafka.assignment import TopicPartition
from stream.kafka.attempts import Committer
from stream.kafka.budget import Budget
from stream.kafka.committer import CALL_S, TRANSACTION_TIMEOUT_MS, TransactionalCommitter
from stream.kafka.gaps import GapReader
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.intake import Intake
from stream.kafka.live_policy import LivePolicy
from stream.kafka.member_commits import Commit
from stream.kafka.parts import Parts
from stream.kafka.plain_committer import PlainCommitter
from stream.kafka.starter import Starter
from stream.kafka.topic_watch import TopicWatch
from stream.kafka.transactional_ids import claim, default_state_dir
from stream.kafka.worker import Worker
from stream.providers.gated import Gated
from stream.providers.keys import checked_base_url
from stream.providers.price_notes import price_notes
from stream.providers.prices import Prices
from stream.providers.retrying import Retrying, RetryPolicy
from stream.providers.table import KINDS, api_key, build_provider
from stream.resilience.gate import Gate, GateChange
from stream.settings import Settings
from stream.settings.model import PoolSettings
from stream.tasks import Catalogue, load_catalogue
from stream.telemetry.figures import QuotaFigures
from stream.telemetry.telemetry import telemetry
from stream.telemetry.watch import Watch
from stream.validation.table import verify_checks
from stream.validation.validator import Validator

T = TypeVar("T")


class SystemClock:
    """The machine's clocks (`core.ports.Clock`)."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


CLOCK = SystemClock()

LEAVING_S = 20.0
"""How long a worker that has drained may take to leave the group and end its last transaction, if Kafka is silent."""


@dataclass(frozen=True, slots=True)
class Calling:
    """What calls models: providers by name, and their gates."""

    providers: Mapping[str, Provider]
    gates: Mapping[str, Gated] = field(default_factory=dict)

    async def aclose(self) -> None:
        """Give connections back."""
        for provider in self.providers.values():
            await provider.aclose()


def catalogue(settings: Settings) -> Catalogue:
    """The tasks. Raises ConfigError, which names the file and what to do."""
    return load_catalogue(Path(settings.tasks.path), verify_checks)


def calling(
    settings: Settings,
    tasks: Catalogue,
    on_change: Callable[[GateChange], None],
    environ: Mapping[str, str] = os.environ,
    observed: Callable[[str, Provider], Provider] = lambda name, bare: bare,
    noticed: Callable[[str, Provider], Provider] = lambda name, gated: gated,
) -> Calling:
    """The providers that the tasks use, retrying behind a gate. Raises ConfigError. Call it on the event loop.

    environ: where API keys are; empty where none may be used (the demo). observed: wraps a bare provider, noticed: one
    behind its gate.
    """
    prices = Prices(settings.providers, settings.prices)
    ceiling = settings.worker.max_in_flight
    providers: dict[str, Provider] = {}
    gates: dict[str, Gated] = {}
    for name in used_providers(settings, tasks):
        configured = settings.providers[name]
        bare = observed(name, build_provider(name, configured, api_key(name, configured, environ), ceiling, prices))
        pools = {pool: each.models for pool, each in configured.pools.items()}
        ceilings = {pool: _ceilings(each) for pool, each in configured.pools.items()}
        gate = Gate(name, pools, deadline_s=configured.deadline_s, ceiling=ceiling, per_minute=ceilings)
        gates[name] = Gated(bare, gate, CLOCK, random.random, on_change, KINDS[configured.kind].rules)
        providers[name] = Retrying(noticed(name, gates[name]), RetryPolicy(), random.random, asyncio.sleep)
    return Calling(providers, gates)


def _quota_figures(gates: Mapping[str, Gated]) -> Iterator[QuotaFigures]:
    for provider, gated in gates.items():
        for pool, view in gated.quotas():
            yield QuotaFigures(provider, pool, *astuple(view))


def _ceilings(pool: PoolSettings) -> Mapping[Meter, float]:
    return {
        Meter.REQUESTS: pool.requests_per_minute,
        Meter.INPUT: pool.input_tokens_per_minute,
        Meter.OUTPUT: pool.output_tokens_per_minute,
    }


def used_providers(settings: Settings, tasks: Catalogue) -> list[str]:
    """The names that active prompt versions refer to. Raises ConfigError for one that isn't configured."""
    used: dict[str, str] = {}
    for version in tasks.versions():
        used.setdefault(version.provider, version.label)
    for name, label in used.items():
        if name not in settings.providers:
            known = ", ".join(settings.providers) or "none"
            raise ConfigError(
                f"{label} calls provider {name!r}, which isn't configured (configured: {known}). "
                f"Add a [providers.{name}] table to the configuration file."
            )
    return list(used)


def provider_addresses(settings: Settings, tasks: Catalogue) -> list[str]:
    """The used providers, each with its `base_url` where that isn't the official address. Raises ConfigError."""
    names = used_providers(settings, tasks)
    urls = [checked_base_url(name, settings.providers[name]) for name in names]
    return [f"{name} at {url}" if url else name for name, url in zip(names, urls, strict=True)]


def pipeline(tasks: Catalogue, providers: Mapping[str, Provider]) -> Pipeline:
    """A record's way, over these tasks and providers."""
    return Pipeline(RequestDecoder(), tasks, providers, Validator(parse), CLOCK)


def settle_policy(settings: Settings) -> SettlePolicy:
    """Where outcomes go, whatever the topics are like."""
    return SettlePolicy(
        settings.kafka.group_id,
        settings.topics.results,
        settings.topics.dlq,
        settings.topics.audit,
        dumps,
        AuditPolicy(settings.audit.rate, redact),
    )


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the command line adds to the settings. accept: (`accept_gap` or `accept_rerun`, partition) pairs."""

    accept: Sequence[tuple[str, TopicPartition]] = ()
    limit: int | None = None
    max_cost_usd: float | None = None


def check_prices(settings: Settings, tasks: Catalogue, options: WorkerOptions) -> None:
    """A money limit needs a price for every model. Raises ConfigError."""
    if options.max_cost_usd is None:
        return
    prices = Prices(settings.providers, settings.prices)
    for version in tasks.versions():
        if prices.rates(version.provider, version.model) is None:
            model = f"{version.provider}:{version.model}"
            raise ConfigError(
                f"--max-cost-usd can't be kept: no price is known for {model} ({version.label}). "
                f'Add [prices."{model}"] with input_usd and output_usd per million tokens.'
            )


def make_worker(
    settings: Settings,
    topics: TopicWatch,
    steps: Pipeline,
    gates: Mapping[str, Gated],
    watch: Watch,
    options: WorkerOptions,
) -> Worker:
    """A worker, not yet started. `topics` must be loaded. Call it on the event loop. Raises ConfigError."""
    starter = Starter(settings, topics.ids, [*topics.results, settings.topics.dlq], options.accept)
    parts = Parts(
        make_intake=lambda assignment, owner: Intake(
            lambda error_cb, on_commit: clients.make(
                Consumer, clients.member_config(settings) | {"error_cb": error_cb, "on_commit": on_commit}
            ),
            settings.topics.requests,
            assignment,
            owner,
        ),
        make_committer=_committer_maker(settings, topics),
        pipeline=steps,
        policy=LivePolicy(settle_policy(settings), topics),
        judge=starter.judge,
        admissions=gates,
        topic_ids=topics.ids,
        broker_answers=topics.refresh,
        watch=watch,
        now_ms=CLOCK.now_ms,
        holds_no_record=GapReader(settings).holds_no_record,
        accepted=[(f"--{kind.replace('_', '-')}", partition) for kind, partition in options.accept],
    )
    return Worker(parts, settings.worker, Budget(options.limit, options.max_cost_usd))


def _committer_maker(
    settings: Settings, topics: TopicWatch
) -> Callable[[Callable[[Sequence[Commit]], None]], Committer]:
    def sizes() -> dict[str, int]:
        limits = topics.limits().values()
        batch = max(min(min(limits, default=1_048_588) - 1_024, 1_000_000), 10_000)
        return {"message.max.bytes": max(clients.LARGEST_RECORD_BYTES, *limits), "batch.size": batch}

    if settings.worker.delivery == "at_least_once":
        return lambda commit: PlainCommitter(lambda: clients.producer(settings, **sizes()), commit)
    identity = claim(
        settings.kafka.transactional_id, settings.kafka.group_id, default_state_dir(settings.worker.state_dir)
    )

    def make() -> Producer:  # holds `identity`, and with it the lock, as long as the committer lives
        own = {"transactional.id": identity.name, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
        return clients.producer(settings, **sizes(), **own)

    return lambda _: TransactionalCommitter(make, GroupOffsets(settings, CALL_S).committed, identity.name)


def on_gate_change(watch: Watch) -> Callable[[GateChange], None]:
    """Gate changes as events of a watch."""

    def told(change: GateChange) -> None:
        watch.gate_changed(
            change.provider,
            change.scope,
            is_open=change.open,
            cause=change.cause,
            detail=change.detail,
            opens_in_s=change.opens_in_s,
        )

    return told


def run_worker(settings: Settings, options: WorkerOptions) -> None:
    """The worker, until a signal or its budget ends it. Raises ConfigError, FencedError, DependencyError."""
    tasks = catalogue(settings)
    used_providers(settings, tasks)
    check_prices(settings, tasks, options)
    on_a_loop(_work(settings, tasks, options))


async def _work(settings: Settings, tasks: Catalogue, options: WorkerOptions) -> None:
    async with AsyncExitStack() as open_things:
        told = await open_things.enter_async_context(telemetry(settings, tasks.versions()))
        for note in price_notes(settings, tasks.versions()):
            told.logger.warning(note)
        told.logger.info("loading the providers", providers=provider_addresses(settings, tasks))
        called = calling(settings, tasks, on_gate_change(told.watch), observed=told.observed, noticed=told.noticed)
        open_things.push_async_callback(called.aclose)
        topics = TopicWatch(settings, [version.results_topic for version in tasks.versions()])
        await until_topics_are_known(topics, told.watch.trouble)
        steps = pipeline(tasks, called.providers)
        worker = make_worker(settings, topics, steps, called.gates, told.watch, options)
        told.look_at(lambda: replace(worker.figures(), quotas=tuple(_quota_figures(called.gates))))

        def stop(cause: str) -> None:
            at_most_s = settings.worker.drain_timeout_s + LEAVING_S
            told.logger.info("leaving; a second Ctrl-C or SIGTERM ends it at once", cause=cause, at_most_s=at_most_s)
            worker.stop(cause)

        def ended_at_once() -> None:
            told.last_words(
                "ended at once; calls in flight will run again, and be paid again", worker.figures().in_flight
            )

        stop_on_signals(stop, at_once=ended_at_once)
        spare_the_garbage_collector()
        try:
            await worker.run()
        except KafkaException as error:
            raise DependencyError(
                f"Kafka refuses this worker: {error.args[0].str()} ({error.args[0].name()})"
            ) from error


def spare_the_garbage_collector() -> None:
    """Leave what is loaded by now out of collections, and collect less often: for a process that is a worker only.

    At full load a worker keeps thousands of requests. With Python's thresholds, walking through them took a fifth of
    its CPU, and each full collection held up calls and commits for 170 ms (`python -m benchmarks --only a`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def on_a_loop(main: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run on the fastest loop there is."""
    try:
        import uvloop  # not made for Windows
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def until_topics_are_known(topics: TopicWatch, say: Callable[[str], None]) -> None:
    """Ask until a broker answers; say why we wait, and again when that changes. Raises ConfigError when a topic isn't
    there."""
    said = ""
    while True:
        try:
            await asyncio.to_thread(topics.load)
        except DependencyError as error:
            if str(error) != said:
                said = str(error)
                say(f"{error} The worker waits, and asks again every second.")
            await asyncio.sleep(1)
        else:
            return


def stop_on_signals(
    stop: Callable[[str], None],
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    at_once: Callable[[], None] = lambda: None,
) -> None:
    """The first signal, by its name, stops gently; a second one ends the process at once (exit code 128 + number).

    at_once: called just before that end."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def received(number: int) -> None:
        if seen:
            try:
                at_once()
            finally:
                with suppress(ProcessLookupError):
                    signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
        seen.append(number)
        stop(signal.Signals(number).name)

    for each in signals:
        loop.add_signal_handler(each, received, each)
