"""Is the worker alive, and is it ready? Judged from its figures alone; neither asks the provider.

Not live: something hangs that only a restart can cure. Not ready: it can't work right now, and will by itself.
"""

from stream.telemetry.figures import Figures

POLL_LIMIT_S = 30.0
"""The poll loop goes round 50 times a second, also while it waits for a drain."""


def not_live(figures: Figures) -> list[str]:
    """Why the worker should be restarted; empty: it lives."""
    if figures.ticked_s_ago <= POLL_LIMIT_S:
        return []
    return [f"the poll loop last went round {figures.ticked_s_ago:.0f} s ago (limit {POLL_LIMIT_S:.0f} s)"]


def not_ready(figures: Figures) -> list[str]:
    """Why it isn't ready; empty: it is. Stopped partitions don't count: the others go on."""
    reasons = {
        "waiting for the group: which partitions are ours isn't known yet": not figures.assignment_known,
        "no broker answers": not figures.brokers_up,
        "draining: the worker is about to leave": figures.draining,
    }
    return [reason for reason, holds in reasons.items() if holds]
