"""How fast one worker may call the models of a pool: a token bucket for each quota, filled with the worker's share.

    rate = limit · share · gain · tilt

* **limit**: of what the provider's headers and the settings say the lower; a meter of which neither speaks limits
  nothing.
* **share**: this worker's part of the fleet's quota, 1 while it is alone.
* **gain**: what 429s leave of it, see `Gain`.
* **tilt**: how full the provider says the quota is: 1 while 3 s worth of it are left (half of what it ever held, if
  that is less), below that in proportion. So others who use it are noticed before the first 429; and it is used up, for
  it comes to rest where as much is taken as comes back.

A call reserves what it will probably use, and settles for what it did. Invariant: in any W seconds at most
rate·W + burst + 1 calls go, burst being what the rate brings in a second. A bucket may go into debt by one call, or
what is larger than a bucket would never pass. No clock: callers pass the time, which never goes back.
"""

import math
from collections.abc import Mapping

from stream.core.quotas import Meter, Quota, Quotas
from stream.resilience.gain import Gain

BURST_S = 1.0
AMPLE_S = 3.0
LEAST_TILT = 0.05
LEAST_SHARE = 0.001
MINUTE_S = 60.0
_NOTHING = 1e-9

Need = Mapping[Meter, float]
"""What a call uses of each meter, or is thought to use."""


class _Bucket:
    """One meter's."""

    __slots__ = ("at_s", "ceiling", "heard_s", "level", "most", "per_s", "quota", "tilt")

    def __init__(self, ceiling: float, now_s: float) -> None:
        self.ceiling = ceiling
        """From the settings, per second; infinite: none."""
        self.per_s = ceiling
        self.tilt = 1.0
        self.level = 0.0
        self.at_s = now_s
        self.quota: Quota | None = None
        self.heard_s = -math.inf
        self.most = 0.0

    def hear(self, quota: Quota, at_s: float) -> None:
        """The provider spoke."""
        self.quota, self.heard_s = quota, at_s
        # A quota for a day is nothing to pace by: what is left of it may go within a minute.
        is_per_minute = quota.per_s * MINUTE_S >= quota.limit * 0.99
        self.per_s = min(self.ceiling, quota.per_s if is_per_minute else max(quota.per_s, quota.remaining / MINUTE_S))
        self.most = min(max(self.most, quota.remaining), quota.limit)
        ample = min(AMPLE_S * quota.per_s, self.most / 2)
        self.tilt = min(1.0, max(LEAST_TILT, quota.remaining / ample)) if ample > 0 else LEAST_TILT


class Reservation:
    """What a call took of each bucket; empty once settled or refunded."""

    __slots__ = ("need",)

    def __init__(self, need: Need) -> None:
        self.need = need


class Limiter:
    """See the module."""

    __slots__ = ("_buckets", "_share", "gain")

    def __init__(self, per_minute: Mapping[Meter, float] | None = None) -> None:
        """per_minute: ceilings from the settings, above 0."""
        self._buckets = {meter: _Bucket(limit / 60, 0.0) for meter, limit in (per_minute or {}).items()}
        self._share = 1.0
        self.gain = Gain()

    @property
    def limits(self) -> bool:
        """Whether any quota is known."""
        return bool(self._buckets)

    def rate(self, meter: Meter, now_s: float) -> float:
        """How much of a meter this worker may use per second now; infinite where no quota is known."""
        bucket = self._buckets.get(meter)
        return math.inf if bucket is None else self._rate(bucket, now_s)

    def wait_s(self, need: Need, now_s: float) -> float:
        """Seconds until a call may go by time alone; 0: now."""
        longest_s = 0.0
        for meter, bucket in self._buckets.items():
            rate = self._advance(bucket, now_s)
            missing = min(need.get(meter, 0.0), rate * BURST_S) - bucket.level
            if missing > _NOTHING:
                longest_s = max(longest_s, bucket.at_s - now_s + missing / rate)
        return longest_s

    def room(self, need: Need, now_s: float) -> float:
        """How many such calls might go at once; infinite where no quota is known."""
        fewest = math.inf
        for meter, bucket in self._buckets.items():
            rate = self._advance(bucket, now_s)
            wanted = need.get(meter, 0.0)
            if wanted > 0:
                first = 1.0 if bucket.level >= min(wanted, rate * BURST_S) - _NOTHING else 0.0
                fewest = min(fewest, max(first, bucket.level // wanted))
        return fewest

    def reserve(self, need: Need, now_s: float) -> Reservation:
        """Take it; only to be called where `wait_s` is 0, but for the probe of what is shut."""
        for meter, bucket in self._buckets.items():
            self._advance(bucket, now_s)
            bucket.level -= need.get(meter, 0.0)
        return Reservation({meter: need.get(meter, 0.0) for meter in self._buckets})

    def settle(self, reservation: Reservation, used: Need, now_s: float) -> None:
        """The call was served: give back what it didn't use, take what it used beyond. used: what isn't in it is as
        reserved."""
        self._correct(
            reservation, {meter: need - used.get(meter, need) for meter, need in reservation.need.items()}, now_s
        )

    def refund(self, reservation: Reservation, now_s: float) -> None:
        """The call was refused, or failed: it used no tokens. That a request was sent stays."""
        back = {meter: 0.0 if meter is Meter.REQUESTS else need for meter, need in reservation.need.items()}
        self._correct(reservation, back, now_s)

    def hear(self, quotas: Quotas, at_s: float, now_s: float) -> None:
        """What headers said at a moment, here or at another worker; of two words for a meter the later counts."""
        for meter, quota in quotas.items():
            bucket = self._buckets.get(meter)
            if bucket is None:
                bucket = self._buckets[meter] = _Bucket(math.inf, now_s)
                bucket.hear(quota, at_s)
                bucket.level = min(quota.remaining * self._share, self._rate(bucket, now_s) * BURST_S)
            elif at_s >= bucket.heard_s:
                self._advance(bucket, now_s)
                bucket.hear(quota, at_s)

    def told_to_wait(self, now_s: float, retry_after_s: float | None, opens_s: float) -> bool:
        """A 429 came, and nothing goes before `opens_s`: true if that was news. Then the buckets are empty, or all
        workers would send what they saved up meanwhile in the same second."""
        for bucket in self._buckets.values():
            self._advance(bucket, now_s)
            bucket.level = min(bucket.level, 0.0)
            bucket.at_s = max(bucket.at_s, opens_s)
        return self.gain.cut(now_s, retry_after_s)

    def set_share(self, share: float, now_s: float) -> None:
        """This worker's part of the fleet's quota, 0 < share ≤ 1."""
        for bucket in self._buckets.values():
            self._advance(bucket, now_s)
        self._share = min(1.0, max(LEAST_SHARE, share))

    def last_heard(self) -> Mapping[Meter, tuple[Quota, float]]:
        """What the provider said last of each meter, and when."""
        return {
            meter: (bucket.quota, bucket.heard_s) for meter, bucket in self._buckets.items() if bucket.quota is not None
        }

    def _rate(self, bucket: _Bucket, now_s: float) -> float:
        return bucket.per_s * self._share * self.gain.at(now_s) * bucket.tilt

    def _advance(self, bucket: _Bucket, now_s: float) -> float:
        """Fill it up to now: its rate."""
        rate = self._rate(bucket, now_s)
        if now_s > bucket.at_s:
            bucket.level += (now_s - bucket.at_s) * rate
            bucket.at_s = now_s
        bucket.level = min(bucket.level, rate * BURST_S)
        return rate

    def _correct(self, reservation: Reservation, back: Need, now_s: float) -> None:
        for meter, amount in back.items():
            bucket = self._buckets.get(meter)
            if bucket is not None:
                self._advance(bucket, now_s)
                bucket.level += amount
        reservation.need = {}
