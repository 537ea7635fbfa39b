"""What a reconciliation found, as JSON (a contract), as a table, and as sentences with the next command to try."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from stream.cli.moments import duration
from stream.cli.partitions import Row
from stream.core.counting import counted
from stream.kafka.accounting.accounts import PartitionReport, Verdict
from stream.kafka.accounting.reconcile import Report
from stream.kafka.accounting.repeated_ids import RepeatedIds

SHOWN_OFFSETS = 5
PENDING_LIMIT_S = 900
"""A request that waits for longer is worth a sentence."""

_ALWAYS = (Verdict.PENDING, Verdict.MISSING, Verdict.DOUBLED, Verdict.ORPHANED)
_AT_TIMES = (Verdict.GAP, Verdict.RERUN, Verdict.UNPROVABLE, Verdict.DOUBLED_ALLOWED, Verdict.BEFORE_START)
_WORDS = {
    Verdict.PENDING: "pending",
    Verdict.MISSING: "missing",
    Verdict.DOUBLED: "doubled",
    Verdict.GAP: "lost and accepted",
    Verdict.RERUN: "run again as accepted",
    Verdict.UNPROVABLE: "unprovable",
    Verdict.DOUBLED_ALLOWED: "doubled (allowed at least once)",
    Verdict.BEFORE_START: "before the start",
}
_MEANINGS = {
    Verdict.MISSING: "committed as finished, but neither a result nor a dead letter is there",
    Verdict.DOUBLED: "more than one outcome is visible",
    Verdict.ORPHANED: "an outcome is there, but no such request",
}


class Line(NamedTuple):
    """A sentence, and how it is marked."""

    mark: Literal["passed", "failed", "noted", "plain"]
    text: str


def as_json(report: Report) -> dict[str, Any]:
    """The object of `reconcile --json`: `balanced` and `partitions` are the contract, the rest may grow."""
    spending = report.spending
    return {
        "balanced": report.balanced,
        "partitions": [_partition_json(each) for each in report.partitions],
        "proven": report.proven,
        "hidden": list(report.hidden),
        "results_topics": list(report.results_topics),
        "corrections": report.corrections,
        "repeated_ids": {"count": report.repeated_ids.count, "ids": report.repeated_ids.names},
        "foreign": report.foreign,
        "nameless": report.nameless,
        "other_topics": report.other_topics,
        "other_groups": dict(report.other_groups),
        "cost": None
        if spending is None
        else {
            "spent_micro_usd": spending.spent_micro_usd,
            "wasted_micro_usd": spending.wasted_micro_usd,
            "unknown": spending.unknown,
        },
        "records": report.records,
        "seconds": round(report.seconds, 3),
    }


def _partition_json(each: PartitionReport) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "partition": each.partition,
        "verdicts": {verdict.value: count for verdict, count in each.verdicts.items()},
        "offsets": {verdict.value: list(offsets) for verdict, offsets in each.offsets.items()},
        "results": each.results,
        "dead_letters": each.dead_letters,
        "aged": each.aged,
        "oldest_pending_ms": each.oldest_pending_ms,
        "committed": each.committed,
        "stopped": each.stopped,
    }


def columns(report: Report) -> tuple[list[str], list[list[str | int]]]:
    """Headings and rows, one for each partition; verdicts that nobody got have no column of their own."""
    verdicts = [*_ALWAYS, *(verdict for verdict in _AT_TIMES if report.total(verdict))]
    headings = ["topic", "partition", "requests", "results", "dead letters", *(_heading(each) for each in verdicts)]
    rows: list[list[str | int]] = [
        [
            each.topic,
            each.partition,
            each.requests,
            each.results,
            each.dead_letters,
            *(each.verdicts[verdict] for verdict in verdicts),
            "STOPPED" if each.stopped else "",
        ]
        for each in report.partitions
    ]
    return [*headings, "state"], rows


def table(report: Report) -> tuple[list[str], list[Row]]:
    """For a terminal: headings and partitions; of the verdicts that nobody got, only the worst have a column."""
    always = (Verdict.MISSING, Verdict.DOUBLED)
    verdicts = [each for each in (*_ALWAYS, *_AT_TIMES) if each in always or report.total(each)]
    is_any_stopped = any(each.stopped for each in report.partitions)
    headings = ["partition", "requests", "results", "dead letters", *(_heading(each) for each in verdicts)]
    rows = []
    for each in report.partitions:
        state = ["STOPPED" if each.stopped else ""] if is_any_stopped else []
        counts = [each.requests, each.results, each.dead_letters, *(each.verdicts[verdict] for verdict in verdicts)]
        is_empty = not any(counts) and not each.aged and not each.stopped
        rows.append(Row(each.topic, [each.partition, *counts, *state], is_empty))
    return [*headings, "state"] if is_any_stopped else headings, rows


def _heading(verdict: Verdict) -> str:
    return "doubled (allowed)" if verdict is Verdict.DOUBLED_ALLOWED else verdict.value.replace("_", " ")


def sentences(report: Report, group: str, now_ms: int) -> Iterator[Line]:
    """What a person should know, the verdict first."""
    yield _verdict(report, group)
    yield from _failures(report)
    yield from _unproven(report)
    yield from _waiting(report, group, now_ms)
    yield from _aside(report)
    rate = report.records / report.seconds if report.seconds else 0.0
    yield Line("plain", f"Read {counted(report.records, 'record')} in {report.seconds:.1f} s ({rate:,.0f}/s).")


def _verdict(report: Report, group: str) -> Line:
    requests = sum(each.requests for each in report.partitions)
    if not requests and report.balanced:
        return Line("noted", "There is nothing to check: no request is there.")
    results = sum(each.results for each in report.partitions)
    dead = sum(each.dead_letters for each in report.partitions)
    terms = [counted(results, "result"), counted(dead, "dead letter")]
    terms += [f"{report.total(verdict):,} {words}" for verdict, words in _WORDS.items() if report.total(verdict)]
    sum_up = f"{counted(requests, 'request')} = {' + '.join(terms)}"
    if report.failed:
        return Line("failed", f"Not balanced: {sum_up}.")
    if report.unheard_of:
        return Line("noted", f"{_committed_nothing(report, group)} There is nothing to check: {sum_up}.")
    doubled = "" if report.total(Verdict.DOUBLED_ALLOWED) else ", nothing doubled"
    lost = "nothing more lost" if report.total(Verdict.GAP) else "nothing lost"
    if not report.proven:
        return Line("noted", f"Nothing wrong was found, but not everything could be proven: {sum_up}.")
    return Line("passed", f"Balanced: {sum_up}; {lost}{doubled}.")


def _failures(report: Report) -> Iterator[Line]:
    for verdict, meaning in _MEANINGS.items():
        for each in report.partitions:
            if each.verdicts[verdict]:
                where = _offsets(each.offsets[verdict], each.verdicts[verdict])
                yield Line("failed", f"{verdict.value} in {each.topic}:{each.partition}: {where}: {meaning}.")
    for each in report.partitions:
        if each.stopped:
            yield Line("failed", f"{each.topic}:{each.partition} is stopped: {each.stopped}.")
    if report.nameless:
        yield Line("failed", f"{counted(report.nameless, 'outcome')} of this group that no request can be told of.")
    if report.names:
        (topic, partition, offset), name = next(iter(report.names.items()))
        yield Line("plain", f"Next: llm-stream find {shlex.quote(name)}  (the request at {topic}:{partition}:{offset})")


def _unproven(report: Report) -> Iterator[Line]:
    if report.hidden:
        hidden = ", ".join(report.hidden[:SHOWN_OFFSETS])
        yield Line(
            "noted",
            f"An open transaction hides the end of {hidden}: outcomes may be there that nobody can see yet. "
            "Try again in a minute; kafka-transactions.sh find-hanging names one that never ends.",
        )
    if unprovable := report.total(Verdict.UNPROVABLE):
        yield Line(
            "noted",
            f"{counted(unprovable, 'request')} can't be judged: outcomes of that age may have been deleted by the "
            "retention of results or dead letters, or can't be read yet. That is no proof that all is well.",
        )


def _waiting(report: Report, group: str, now_ms: int) -> Iterator[Line]:
    oldest = [
        (each.oldest_pending_ms, each)
        for each in report.partitions
        if each.oldest_pending_ms is not None and now_ms - each.oldest_pending_ms > PENDING_LIMIT_S * 1_000
    ]
    if oldest:
        since_ms, each = min(oldest, key=lambda pair: pair[0])
        yield Line(
            "noted",
            f"The oldest pending request, in {each.topic}:{each.partition}, has waited for "
            f"{duration((now_ms - since_ms) / 1_000)}. Is a worker running? Next: llm-stream lag",
        )
    if report.total(Verdict.PENDING) and report.has_no_commit and (report.failed or not report.unheard_of):
        yield Line("noted", _committed_nothing(report, group))


def _committed_nothing(report: Report, group: str) -> str:
    said = f"The group {group} has committed nothing: no worker has run under this name, or its commits have expired."
    if not report.other_groups:
        return said
    name, count = max(report.other_groups.items(), key=lambda item: item[1])
    return f"{said} The topics hold {counted(count, 'outcome')} of the group {name}: is [kafka] group_id right?"


def _aside(report: Report) -> Iterator[Line]:
    spending = report.spending
    if spending is not None:
        unknown = f"; without the unknown cost of {counted(spending.unknown, 'outcome')}" if spending.unknown else ""
        yield Line(
            "plain",
            f"Spent: {_usd(spending.spent_micro_usd)}, of which wasted on dead letters and doubles: "
            f"{_usd(spending.wasted_micro_usd)}{unknown}.",
        )
    aged = sum(each.aged for each in report.partitions)
    told = [
        (report.corrections, "correction", "made by people, beside their dead letters"),
        (aged, "outcome", "of requests that retention has deleted"),
        (report.other_topics, "outcome", "of this group for topics that are not in [topics] requests: not judged"),
        (report.foreign, "record", "on results or dead letters that no worker wrote: left out"),
    ]
    if report.repeated_ids.count:
        yield Line("noted", _repeated(report.repeated_ids))
    for count, what, more in told:
        if count:
            yield Line("noted", f"{counted(count, what)} {more}.")


def _repeated(ids: RepeatedIds) -> str:
    shown = ", ".join(sorted(ids.names, key=_naturally)[:SHOWN_OFFSETS]) + (
        ", ..." if len(ids.names) > SHOWN_OFFSETS else ""
    )
    bound = "" if ids.complete else " (at least: not all ids could be compared)"
    return (
        f"{counted(ids.count, 'request')} with an outcome had the id of an earlier one{bound}, replays included; "
        f"each is a request of its own: {shown}."
    )


def _naturally(name: str) -> list[tuple[int, str]]:
    """Sorts `ticket-5` before `ticket-10`. Numbers are compared as text, by length first: they may have any length."""
    parts = re.split("([0-9]+)", name)  # texts and numbers in turn
    return [(len(part.lstrip("0")), part.lstrip("0")) if at % 2 else (0, part) for at, part in enumerate(parts)]


def _offsets(offsets: Sequence[int], count: int) -> str:
    shown = ", ".join(str(offset) for offset in offsets[:SHOWN_OFFSETS])
    more = f" and {count - SHOWN_OFFSETS:,} more" if count > SHOWN_OFFSETS else ""
    return f"{'offset' if count == 1 else 'offsets'} {shown}{more}"


def _usd(micro_usd: int) -> str:
    return f"${micro_usd / 1_000_000:,.{2 if micro_usd >= 1_000_000_000 else 6}f}"
