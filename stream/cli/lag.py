"""`llm-stream lag`: how many records are behind, whether or not any worker lives."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cli import output
from stream.cli.invocation import loaded_settings
from stream.cli.moments import duration

if TYPE_CHECKING:
    from stream.kafka.lag import Lag, PartitionLag


def lag(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show how many requests are unfinished, by partition: asked of the broker alone, so every worker may be dead."""
    from stream.kafka.lag import lag as measured

    settings = loaded_settings(ctx).settings
    found = measured(settings)
    if as_json:
        output.emit_json(as_object(found, settings.kafka.group_id))
        return
    columns = ["topic", "partition", "committed", "log end", "records behind", "oldest", "state"]
    output.table(columns, [row(each, found.measured_ms) for each in found.partitions])
    for each in found.partitions:
        for sentence in remarks(each):
            output.noted(f"{each.topic}:{each.partition}: {sentence}.")
    if all(each.committed is None for each in found.partitions):
        output.noted(f"The group {settings.kafka.group_id} has committed nothing: no worker has run under this name.")
    output.say(f"{'' if found.exact else 'At most '}{found.records:,} records behind in all.")


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
            f"{each.hidden_offsets:,} more offsets wait behind an open transaction of a producer of requests; "
            "no consumer can read them yet"
        )
    return told


def _age_s(each: "PartitionLag", measured_ms: int) -> float | None:
    return None if each.oldest_ms is None else max(measured_ms - each.oldest_ms, 0) / 1_000
