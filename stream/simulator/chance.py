"""Chance that can be repeated: every draw is a function of the seed and of what it is for."""

import math
from hashlib import blake2b
from statistics import NormalDist

_STANDARD_NORMAL = NormalDist()


def digest(seed: int, *purpose: object) -> int:
    """A 64-bit number, evenly spread over different purposes."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def fraction(seed: int, *purpose: object) -> float:
    """A number in [0, 1)."""
    return (digest(seed, *purpose) >> 11) / (1 << 53)


def log_normal(seed: int, call: int, *, median: float, sigma: float) -> float:
    """The latency of one call, in the median's unit: median · e^(sigma·z), z standard normal; 0 if the median is."""
    if median <= 0:
        return 0.0
    probability = min(max(fraction(seed, "latency", call), 1e-9), 1 - 1e-9)
    return median * math.exp(sigma * _STANDARD_NORMAL.inv_cdf(probability))
