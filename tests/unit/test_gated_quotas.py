"""Calls are paced by the quotas of their pool, in virtual time, before a provider that keeps them."""

import asyncio

import pytest

from stream.core.errors import ErrorClass, ProviderError, RouteError
from stream.core.quotas import Meter, Quota
from stream.core.records import Completion, Stop, Usage
from stream.providers.gated import Gated
from stream.resilience.gate import Gate
from tests.support.faulty_provider import model_call
from tests.support.virtual_time import VirtualClock, run_virtual

PER_MINUTE = 600


class Quotad:
    """A provider with a quota of requests: what others leave of it, told in headers or not."""

    def __init__(self, *, others=lambda now_s: 0.0, says=True):
        self.others, self.says = others, says
        self.left, self.at_s = float(PER_MINUTE), 0.0
        self.sent, self.refused = [], []

    async def complete(self, call):
        now_s = asyncio.get_running_loop().time()
        refill = PER_MINUTE / 60 * (1 - self.others(now_s))
        self.left, self.at_s = min(PER_MINUTE, self.left + refill * (now_s - self.at_s)), now_s
        self.sent.append(now_s)
        refused = self.left < 1
        if not refused:
            self.left -= 1
        quotas = {Meter.REQUESTS: Quota(PER_MINUTE, self.left, PER_MINUTE / 60)} if self.says else {}
        await asyncio.sleep(0.1 if refused else 1.0)
        if refused:
            self.refused.append(now_s)
            raise ProviderError(ErrorClass.RATE_LIMITED, "slow down", retry_after_s=1.0, quotas=quotas)
        return Completion("{}", Stop.COMPLETE, "end_turn", call.model, Usage(10, 10), 1_000, quotas)

    async def aclose(self): ...


def backlog(provider, for_s, *, per_minute=None, expires_at_ms=None):
    """As many calls as may go, for so long: when each was answered."""
    answered, expired = [], []

    async def main():
        gate = Gate("p", {"all": ["*"]}, per_minute={"all": per_minute} if per_minute else None)
        gated = Gated(provider, gate, VirtualClock(), lambda: 0.5)

        async def request(number):
            call = model_call(f"r{number}").evolve(expires_at_ms=expires_at_ms)
            while True:
                try:
                    await gated.complete(call)
                except ProviderError:
                    continue
                except RouteError:
                    expired.append(number)
                    return
                answered.append(asyncio.get_running_loop().time())
                return

        tasks = [asyncio.create_task(request(number)) for number in range(int(for_s * 12) + 100)]
        await asyncio.sleep(for_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gated.aclose()

    run_virtual(main())
    return answered, expired


def test_a_ceiling_from_the_settings_is_kept_and_used():
    provider = Quotad(says=False)
    backlog(provider, 60.0, per_minute={Meter.REQUESTS: 300})
    assert len(provider.sent) == pytest.approx(300, abs=6)


def test_a_quota_told_in_headers_is_used_without_a_single_429():
    provider = Quotad()
    backlog(provider, 120.0)
    assert not provider.refused
    assert len([at_s for at_s in provider.sent if at_s > 60]) == pytest.approx(600, abs=10)


def test_when_others_take_three_quarters_of_it_the_rest_is_used_and_hardly_a_call_refused():
    provider = Quotad(others=lambda now_s: 0.75 if now_s >= 30 else 0.0)
    backlog(provider, 330.0)
    assert len([at_s for at_s in provider.sent if at_s >= 130]) / 200 == pytest.approx(2.5, rel=0.04)
    assert len(provider.refused) <= 2


def test_when_the_others_are_gone_nine_tenths_of_the_rate_are_back_within_ten_seconds():
    provider = Quotad(others=lambda now_s: 0.75 if 30 <= now_s < 200 else 0.0)
    backlog(provider, 230.0)
    assert len([at_s for at_s in provider.sent if 210 <= at_s < 220]) >= 90


def test_a_ceiling_that_is_twice_the_real_quota_is_corrected_by_the_first_headers():
    provider = Quotad()
    backlog(provider, 120.0, per_minute={Meter.REQUESTS: 1_200})
    assert not provider.refused


def test_without_headers_429s_teach_the_quota():
    provider = Quotad(says=False)
    backlog(provider, 600.0, per_minute={Meter.REQUESTS: 1_200})
    late = [at_s for at_s in provider.sent if at_s >= 300]
    refused = [at_s for at_s in provider.refused if at_s >= 300]
    assert len(refused) / len(late) < 0.03
    assert (len(late) - len(refused)) / 300 > 8.5


def test_calls_that_expired_while_they_waited_use_nothing_of_the_quota():
    provider = Quotad(says=False)
    _, expired = backlog(provider, 60.0, per_minute={Meter.REQUESTS: 60}, expires_at_ms=1_800_000_000_000 + 5_000)
    assert len(provider.sent) <= 7
    assert len(expired) > 800
