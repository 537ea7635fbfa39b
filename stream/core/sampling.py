"""Chance that can be repeated: whether an id belongs to a share depends on salt and id alone.

So retries and replays stay on their side, and shares with different salts are independent of each other.
"""

import hashlib


def fraction(salt: str, id: str) -> float:  # noqa: A002  (the field's word)
    """Where the id stands in [0, 1]: the first 8 bytes of SHA-256(salt NUL id), big-endian, over 2^64.

    Lone surrogates are hashed as they are ("surrogatepass"): every string has a place.
    """
    digest = hashlib.sha256(f"{salt}\0{id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def sampled(salt: str, id: str, rate: float) -> bool:  # noqa: A002
    """Whether the id is in the sample of this rate (0: never, 1: always)."""
    return rate >= 1 or fraction(salt, id) < rate
