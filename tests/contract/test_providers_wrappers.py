"""The deadline and the account, around any provider."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stream.core.errors import ErrorClass, ProviderError
from stream.core.records import Completion, ModelCall, Stop, Usage
from stream.providers.billed import Billed
from stream.providers.deadline import Deadline
from tests.support.provider_replies import model_call

USAGE = Usage(10, 5)


class Scripted:
    """A provider that does what it is told."""

    def __init__(self, act: Callable[[], Awaitable[Completion]]) -> None:
        self.act = act
        self.calls_seen: list[int] = []
        self.closed = 0

    async def complete(self, call: ModelCall) -> Completion:
        self.calls_seen.append(call.tally.calls)
        return await self.act()

    async def aclose(self) -> None:
        self.closed += 1


def completing(usage: Usage | None = USAGE) -> Scripted:
    async def act() -> Completion:
        return Completion("hello", Stop.COMPLETE, "end_turn", "served", usage, 1)

    return Scripted(act)


def failing(*, unbilled: bool) -> Scripted:
    async def act() -> Completion:
        raise ProviderError(ErrorClass.TRANSIENT, "no", unbilled=unbilled)

    return Scripted(act)


def hanging() -> Scripted:
    async def act() -> Completion:
        await asyncio.Event().wait()
        raise AssertionError

    return Scripted(act)


def billed(inner: Scripted, **prices: int) -> Billed:
    return Billed("main", inner, lambda provider, model, usage: prices.get(model.replace("-", "_")))


async def test_a_call_that_takes_too_long_is_ambiguous() -> None:
    with pytest.raises(ProviderError) as caught:
        await Deadline("main", hanging(), 0.01).complete(model_call())
    assert caught.value.error_class is ErrorClass.AMBIGUOUS
    assert not caught.value.unbilled


async def test_a_call_in_time_passes_the_deadline() -> None:
    assert (await Deadline("main", completing(), 5).complete(model_call())).text == "hello"


async def test_cancellation_is_not_taken_for_the_deadline() -> None:
    running = asyncio.create_task(Deadline("main", hanging(), 60).complete(model_call()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_deadline_around_the_deadline_keeps_its_own_meaning() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await Deadline("main", hanging(), 60).complete(model_call())


async def test_a_call_is_counted_before_it_is_handed_on() -> None:
    inner = failing(unbilled=False)
    with pytest.raises(ProviderError):
        await billed(inner).complete(model_call())
    assert inner.calls_seen == [1]


@pytest.mark.parametrize(("unbilled", "micro_usd", "unpriced"), [(True, 0, 0), (False, None, 1)])
async def test_an_unbilled_error_costs_nothing_and_the_price_of_another_is_unknown(
    unbilled: bool, micro_usd: int | None, unpriced: int
) -> None:
    call = model_call()
    with pytest.raises(ProviderError):
        await billed(failing(unbilled=unbilled)).complete(call)
    assert (call.tally.cost().micro_usd, call.tally.unpriced_calls) == (micro_usd, unpriced)


async def test_a_completion_is_billed_with_its_tokens() -> None:
    call = model_call()
    await billed(completing(), some_model=7).complete(call)
    assert (call.tally.known_micro_usd, call.tally.unpriced_calls, call.tally.usage) == (7, 0, USAGE)


async def test_a_model_without_a_price_is_priced_as_the_one_that_answered() -> None:
    call = model_call()
    await billed(completing(), served=9).complete(call)
    assert call.tally.known_micro_usd == 9


async def test_tokens_without_a_price_are_counted_and_the_call_is_unpriced() -> None:
    call = model_call()
    await billed(completing()).complete(call)
    assert (call.tally.unpriced_calls, call.tally.usage, call.tally.cost().micro_usd) == (1, USAGE, None)


async def test_a_completion_without_usage_is_unpriced() -> None:
    call = model_call()
    await billed(completing(usage=None), some_model=7).complete(call)
    assert (call.tally.calls, call.tally.unpriced_calls, call.tally.usage) == (1, 1, Usage())


async def test_a_call_cut_by_the_deadline_is_unpriced() -> None:
    call = model_call()
    with pytest.raises(ProviderError):
        await Billed("main", Deadline("main", hanging(), 0.01), lambda *_: 7).complete(call)
    assert (call.tally.calls, call.tally.unpriced_calls) == (1, 1)


async def test_a_cancelled_call_is_unpriced() -> None:
    call = model_call()
    running = asyncio.create_task(billed(hanging()).complete(call))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (call.tally.calls, call.tally.unpriced_calls) == (1, 1)


async def test_closing_reaches_the_provider() -> None:
    inner = completing()
    await Billed("main", Deadline("main", inner, 1), lambda *_: 7).aclose()
    assert inner.closed == 1
