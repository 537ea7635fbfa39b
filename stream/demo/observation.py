"""The worker of the demo, watched: figures for the screen, and events in plain words."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from stream.core.outcomes import DeadLettered, Outcome
from stream.core.printable import printable_line
from stream.core.records import Record
from stream.demo.reasons import sentence
from stream.demo.view import GateSeen, Tone
from stream.telemetry.watch import Watch

RATE_EVERY_S = 0.5
_RATES = 60
_STATUS = re.compile(r"answered (\d{3})")
_MOST_REASONS = 6
"""So many kinds of dead letter are told as they come; the accounts tell all."""

Say = Callable[[str, Tone], None]


class Observation(Watch):
    """A watch that keeps count. waiting: how many requests wait right now."""

    def __init__(self, say: Say, waiting: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._waiting = waiting
        self._clock = clock
        self._reasons: set[tuple[str, str]] = set()
        self._shut: dict[tuple[str, str], _Shut] = {}
        self.results = self.dead_letters = self.visible = 0
        self.micro_usd = 0
        self.reading = False
        """Whether the worker has begun to read."""

    def finished(self, record: Record, outcome: Outcome) -> None:
        """A request ended."""
        if not isinstance(outcome, DeadLettered):
            self.results += 1
            self.micro_usd += outcome.cost.micro_usd or 0
            return
        self.dead_letters += 1
        failure = outcome.failure
        self.micro_usd += failure.cost.micro_usd or 0
        reason = (failure.stage, failure.code)
        if reason not in self._reasons and len(self._reasons) < _MOST_REASONS:
            self._reasons.add(reason)
            self._say(f"a dead letter: {sentence(*reason)}", "dead")

    def committed(self, outcomes: int, seconds: float) -> None:
        """Outcomes are visible to everybody."""
        self.visible += outcomes

    def started(self, offsets: Mapping[str, int]) -> None:
        """Reading begins."""
        if not self.reading:
            self.reading = True
            self._say("the worker has joined its group and reads", "plain")

    def stopped(self, partition: str, cause: str, detail: str, remedy: str) -> None:
        """A partition stands still: that is not in the script."""
        self._say(f"{detail} {remedy}", "bad")

    def gate_changed(
        self, provider: str, scope: str, *, is_open: bool, cause: str, detail: str, opens_in_s: float | None
    ) -> None:
        """A gate shut or opened, or a probe failed."""
        key = (provider, scope)
        before = self._shut.pop(key, None)
        if is_open:
            self._say(_opened(provider, cause, self._waiting()), "good")
            return
        status = _STATUS.search(detail)
        answer = status[1] if status else "errors"
        delay_s = opens_in_s or 0.0
        self._shut[key] = _Shut(answer, self._clock() + delay_s, 0 if before is None else before.probes + 1)
        if before is None:
            self._say(_shut(provider, cause, answer, self._waiting()), "bad")
        else:
            wait = f"{self._waiting()} waiting"
            self._say(f"{provider}: the probe got {answer} too, next in {delay_s:.1f} s; {wait}", "quiet")

    def brokers(self, *, up: bool, detail: str) -> None:
        """Kafka went away, or came back."""
        self._say("Kafka is back" if up else f"no broker answers: {detail}", "good" if up else "bad")

    def trouble(self, what: str) -> None:
        """Something the worker goes on from."""
        self._say(what, "bad")

    def attempt_failed(self, reason: str) -> None:
        """A commit did not go through and is tried again."""
        self._say(f"a commit failed and is tried again: {reason}", "bad")

    def gates(self, providers: Iterable[str]) -> tuple[GateSeen, ...]:
        """How the providers' gates stand."""
        now_s = self._clock()
        seen = []
        for provider in providers:
            shut = [each for (name, _), each in self._shut.items() if name == provider]
            if not shut:
                seen.append(GateSeen(provider))
                continue
            last = max(shut, key=lambda each: each.until_s)
            probe_in_s = last.until_s - now_s if last.until_s > now_s else None
            seen.append(GateSeen(provider, f"it answers {last.answer}", probe_in_s, last.probes))
        return tuple(seen)


class _Shut(NamedTuple):
    """A gate that is shut: what the provider answered last, until when, and how many probes have failed."""

    answer: str
    until_s: float
    probes: int


def _shut(provider: str, cause: str, answer: str, waiting: int) -> str:
    waits = f"{waiting} waiting, none lost" if waiting else "requests wait, none lost"
    if cause == "breaker":
        return f"{provider} fails for all ({answer}): breaker open, {waits}"
    return f"{provider} answers {printable_line(answer)}: gate shut, {waits}"


def _opened(provider: str, cause: str, waiting: int) -> str:
    if cause == "breaker":
        return f"{provider}: the probes got through, calls flow again"
    return f"{provider}: the probe met no 429: gate open, one call first; {waiting} waiting"


class Rates:
    """Calls per second, from a counter looked at now and then."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_RATES)
        self._at_s: float | None = None
        self._count = 0

    def look(self, count: int, now_s: float) -> tuple[float, ...]:
        """Note the counter; the rates so far, oldest first."""
        if self._at_s is None:
            self._at_s, self._count = now_s, count
        elif (passed_s := now_s - self._at_s) >= RATE_EVERY_S:
            self._seen.append((count - self._count) / passed_s)
            self._at_s, self._count = now_s, count
        return tuple(self._seen)
