"""Calls are counted and timed from outside; what is wrapped doesn't notice."""

import asyncio

import pytest

from stream.core.errors import ErrorClass, ProviderError
from stream.core.records import Completion, ModelCall, Stop, Usage
from stream.telemetry.observed import ENDINGS, Observed
from tests.support.faulty_provider import FaultyProvider, model_call
from tests.support.telemetry_parts import scraped, some_metrics
from tests.support.virtual_time import run_virtual


class Calls:
    """A moody provider, observed."""

    def __init__(self, failure: ErrorClass | None = None) -> None:
        self.inner = FaultyProvider(lambda *_: failure, latency_s=0.2)
        self.metrics = some_metrics()
        self.observed = Observed(self.inner, "main", self.metrics)

    def count(self, ending: str, model: str = "small-1") -> float:
        return scraped(self.metrics)[f'llm_stream_calls_total{{class="{ending}",model="{model}",provider="main"}}']

    @property
    def total(self) -> float:
        return sum(value for name, value in scraped(self.metrics).items() if name.startswith("llm_stream_calls_total"))


def test_a_call_that_brings_a_reply_is_counted_timed_and_its_tokens_added():
    calls = Calls()
    run_virtual(calls.observed.complete(model_call("r", model="small-1")))
    samples = scraped(calls.metrics)
    of_model = 'model="small-1",provider="main"'
    assert (calls.count("ok"), calls.total) == (1, 1)
    assert samples[f"llm_stream_call_seconds_sum{{{of_model}}}"] == pytest.approx(0.2)
    assert samples[f'llm_stream_call_seconds_bucket{{le="0.1",{of_model}}}'] == 0
    assert samples[f'llm_stream_call_seconds_bucket{{le="0.25",{of_model}}}'] == 1
    assert samples[f'llm_stream_tokens_total{{{of_model},tokens="input"}}'] == 1
    assert samples[f'llm_stream_tokens_total{{{of_model},tokens="output"}}'] == 1


@pytest.mark.parametrize("failure", ErrorClass)
def test_a_failure_is_counted_by_its_class_and_passed_on(failure):
    calls = Calls(failure)
    with pytest.raises(ProviderError) as raised:
        run_virtual(calls.observed.complete(model_call("r", model="small-1")))
    assert raised.value.error_class is failure
    assert (calls.count(failure), calls.total) == (1, 1)


def test_a_call_that_was_given_up_counts_as_cancelled():
    calls = Calls()

    async def give_up() -> None:
        async with asyncio.timeout(0.1):
            await calls.observed.complete(model_call("r", model="small-1"))

    with pytest.raises(TimeoutError):
        run_virtual(give_up())
    assert (calls.count("cancelled"), calls.total) == (1, 1)


def test_a_defect_of_the_provider_counts_as_one():
    calls = Calls()
    calls.inner.mood = lambda *_: {}["unforeseen"]
    with pytest.raises(KeyError):
        run_virtual(calls.observed.complete(model_call("r", model="small-1")))
    assert (calls.count("defect"), calls.total) == (1, 1)


def test_a_model_that_no_prompt_version_names_counts_as_other():
    calls = Calls()
    for number in range(3):
        run_virtual(calls.observed.complete(model_call("r", model=f"surprise-{number}")))
    assert (calls.count("ok", "other"), calls.total) == (3, 3)


def test_every_ending_has_a_series_from_the_start():
    calls = Calls()
    assert [calls.count(ending) for ending in ENDINGS] == [0] * len(ENDINGS)


class Absurd:
    """A provider whose figures can't be."""

    async def complete(self, call: ModelCall) -> Completion:
        return Completion("{}", Stop.COMPLETE, "stop", call.model, Usage(-5, -5), -1)

    async def aclose(self) -> None: ...


def test_absurd_figures_of_a_provider_do_no_harm():
    calls = Calls()
    run_virtual(Observed(Absurd(), "main", calls.metrics).complete(model_call("r", model="small-1")))
    assert calls.count("ok") == 1
