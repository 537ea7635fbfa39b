"""What a worker tells about itself, as events: the seam between doing and watching.

`Watch` itself ignores everything; metrics and logs are watches. Every method is called on the event loop, returns at
once and must not raise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stream.core.outcomes import Outcome
from stream.core.records import Record


class Watch:
    """Ignores every event; subclass it and override what you want to know."""

    def received(self, records: int) -> None:
        """Records were read from Kafka."""

    def finished(self, record: Record, outcome: Outcome) -> None:
        """A request ended in an outcome that is not committed yet. Once per outcome and run."""

    def committed(self, outcomes: int, seconds: float) -> None:
        """An attempt went through: so many outcomes are visible now."""

    def attempt_failed(self, reason: str) -> None:
        """An attempt was aborted; its outcomes are tried again."""

    def refused(self, record: Record, reason: str) -> None:
        """The broker won't take an outcome's records: its offset stays unfinished until it does."""

    def audit_dropped(self) -> None:
        """An audit copy could not be made, or the broker refuses it."""

    def joining(self, waited_s: float) -> None:
        """The group hasn't given us its answer yet: at once, and every ten seconds while that is so."""

    def assigned(self, partitions: Iterable[str]) -> None:
        """Partitions (`topic:number`) became ours."""

    def started(self, offsets: Mapping[str, int]) -> None:
        """Reading of partitions began, each at its offset."""

    def stopped(self, partition: str, cause: str, detail: str, remedy: str) -> None:
        """A partition stopped, until a person decides."""

    def revoked(self, partitions: Iterable[str], *, lost: bool, cancelled: int, seconds: float) -> None:
        """Partitions are no longer ours; `cancelled` calls in flight were given up, `seconds` went into draining."""

    def gate_changed(
        self,
        provider: str,
        scope: str,
        *,
        is_open: bool,
        cause: str,
        detail: str,
        opens_in_s: float | None,
    ) -> None:
        """A gate shut, opened, or stays shut after a failed probe."""

    def tried_on(self, request_id: str, provider: str, model: str, calls: int, detail: str) -> None:
        """A request failed once more, in a way that may be its own, has had many calls, and is tried on."""

    def brokers(self, *, up: bool, detail: str) -> None:
        """All brokers went away, or one answers again."""

    def trouble(self, what: str) -> None:
        """Something went wrong that the worker goes on from by itself."""

    def draining(self, seconds: float, cause: str) -> None:
        """The worker stops, because of a signal or a budget: what is in flight gets so many seconds."""

    def left(self) -> None:
        """The worker has left its group: no event follows."""


EVENTS = tuple(name for name in vars(Watch) if not name.startswith("_"))
"""The names of all events."""


def fan_out(watches: Sequence[Watch]) -> Watch:
    """A watch that passes each event on to those of these that listen to it, in order."""
    together = Watch()
    for name in EVENTS:
        methods = [getattr(watch, name) for watch in watches]
        listening = [method for method in methods if getattr(method, "__func__", None) is not getattr(Watch, name)]
        if listening:
            setattr(together, name, listening[0] if len(listening) == 1 else _passed_on(listening))
    return together


def _passed_on(methods: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def event(*args: Any, **named: Any) -> None:
        for method in methods:
            method(*args, **named)

    return event
