"""`llm-stream lag`: how many records are behind, whether or not any worker lives."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stream.cli import output, partitions
from stream.cli.moments import duration
from stream.cli.partitions import Row
from stream.cli.waiting import kafka_settings
from stream.core.counting import counted

if TYPE_CHECKING:
    from stream.kafka.accounting.lag import Lag, PartitionLag

COLUMNS = ["partition", "committed", "log end", "records behind", "oldest", "state"]


def lag(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show how many requests are unfinished, by partition: asked of the broker alone, so every worker may be dead."""
    from stream.kafka.accounting.lag import lag as measured

    settings = kafka_settings(ctx)
    found = measured(settings)
    if as_json:
        output.emit_json(as_object(found, settings.kafka.group_id))
        return
    is_long = _tell(found)
    for each in found.partitions:
        for sentence in remarks(each):
            output.noted(f"{each.topic}:{each.partition}: {sentence}.")
    if all(each.committed is None for each in found.partitions):
        output.noted(f"The group {settings.kafka.group_id} has committed nothing: no worker has run under this name.")
    if is_long:
        _say_verdict(found)


def _tell(found: "Lag") -> bool:
    """The verdict and the partitions. Whether that was long."""
    _say_verdict(found)
    width = output.width()
    if width is None:
        output.table(["topic", *COLUMNS], [row(each, found.measured_ms) for each in found.partitions])
        return False
    return partitions.show(*table(found), width)


def _say_verdict(found: "Lag") -> None:
    mark, text = verdict(found)
    {"passed": output.passed, "failed": output.failed, "noted": output.noted}[mark](text)


def verdict(found: "Lag") -> tuple[Literal["passed", "failed", "noted"], str]:
    """What a person wants to know first, and how it is marked."""
    there = counted(len(found.partitions), "partition")
    behind = f"{counted(found.records, 'record')} behind"
    at_most = "" if found.exact else "At most "
    stopped = sum(1 for each in found.partitions if each.stopped)
    if stopped:
        return "failed", f"Stopped: {stopped} of {there}. {at_most}{behind} in all."
    if not found.records and all(each.log_start == each.log_end for each in found.partitions):
        return "noted", f"Nothing is behind: no request is there, in {there}."
    if not found.records:
        return "passed", f"Nothing is behind: all requests in {there} are finished."
    ages = [age_s for each in found.partitions if (age_s := _age_s(each, found.measured_ms)) is not None]
    oldest = f"; the oldest has waited for {duration(max(ages))}" if ages else ""
    waiting = sum(1 for each in found.partitions if each.records)
    return "noted", f"{at_most}{behind}, in {waiting} of {there}{oldest}."


def table(found: "Lag") -> tuple[list[str], list[Row]]:
    """For a terminal: headings and partitions; those whose log holds nothing are empty."""
    is_any_stopped = any(each.stopped for each in found.partitions)
    shown = len(COLUMNS) if is_any_stopped else len(COLUMNS) - 1
    rows = []
    for each in found.partitions:
        is_empty = each.log_start == each.log_end and not (each.records or each.hidden_offsets or each.stopped)
        rows.append(Row(each.topic, row(each, found.measured_ms)[1 : shown + 1], is_empty))
    return COLUMNS[:shown], rows


def as_object(found: "Lag", group: str) -> dict[str, Any]:
    """The object of `lag --json`. Ages in seconds, null where unknown; `exact` false: `records` is an upper bound."""
    return {
        "group": group,
        "records": found.records,
        "exact": found.exact,
        "measured_ms": found.measured_ms,
        "partitions": [
            {
                "topic": each.topic,
                "partition": each.partition,
                "committed": each.committed,
                "log_start": each.log_start,
                "log_end": each.log_end,
                "records": each.records,
                "exact": each.exact,
                "oldest_age_s": _age_s(each, found.measured_ms),
                "hidden_offsets": each.hidden_offsets,
                "stopped": each.stopped,
            }
            for each in found.partitions
        ],
    }


def row(each: "PartitionLag", measured_ms: int) -> list[str | int | None]:
    """One line of the table."""
    age_s = _age_s(each, measured_ms)
    return [
        each.topic,
        each.partition,
        each.committed,
        each.log_end,
        each.records if each.exact else f"≤ {each.records:,}",
        None if age_s is None else duration(age_s),
        "STOPPED" if each.stopped else "",
    ]


def remarks(each: "PartitionLag") -> list[str]:
    """What the figures of a partition don't say."""
    told = []
    if each.stopped:
        told.append(f"stopped: {each.stopped}")
    if each.hidden_offsets:
        told.append(
            f"{counted(each.hidden_offsets, 'more offset')} behind an open transaction of a producer of requests; "
            "no consumer can read that far yet"
        )
    return told


def _age_s(each: "PartitionLag", measured_ms: int) -> float | None:
    return None if each.oldest_ms is None else max(measured_ms - each.oldest_ms, 0) / 1_000
