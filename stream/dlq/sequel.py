"""What became of a dead letter that was sent again: whether a second replay would do the same work twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from stream.core import headers as names
from stream.dlq.envelope import DeadLetter
from stream.kafka import finding
from stream.kafka.decisions import Decision
from stream.kafka.finding import Trace
from stream.kafka.reading import Start
from stream.settings import Settings

_CLOCKS_MS = 300_000
"""How far the clocks of whoever decides and whoever publishes may differ."""


@dataclass(frozen=True, slots=True)
class Sequel:
    """Where things stand, as `topic:partition:offset`.

    results: of its replays, and of the replays of what those became. waiting: replays without an outcome.
    """

    results: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def sequel(
    settings: Settings, letter: DeadLetter, replays: Sequence[Decision], results_topics: Sequence[str] = ()
) -> Sequel:
    """What is on the topics now. replays: the decisions that sent it again; without one nothing is read.

    results_topics: of single tasks, beside the shared one. A dead letter without a request id has no sequel that can be
    found. Raises ConfigError, DependencyError.
    """
    if not replays or letter.request_id is None:
        return Sequel()
    since = Start("time", max(0, min(each.at_ms for each in replays) - _CLOCKS_MS))
    return sequel_in(finding.find(settings, letter.request_id, since, results_topics), letter)


def sequel_in(trace: Trace, letter: DeadLetter) -> Sequel:
    """The part of a trace that follows from a dead letter. Pure."""
    letters = {letter.id}
    results: list[str] = []
    waiting: list[str] = []
    for asked in trace.requests:  # in the order in which they were written: a replay stands behind what it replays
        if names.text(asked.request.record.headers, names.REPLAY_ID) not in letters:
            continue
        if not asked.outcomes:
            waiting.append(asked.request.where)
        for outcome in asked.outcomes:
            if outcome.kind == "results":
                results.append(outcome.where)
            else:
                letters.add(f"{outcome.record.partition}:{outcome.record.offset}")
    return Sequel(tuple(results), tuple(waiting))
