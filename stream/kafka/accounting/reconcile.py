"""The proof of the promise, from the topics and the group's offsets alone (design section 5, "Reconcile").

The order is what makes it right beside live workers: the stable commits first; then where results and dead letters end
(open transactions included), then where the requests end; decisions; and only then everything is read up to there. So
an outcome that a commit claims is in what is read, and a request that an outcome names is too. A partition that seems
to be stopped is asked once more, since its worker may just have moved on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Message

from stream.kafka import decisions
from stream.kafka.accounting import watermarks
from stream.kafka.accounting.accounts import Account, LogRange, PartitionReport, Verdict
from stream.kafka.accounting.allowances import allowances
from stream.kafka.accounting.claims import Claim
from stream.kafka.accounting.outcomes import Expected, OutcomeReader, Spending, request_id
from stream.kafka.accounting.repeated_ids import RepeatedIds
from stream.kafka.accounting.scan import PATIENCE_S, Scan, scan
from stream.kafka.accounting.stops import stop_reason
from stream.kafka.reading import Partition, Span
from stream.settings import Settings

_NAMED = 20
"""How many failing requests are looked up by name."""

_UNSETTLED = frozenset({Verdict.PENDING, Verdict.UNPROVABLE, Verdict.BEFORE_START})
_WORTH_A_NAME = frozenset({Verdict.MISSING, Verdict.DOUBLED})


@dataclass(frozen=True, slots=True)
class Question:
    """What to check. from_ms, to_ms: only requests of that time, milliseconds since 1970, `to_ms` exclusive.

    results_topics: where results are, beside `[topics] results` (tasks may have topics of their own). with_cost: add up
    what was spent. patience_s: how long an open transaction may hide the end of a topic, or a commit.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    results_topics: tuple[str, ...] = ()
    with_cost: bool = False
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a check is: `step` in words; offsets passed and offsets in all (0: unknown)."""

    step: str
    passed: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The account of everything.

    hidden: partitions of results and dead letters whose end an open transaction hides. names: request ids by (topic,
    partition, offset), of the first requests that are missing or doubled. corrections: results made by people.
    repeated_ids: of requests that have outcomes. foreign: records on results or dead letters that name no group.
    nameless: outcomes of this group whose request can't be told. other_topics: outcomes of this group for topics that
    aren't configured. other_groups: how many outcomes are there of which other groups. records: how many were read, in
    `seconds`.
    """

    partitions: tuple[PartitionReport, ...]
    results_topics: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    names: Mapping[tuple[str, int, int], str] = field(default_factory=dict)
    corrections: int = 0
    repeated_ids: RepeatedIds = field(default_factory=RepeatedIds)
    foreign: int = 0
    nameless: int = 0
    other_topics: int = 0
    other_groups: Mapping[str, int] = field(default_factory=dict)
    spending: Spending | None = None
    records: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether something is missing, doubled, orphaned or stopped: exit code 1."""
        return self.nameless > 0 or any(each.failed for each in self.partitions)

    @property
    def proven(self) -> bool:
        """Whether everything that was asked for could be judged, and nothing says that another group was meant."""
        is_anothers = self.unheard_of and bool(self.other_groups)
        return not self.hidden and not self.total(Verdict.UNPROVABLE) and not is_anothers

    @property
    def unheard_of(self) -> bool:
        """Whether requests wait, and nothing at all speaks of the group: it may have another name, and then there is
        nothing to judge."""
        has_outcomes = any(self.total(verdict) for verdict in Verdict if verdict not in _UNSETTLED)
        return bool(self.total(Verdict.PENDING)) and not has_outcomes and self.has_no_commit

    @property
    def has_no_commit(self) -> bool:
        """Whether the group has committed nothing anywhere, as far as could be read."""
        return all(each.committed is None for each in self.partitions)

    @property
    def balanced(self) -> bool:
        """Nothing failed, and nothing was left unproven."""
        return not self.failed and self.proven

    def total(self, verdict: Verdict) -> int:
        """How often a verdict was given."""
        return sum(each.verdicts[verdict] for each in self.partitions)


def reconcile(
    settings: Settings, question: Question | None = None, progress: Callable[[Progress], None] = lambda _: None
) -> Report:
    """Check every request. Raises ConfigError for a topic that isn't there, DependencyError."""
    return _Check(settings, question or Question(), progress).report()


class _Check:
    """One check, step by step."""

    def __init__(self, settings: Settings, question: Question, progress: Callable[[Progress], None]) -> None:
        self._settings, self._question, self._progress = settings, question, progress
        self._results = tuple(dict.fromkeys((settings.topics.results, *question.results_topics)))
        self._started_s = time.monotonic()
        self._topics = watermarks.topics_there(
            settings, (*settings.topics.requests, *self._results, settings.topics.dlq)
        )
        self._ask = watermarks.Watermarks(settings)
        self._requests = watermarks.partitions_of(self._topics, settings.topics.requests)
        self._outcomes = watermarks.partitions_of(self._topics, (*self._results, settings.topics.dlq))
        self._names: dict[tuple[str, int, int], str] = {}
        self._records = 0

    def report(self) -> Report:
        claims = self._claims(self._requests)
        outcome_ends = self._ask.ends(self._outcomes)
        ends = self._ask.stable_ends(self._requests)
        judged = self._judged(ends)
        accounts = self._accounts(claims)
        expected = [Expected(accounts[place], judged[place], ends[place], self._topic_id(place)) for place in accounts]
        starts = self._ask.starts(self._outcomes)
        reader = OutcomeReader(self._settings, expected, starts, with_cost=self._question.with_cost)
        spans = [Span(*place, starts[place], outcome_ends[place]) for place in self._outcomes]
        hidden = self._scan("results and dead letters", spans, reader.take, reader.jumped).hidden
        for account in accounts.values():
            account.prove(reader.proof(complete=not hidden))
        partitions = self._closed(accounts, judged)
        return Report(
            partitions=partitions,
            results_topics=self._results,
            hidden=tuple(f"{topic}:{partition}" for topic, partition in sorted(hidden)),
            names=self._names,
            corrections=reader.corrections,
            repeated_ids=reader.repeated_ids,
            foreign=reader.foreign,
            nameless=reader.nameless,
            other_topics=reader.other_topics,
            other_groups=dict(reader.other_groups),
            spending=reader.spending if self._question.with_cost else None,
            records=self._records,
            seconds=time.monotonic() - self._started_s,
        )

    def _claims(self, places: Sequence[Partition]) -> dict[Partition, Claim]:
        self._progress(Progress("the group's commits"))

        def waiting(held: int) -> None:
            self._progress(Progress(f"the group's commits ({held} held by open transactions)"))

        patience_s = self._question.patience_s
        return watermarks.claims(self._settings, places, self._topics, patience_s=patience_s, waiting=waiting)

    def _judged(self, ends: Mapping[Partition, int]) -> dict[Partition, range]:
        """The offsets that were asked for, by partition."""

        def at(time_ms: int | None, default: Mapping[Partition, int]) -> Mapping[Partition, int]:
            if time_ms is None:
                return default
            found = self._ask.at_time(self._requests, time_ms)
            return {place: ends[place] if (offset := found[place]) is None else offset for place in ends}

        firsts = at(self._question.from_ms, dict.fromkeys(ends, 0))
        stops = at(self._question.to_ms, ends)
        return {place: range(firsts[place], min(stops[place], ends[place])) for place in ends}

    def _accounts(self, claims: Mapping[Partition, Claim]) -> dict[Partition, Account]:
        """An empty account for each partition of requests, with what decisions allow there."""
        there = watermarks.existing(self._settings, [self._settings.topics.decisions])
        made = decisions.read_all(self._settings) if there else []
        doubles = self._settings.worker.delivery == "at_least_once"
        group = self._settings.kafka.group_id
        accounts = {}
        for place in self._requests:
            allowed = allowances(made, group, place, self._topics[place[0]].topic_id, doubles=doubles)
            accounts[place] = Account(*place, claims[place], allowed)
        return accounts

    def _topic_id(self, place: Partition) -> bytes | None:
        known = self._topics[place[0]].topic_id
        return known.encode() if known else None

    def _closed(
        self, accounts: Mapping[Partition, Account], judged: Mapping[Partition, range]
    ) -> tuple[PartitionReport, ...]:
        """Read the requests, and close the accounts."""
        stopped = self._stopped(accounts)
        firsts = self._ask.starts(self._requests)
        spans = [Span(*place, max(firsts[place], judged[place].start), judged[place].stop) for place in accounts]

        def judge(message: Message) -> None:
            self._judge(accounts, message)

        came_to = self._scan("requests", spans, judge, lambda place: None).hidden
        firsts = self._ask.starts(self._requests)  # retention may have gone on meanwhile: what is gone is no orphan
        reports = []
        for place, account in accounts.items():
            end = came_to.get(place, judged[place].stop)
            compacted = "compact" in self._topics[place[0]].cleanup_policy
            log = LogRange(firsts[place], end, judged[place], compacted)
            reports.append(account.close(log, stopped=stopped.get(place)))
        return tuple(reports)

    def _judge(self, accounts: Mapping[Partition, Account], message: Message) -> None:
        place = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        verdict = accounts[place].request(offset, message.timestamp()[1], message.leader_epoch())
        if verdict in _WORTH_A_NAME and len(self._names) < _NAMED and (name := request_id(message)) is not None:
            self._names[*place, offset] = name

    def _stopped(self, accounts: Mapping[Partition, Account]) -> dict[Partition, str]:
        """Why partitions stand still. One that seems to is asked again: its worker may just have moved on."""
        firsts = self._ask.starts(self._requests)
        suspects = self._reasons(accounts, {place: account.claim for place, account in accounts.items()}, firsts)
        return self._reasons(accounts, self._claims(list(suspects)), firsts) if suspects else {}

    def _reasons(
        self, accounts: Mapping[Partition, Account], claims: Mapping[Partition, Claim], firsts: Mapping[Partition, int]
    ) -> dict[Partition, str]:
        """The reasons to stop that these commits give. Log ends are asked for after them, so that none is overtaken."""
        ends = self._ask.ends(claims)
        reasons = {}
        for place, claim in claims.items():
            account = accounts[place]
            where = f"{place[0]}:{place[1]}"
            reason = stop_reason(
                where,
                claim,
                firsts[place],
                ends[place],
                account.highest_outcome,
                account.allowances,
                account.latest_outcome_ms,
            )
            if reason is not None:
                reasons[place] = reason
        return reasons

    def _scan(
        self,
        step: str,
        spans: Sequence[Span],
        take: Callable[[Message], object],
        jumped: Callable[[Partition], object],
    ) -> Scan:
        total = sum(max(span.end - span.first, 0) for span in spans)
        passed = 0

        def progress(offsets: int) -> None:
            nonlocal passed
            passed += offsets
            self._progress(Progress(step, passed, total))

        patience_s = self._question.patience_s
        done = scan(self._settings, spans, take, jumped=jumped, patience_s=patience_s, progress=progress)
        self._records += done.read
        return done
