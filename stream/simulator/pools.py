"""A script's quotas in force: buckets of their own for each API key and entry, cut and given back on the second.

No I/O, no clock: callers pass the seconds since the script's first call, from which cuts and fixed windows count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from stream.simulator.entries import Allowance, Cut
from stream.simulator.quota import RULES, Levels, Quota, Refusal

KEPT_POOLS = 10_000
"""Beyond, the one made first is forgotten; a key that comes back then starts with full buckets."""


@dataclass(slots=True)
class Pool:
    """What one key has of one entry. changes: the cuts' (second, factor) still ahead, in order."""

    allowance: Allowance
    quota: Quota
    changes: list[tuple[float, float]]

    def admit(
        self, elapsed_s: float, input_tokens: int, max_output_tokens: int, *, cache_read_tokens: int = 0
    ) -> Refusal | None:
        """See `Quota`."""
        self._catch_up(elapsed_s)
        return self.quota.admit(elapsed_s, input_tokens, max_output_tokens, cache_read_tokens=cache_read_tokens)

    def produced(self, elapsed_s: float, output_tokens: int) -> None:
        """See `Quota`."""
        self._catch_up(elapsed_s)
        self.quota.produced(elapsed_s, output_tokens)

    def state(self, elapsed_s: float) -> Levels:
        """See `Quota`."""
        self._catch_up(elapsed_s)
        return self.quota.state(elapsed_s)

    def _catch_up(self, elapsed_s: float) -> None:
        """Cuts take effect when they are due, not when somebody next calls."""
        while self.changes and self.changes[0][0] <= elapsed_s:
            self.quota.scale(*self.changes.pop(0))


class Pools:
    """allowances: the first that matches rules a model. cuts: where several are in force, the lowest factor counts."""

    def __init__(self, allowances: Sequence[Allowance], cuts: Sequence[Cut], *, kept: int = KEPT_POOLS) -> None:
        self._allowances, self._cuts, self._kept = allowances, cuts, kept
        self._pools: dict[tuple[int, str, str | None], Pool] = {}

    def of(self, dialect: str, key: str | None, model: str) -> Pool | None:
        """What rules this key's calls of the model; None: nothing does. dialect: a row of `RULES`."""
        for at, allowance in enumerate(self._allowances):
            if fnmatchcase(model, allowance.models):
                found = self._pools.get((at, dialect, key))
                return found or self._made((at, dialect, key), allowance)
        return None

    def _made(self, name: tuple[int, str, str | None], allowance: Allowance) -> Pool:
        rules = RULES[name[1]]
        if allowance.rejects_count is not None:
            rules = replace(rules, rejects_count=allowance.rejects_count)
        pool = Pool(allowance, Quota(allowance.limits, rules), list(self._changes(allowance)))
        self._pools[name] = pool
        if len(self._pools) > self._kept:
            del self._pools[next(iter(self._pools))]
        return pool

    def _changes(self, allowance: Allowance) -> Iterator[tuple[float, float]]:
        cuts = [cut for cut in self._cuts if cut.concerns(allowance)]
        for at_s in sorted({edge_s for cut in cuts for edge_s in (cut.from_s, cut.to_s)}):
            yield at_s, min((cut.factor for cut in cuts if cut.from_s <= at_s < cut.to_s), default=1.0)
