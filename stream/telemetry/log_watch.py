"""What the worker tells, as log lines: one for each outcome, one for each change, none for what only repeats itself."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from stream.core import headers
from stream.core.outcomes import Completed, DeadLettered, Outcome
from stream.core.records import Cost, Record
from stream.telemetry.watch import Watch

REPEAT_S = 60.0
LONG_SHUT_S = 30.0
"""A gate that shuts for longer is always worth a line."""

NEEDS_A_PERSON = {
    "account": "correct the key (this provider's api_key_env or api_key_file) or the account's credit and limits; a "
    "key file is read again before each probe, a key in the environment needs a restart; no request is dead-lettered",
    "unknown_model": "correct the task's `model`, or this provider's base_url or deployment, or ask the provider for "
    "access to the model; requests for it wait meanwhile",
}


class Repeats:
    """Which of many equal messages are worth saying: one in `period_s`. Remembers the last 256 different ones."""

    def __init__(self, period_s: float = REPEAT_S, bound: int = 256) -> None:
        self._period_s = period_s
        self._bound = bound
        self._said: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def held_back(self, message: Hashable, now_s: float) -> int | None:
        """How many equal ones were held back since the last that was said; None: hold this one back too."""
        said_s, held = self._said.pop(message, (float("-inf"), 0))
        says = now_s - said_s >= self._period_s
        self._said[message] = (now_s, 0) if says else (said_s, held + 1)
        if len(self._said) > self._bound:
            self._said.popitem(last=False)
        return held if says else None


class LogWatch(Watch):
    """Events as lines. No line holds prompts, replies or inputs; a dead letter's `detail` is bounded and scrubbed."""

    def __init__(self, logger: FilteringBoundLogger, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._log = logger
        self._now_s = monotonic_s
        self._repeats = Repeats()
        self._gates: dict[tuple[str, str], bool] = {}
        """Gates that are shut; whether that was said."""
        self._published = 0

    def finished(self, record: Record, outcome: Outcome) -> None:
        """The one line of a request."""
        if isinstance(outcome, Completed):
            self._completed(record, outcome)
        else:
            self._dead_lettered(record, outcome)

    def committed(self, outcomes: int, seconds: float) -> None:
        """Nothing is said of single commits; how many outcomes there were is told in the end."""
        self._published += outcomes

    def attempt_failed(self, reason: str) -> None:
        """A commit that is tried again."""
        self._unless_repeated("a commit failed; the same outcomes are tried again", reason=reason)

    def refused(self, record: Record, reason: str) -> None:
        """An outcome the broker won't take."""
        self._unless_repeated(
            "the broker refuses an outcome; its request stays unfinished, and nothing is lost",
            error=True,
            source=_source(record),
            reason=reason,
            what_to_do="compare the topics with `llm-stream topics check`; it is tried again by itself",
        )

    def audit_dropped(self) -> None:
        """An audit copy is missing."""
        self._unless_repeated("an audit copy could not be made and is left out; the outcome isn't affected")

    def joining(self, waited_s: float) -> None:
        """Nothing comes before the group has answered: said at once, and explained when it takes long."""
        if waited_s < 1:
            self._log.info("joining the group")
            return
        self._log.info(
            "still joining the group; a worker that ended without leaving keeps its partitions until its session times "
            "out (`session.timeout.ms`, 45 s unless set)",
            waited_s=round(waited_s),
        )

    def assigned(self, partitions: Iterable[str]) -> None:
        """Partitions came; none, perhaps."""
        if names := list(partitions):
            self._log.info("partitions assigned", partitions=in_ranges(names))
        else:
            self._log.info("joined the group; there is no partition for this worker now")

    def started(self, offsets: Mapping[str, int]) -> None:
        """Reading begins."""
        at = list(offsets.values())
        said = str(at[0]) if len(set(at)) == 1 else ", ".join(map(str, at[:12])) + ("..." if len(at) > 12 else "")
        self._log.info("reading begins", partitions=in_ranges(offsets), offset=said)

    def stopped(self, partition: str, cause: str, detail: str, remedy: str) -> None:
        """A person must decide."""
        self._log.error(
            "partition stopped until a person decides; the others go on",
            partition=partition,
            cause=str(cause),
            detail=detail,
            what_to_do=remedy,
        )

    def revoked(self, partitions: Iterable[str], *, lost: bool, cancelled: int, seconds: float) -> None:
        """Partitions went."""
        said: dict[str, Any] = {"partitions": in_ranges(partitions), "cancelled_calls": cancelled}
        said["drain_s"] = round(seconds, 3)
        if lost:
            self._log.warning("partitions lost without a drain; their next owner runs again what was open", **said)
        else:
            self._log.info("partitions given back", **said)

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
        """A gate's change, at once; one that flaps at most once in `REPEAT_S`, but never one that shuts for long."""
        if is_open:
            if self._gates.pop((provider, scope), False):
                self._log.info("gate opened; calls flow again", provider=provider, scope=scope, cause=cause)
            return
        remedy = NEEDS_A_PERSON.get(cause)
        held_back = self._repeats.held_back(("gate", provider, scope, cause), self._now_s())
        says = held_back is not None or remedy is not None or (opens_in_s or 0) >= LONG_SHUT_S
        self._gates[provider, scope] = says or self._gates.get((provider, scope), False)
        if not says:
            return
        say = self._log.warning if remedy is None else self._log.error
        said = {"provider": provider, "scope": scope, "cause": cause, "detail": detail}
        seconds = None if opens_in_s is None else round(opens_in_s, 1)
        say("gate shut; requests wait", **said, next_probe_s=seconds, **_optional(what_to_do=remedy, times=held_back))

    def tried_on(self, request_id: str, provider: str, model: str, calls: int, detail: str) -> None:
        """A request that doesn't come to an end: one of a model's at a time, once a minute."""
        held_back = self._repeats.held_back(("tried on", provider, model), self._now_s())
        if held_back is None:
            return
        self._log.warning(
            "a request fails again and again, and is tried on",
            request_id=request_id,
            provider=provider,
            model=model,
            calls=calls,
            detail=detail,
            what_to_do="nothing, if the provider has trouble; if the request is the cause, it becomes a dead letter "
            "once others get through meanwhile (with --limit there may be none: start a worker without)",
            **_optional(times=held_back),
        )

    def brokers(self, *, up: bool, detail: str) -> None:
        """Kafka went away, or is back."""
        if up:
            self._log.info("a broker answers again; the worker goes on")
        else:
            self._log.error("no broker answers; the worker waits, and goes on by itself once one does", detail=detail)

    def trouble(self, what: str) -> None:
        """What the worker goes on from by itself."""
        self._unless_repeated(what)

    def draining(self, seconds: float, cause: str) -> None:
        """A signal, or the budget is used up."""
        self._log.info("stopping: calls in flight may finish, nothing new starts", cause=cause, drain_timeout_s=seconds)

    def left(self) -> None:
        """The last line of a worker that ended in order."""
        self._log.info("left the group", outcomes_published=self._published)

    def _completed(self, record: Record, outcome: Completed) -> None:
        version, cost = outcome.version, outcome.cost
        self._log.info(
            "completed",
            request_id=outcome.request.id,
            task=version.task,
            prompt=version.label,
            source=_source(record),
            model=outcome.completion.model_served,
            latency_ms=outcome.completion.latency_ms,
            **_account(cost),
        )

    def _dead_lettered(self, record: Record, outcome: DeadLettered) -> None:
        failure, request, version = outcome.failure, outcome.request, outcome.version
        self._log.warning(
            "dead letter",
            stage=failure.stage,
            code=failure.code,
            detail=failure.detail,
            request_id=request.id if request else headers.text(record.headers or (), "ce_id"),
            task=request.task if request else None,
            prompt=version.label if version else None,
            source=_source(record),
            **_account(failure.cost),
        )

    def _unless_repeated(self, event: str, *, error: bool = False, **fields: Any) -> None:
        held_back = self._repeats.held_back((event, *fields.values()), self._now_s())
        if held_back is not None:
            say = self._log.error if error else self._log.warning
            say(event, **fields, **_optional(times=held_back))


def _source(record: Record) -> str:
    return f"{record.topic}:{record.partition}:{record.offset}"


def _account(cost: Cost) -> dict[str, Any]:
    account: dict[str, Any] = {"attempts": cost.attempts, "calls": cost.calls, "cost_micro_usd": cost.micro_usd}
    if cost.unpriced_calls:
        account["unpriced_calls"] = cost.unpriced_calls
    return account


def _optional(what_to_do: str | None = None, times: int | None = None) -> dict[str, Any]:
    """Fields that only some lines have. times: how many equal lines were held back; this one counts too."""
    found: dict[str, Any] = {}
    if what_to_do:
        found["what_to_do"] = what_to_do
    if times:
        found["times"] = times + 1
    return found


def in_ranges(partitions: Iterable[str]) -> str:
    """`topic:number` partitions in few words: `requests:0-11, requests:13`."""
    numbers: dict[str, list[int]] = {}
    for name in partitions:
        topic, _, number = name.rpartition(":")
        numbers.setdefault(topic, []).append(int(number))
    ranges = [f"{topic}:{span}" for topic in sorted(numbers) for span in _spans(sorted(numbers[topic]))]
    return ", ".join(ranges[:12]) + (f" and {len(ranges) - 12:,} more" if len(ranges) > 12 else "")


def _spans(numbers: Sequence[int]) -> Iterator[str]:
    """Ascending numbers as `3` and `5-8`."""
    first = 0
    for place, number in enumerate(numbers):
        if place + 1 == len(numbers) or numbers[place + 1] > number + 1:
            yield f"{numbers[first]}-{number}" if place > first else f"{number}"
            first = place + 1
