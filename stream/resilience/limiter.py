"""How fast one worker may call the models of a pool: a token bucket for each quota, filled with the worker's share.

    rate = limit · share · gain · tilt

* **limit**: of what the provider's headers and the settings say the lower; a meter of which neither speaks limits
  nothing.
* **share**: this worker's part of the fleet's quota, 1 while it is alone.
* **gain**: what 429s leave of it, see `Gain`.
* **tilt**: how full the provider says the quota is: 1 while 3 s worth of it are left (half of what it ever held, if
  that is less), below that in proportion. So others who use it are noticed before the first 429; and it is used up, for
  it comes to rest where as much is taken as comes back. Where nothing is heard of it for 2 s, it is thought to refill
  with a quarter of its rate.

A call reserves what it will probably use, and settles for what it did. One that is larger than what comes in a second
goes at once if the provider says that so much is left, and the next wait until it is paid back; one that is larger than
the whole quota is taken for as large as that. Invariant: in any W seconds at most rate·W + burst + 1 calls go, burst
being what the rate brings in a second. No clock: callers pass the time, which never goes back.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stream.core.quotas import Meter, Quota, Quotas
from stream.resilience.gain import Gain

BURST_S = 1.0
AMPLE_S = 3.0
LEAST_TILT = 0.05
LEAST_SHARE = 0.001
SILENCE_S = 2.0
REFILL = 0.25
UNTOLD_S = 15.0
"""So many seconds' worth are thought to be left of a quota that only the settings speak of."""
LONGEST_WAIT_S = 1.0
MINUTE_S = 60.0
_NOTHING = 1e-9
_FORGETS = 0.99

Need = Mapping[Meter, float]
"""What a call uses of each meter, or is thought to use."""


@dataclass(frozen=True, slots=True)
class QuotaView:
    """How a quota stands, for people.

    limit_per_minute: of settings and headers the lower. remaining: what the provider last said; None: nothing yet.
    permitted_per_minute: what this worker may use of it at its present pace.
    """

    meter: Meter
    limit_per_minute: float
    remaining: float | None
    permitted_per_minute: float


class _Bucket:
    """One meter's."""

    __slots__ = ("_ample", "at_s", "ceiling", "heard_s", "largest", "level", "most", "per_s", "quota")

    def __init__(self, ceiling: float, now_s: float) -> None:
        self.ceiling = ceiling
        """From the settings, per second; infinite: none."""
        self.per_s = ceiling
        self._ample = 0.0
        self.level = 0.0
        self.largest = 0.0
        """What the largest call lately took: so much a bucket holds at least, or it would never pass."""
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
        self._ample = min(AMPLE_S * quota.per_s, self.most / 2)

    def tilt(self, now_s: float) -> float:
        """0.05 ≤ tilt ≤ 1, see the module."""
        if self.quota is None:
            return 1.0
        left, silent_s = self.quota.remaining, now_s - self.heard_s - SILENCE_S
        if silent_s > 0:
            left += REFILL * self.quota.per_s * silent_s
        if left >= self._ample and left > 0:
            return 1.0
        return max(LEAST_TILT, left / self._ample) if self._ample > 0 else LEAST_TILT


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
        """Seconds until a call may go by time alone, or until it is worth asking again, at most 1; 0: now."""
        longest_s = 0.0
        for meter, bucket in self._buckets.items():
            missing, rate = self._missing(bucket, need.get(meter, 0.0), now_s)
            if missing > _NOTHING:
                longest_s = max(longest_s, bucket.at_s - now_s + missing / rate)
        return min(longest_s, LONGEST_WAIT_S)

    def room(self, need: Need, now_s: float) -> float:
        """How many such calls might go at once; infinite where no quota is known."""
        fewest = math.inf
        for meter, bucket in self._buckets.items():
            wanted = need.get(meter, 0.0)
            if wanted > 0:
                missing, _ = self._missing(bucket, wanted, now_s)
                fewest = min(fewest, 0.0 if missing > _NOTHING else max(1.0, (bucket.level + _NOTHING) // wanted))
        return fewest

    def reserve(self, need: Need, now_s: float) -> Reservation:
        """Take it; only to be called where `wait_s` is 0, but for the probe of what is shut."""
        taken = {}
        for meter, bucket in self._buckets.items():
            taken[meter] = wanted = min(need.get(meter, 0.0), bucket.per_s * MINUTE_S)
            self._advance(bucket, now_s)
            bucket.largest = max(wanted, bucket.largest * _FORGETS)
            bucket.level -= wanted
        return Reservation(taken)

    def settle(self, reservation: Reservation, used: Need, now_s: float) -> None:
        """The call was served: give back what it didn't use, take what it used beyond. used: what isn't in it is as
        reserved."""
        self._correct(
            reservation, {meter: need - used.get(meter, need) for meter, need in reservation.need.items()}, now_s
        )

    def refund(self, reservation: Reservation, now_s: float, *, sent: bool = True) -> None:
        """The call was refused, or failed: it used no tokens. That a request was sent stays, if it was."""
        back = {meter: 0.0 if sent and meter is Meter.REQUESTS else need for meter, need in reservation.need.items()}
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

    def look(self, now_s: float) -> list[QuotaView]:
        """How each known quota stands."""
        return [
            QuotaView(
                meter,
                bucket.per_s * MINUTE_S,
                None if bucket.quota is None else bucket.quota.remaining,
                self._rate(bucket, now_s) * MINUTE_S,
            )
            for meter, bucket in self._buckets.items()
        ]

    def _rate(self, bucket: _Bucket, now_s: float) -> float:
        return bucket.per_s * self._share * self.gain.at(now_s) * bucket.tilt(now_s)

    def _missing(self, bucket: _Bucket, need: float, now_s: float) -> tuple[float, float]:
        """What must come into the bucket before a call that needs so much may go, and how much comes in a second."""
        wanted = min(need, bucket.per_s * MINUTE_S)
        rate = self._advance(bucket, now_s, wanted)
        left = bucket.per_s * UNTOLD_S if bucket.quota is None else bucket.quota.remaining
        return max(min(wanted, rate * BURST_S), wanted - self._share * left) - bucket.level, rate

    def _advance(self, bucket: _Bucket, now_s: float, wanted: float = 0.0) -> float:
        """Fill it up to now, for a call that wants so much: its rate."""
        rate = self._rate(bucket, now_s)
        if now_s > bucket.at_s:
            bucket.level += (now_s - bucket.at_s) * rate
            bucket.at_s = now_s
        if wanted > bucket.largest:
            bucket.largest = wanted
        bucket.level = min(bucket.level, max(bucket.largest, rate * BURST_S))
        return rate

    def _correct(self, reservation: Reservation, back: Need, now_s: float) -> None:
        for meter, amount in back.items():
            bucket = self._buckets.get(meter)
            if bucket is not None:
                self._advance(bucket, now_s)
                bucket.level += amount
        reservation.need = {}
