"""What a worker is like right now, for gauges and health: asked for when somebody looks, never pushed."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QuotaFigures:
    """One quota of a provider's pool. Fields as in `resilience.limiter.QuotaView`."""

    provider: str
    pool: str
    meter: str
    limit_per_minute: float
    remaining: float | None
    permitted_per_minute: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A worker at one moment.

    in_flight: calls sent. waiting: requests read and not in flight (for a key, a gate, a slot, the window).
    uncommitted: outcomes not visible yet. partitions, stopped: `topic:number`, stopped with its cause.
    ticked_s_ago: since the poll loop last went round. quotas: those that settings or headers speak of.
    """

    in_flight: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    uncommitted: int = 0
    partitions: tuple[str, ...] = ()
    stopped: dict[str, str] = field(default_factory=dict)
    ticked_s_ago: float = 0.0
    assignment_known: bool = False
    brokers_up: bool = True
    draining: bool = False
    quotas: tuple[QuotaFigures, ...] = ()
