"""A dead letter sent again: a new request with the same id, and the decision that says who asked for it and why.

Both are one transaction: no replay without its decision, no decision without its replay.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from stream.core import headers as names
from stream.core.errors import LlmStreamError
from stream.core.records import Outgoing
from stream.dlq.envelope import DeadLetter
from stream.dlq.sequel import Sequel, sequel
from stream.kafka import admin, clients, decisions, reading
from stream.kafka.decisions import Decision
from stream.kafka.sending import Delivered, deliver_together
from stream.settings import Settings

MAX_REPLAYS = 2
"""How often one request is sent again without being forced: what failed three times will fail a fourth."""


class ReplayRefusedError(LlmStreamError):
    """The dead letter is not sent again. The message says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay wrote: the new request and its decision. count: how often the request was sent again by now."""

    request: Delivered
    decision: Delivered
    count: int


class Replays:
    """The decisions that sent dead letters again."""

    def __init__(self, made: Iterable[Decision]) -> None:
        self._of: dict[tuple[object, object], list[Decision]] = {}
        for each in made:
            if each.kind == "replay":
                letter = str(each.scope.get("dlq")), str(each.scope.get("dead_letter"))
                self._of.setdefault(letter, []).append(each)

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """Those made so far; none where there is no topic of decisions. Raises DependencyError."""
        topic = settings.topics.decisions
        there = reading.spans(settings, [topic], optional=[topic])
        return cls(decisions.read_all(settings) if there else ())

    def of(self, letter: DeadLetter) -> Sequence[Decision]:
        """Those that sent this very dead letter again, oldest first."""
        return self._of.get((letter.record.topic, letter.id), ())


def refusal(letter: DeadLetter, settings: Settings, replays: int, after: Sequel, *, force: bool) -> str | None:
    """Why this dead letter can't be sent again; None if it can. `force` overrides what is about paying twice only.

    replays: how often this very dead letter was sent again. after: what became of that.
    """
    topic = letter.source.get("topic")
    if letter.value_sha256 is not None:
        return (
            f"The original value was too large to be kept (its SHA-256 is {letter.value_sha256}): "
            f"send it again from where it came from, under the id {letter.request_id}."
        )
    if letter.record.headers is None or letter.headers_dropped:
        return "The request's own headers could not be kept: send it again from where it came from."
    if not isinstance(topic, str):
        return "It doesn't say which topic it came from (llm.source.topic, __dlq.errors.topic)."
    if topic not in settings.topics.requests:
        known = ", ".join(settings.topics.requests)
        return f"It came from {topic}, which is none of [topics] requests ({known}): no worker of this group reads it."
    return None if force else _refusal_unless_forced(letter, letter.replay_count + replays, after)


def _refusal_unless_forced(letter: DeadLetter, replayed: int, after: Sequel) -> str | None:
    if after.results:
        return (
            f"It was sent again already, and that has a result ({after.results[0]}). Sending it once more would be "
            f"paid for again and give {letter.request_id} another result. Look at the first: llm-stream find "
            f"{shlex.quote(letter.request_id or '')}; to send it all the same: --force."
        )
    if replayed >= MAX_REPLAYS:
        return (
            f"It was sent again {replayed} times already: what fails so often is rarely cured by another try. Look at "
            f"what is wrong (llm-stream dlq show {letter.id}); to send it all the same: --force."
        )
    return None


def doubt(letter: DeadLetter) -> str | None:
    """Why a replay will most likely end as this did, and what has to have changed; None where a model had its say."""
    if letter.stage == "decode":
        return (
            f"A replay sends the same bytes, and fails the same way ({letter.reason}) unless what reads them has "
            "changed: the workers' version or configuration. If the sender was wrong, let it send a new request."
        )
    if letter.stage == "render":
        return (
            f"A replay sends the same input, and fails the same way ({letter.reason}) unless the task has changed: its "
            "Input or its prompt. If the sender was wrong, let it send a new request."
        )
    return None


def request_again(letter: DeadLetter, by: str, count: int, partitions: Mapping[str, int]) -> Outgoing:
    """The new request: key, value and headers as they came, and `llm.replay.{count,id,by}`.

    partitions: how many each topic has. It goes to the partition it came from, so that a key stays where its producer
    put it, whatever that one's partitioner; by key where that partition isn't there.
    """
    topic, partition = str(letter.source["topic"]), letter.source.get("partition")
    marks = {names.REPLAY_COUNT: str(count), names.REPLAY_ID: letter.id, names.REPLAY_BY: by}
    headers = letter.original_headers + tuple((name, value.encode()) for name, value in marks.items())
    there = isinstance(partition, int) and 0 <= partition < partitions.get(topic, 0)
    return Outgoing(topic, letter.record.key, letter.record.value, headers, partition if there else None)


def decision_for(letter: DeadLetter, by: str, why: str, count: int, at_ms: int) -> Decision:
    """The decision `replay`: its scope names the dead letter and the request."""
    scope: dict[str, Any] = {
        "dlq": letter.record.topic,
        "dead_letter": letter.id,
        "request_id": letter.request_id,
        "task": letter.task,
        "source": dict(letter.source),
    }
    return Decision(at_ms, by, "replay", scope, why, {"count": count})


def replay(
    settings: Settings,
    letter: DeadLetter,
    *,
    by: str,
    why: str,
    at_ms: int,
    force: bool = False,
    results_topics: Sequence[str] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> Replayed:
    """Send a dead letter again. Raises ReplayRefusedError, ConfigError, DependencyError; then nothing was written.

    results_topics: of single tasks, beside the shared one. warn: told, before anything is written, what speaks against
    it without forbidding it.
    """
    made = Replays.read(settings).of(letter)
    after = sequel(settings, letter, made, results_topics)
    why_not = refusal(letter, settings, len(made), after, force=force)
    if why_not is not None:
        raise ReplayRefusedError(why_not)
    if doubtful := doubt(letter):
        warn(doubtful)
    if after.waiting:
        warn(
            f"It was sent again already, as {after.waiting[0]}, and that has no outcome yet: both will be called and "
            "paid for. llm-stream lag says how far the workers are."
        )
    replayed = letter.replay_count + len(made)
    facts = admin.topic_facts(clients.admin(settings), settings.topics.requests, clients.BROKER_WAIT_S)
    partitions = {name: each.partitions for name, each in facts.items()}
    request = request_again(letter, by, replayed + 1, partitions)
    decision = decisions.outgoing(settings, decision_for(letter, by, why, replayed + 1, at_ms))
    written = deliver_together(settings, [request, decision])
    return Replayed(written[0], written[1], replayed + 1)
