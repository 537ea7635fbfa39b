"""Why no worker reads on in a partition: judged anew from the rules of design section 5, not by the worker's code."""

from stream.kafka.accounting.accounts import Allowances, Rerun
from stream.kafka.accounting.claims import Claim


def stop_reason(
    where: str,
    claim: Claim,
    log_first: int,
    log_end: int,
    highest_outcome: int,
    allowed: Allowances,
    latest_outcome_ms: int = -1,
) -> str | None:
    """Why no worker reads on in a partition, as design section 5 has it, and the remedy; None if nothing stops one.

    where: TOPIC:PARTITION. log_first, log_end: log start and high watermark; the latter asked for after the commit was
    read. highest_outcome, latest_outcome_ms: of the outcomes that were read, -1 if there is none.
    """
    if claim.fault == "unread":
        return None
    if claim.fault != "other_topic" and (outside := _outside(claim, log_first, log_end, allowed)):
        return f"{outside}; `llm-stream worker --accept-gap {where}` counts what is missing as lost and reads on"
    begin = claim.offset if claim.offset is not None else allowed.start
    start = log_first if begin is None or claim.fault == "other_topic" else min(max(begin, log_first), log_end)
    accepted = [each for each in allowed.reruns if each.offsets.start == start]
    if claim.fault is None or any(_holds(each, highest_outcome, latest_outcome_ms) for each in accepted):
        return None
    remedy = f"`llm-stream worker --accept-rerun {where}` runs what is there again, paying and publishing it twice"
    if claim.fault in _FAULTS:
        return f"{_FAULTS[claim.fault]}; {remedy}"
    lost = "has no commit" if claim.fault == "no_commit" else "has a commit without a done-map"
    found = f"the group {lost}, but outcomes of it exist up to offset {highest_outcome}"
    return f"{found}; {remedy}" if highest_outcome >= start else None


def _holds(rerun: Rerun, highest_outcome: int, latest_outcome_ms: int) -> bool:
    """Whether an accepted re-run still is: once it has brought outcomes it is used up, and one of an offset past it
    would be run again without anybody having accepted that."""
    return highest_outcome < rerun.offsets.stop and latest_outcome_ms < rerun.at_ms


def _outside(claim: Claim, log_first: int, log_end: int, allowed: Allowances) -> str | None:
    """The reason to stop for a commit outside the log, or for a first start whose records are deleted."""
    begin = claim.offset
    if begin is None:
        begin = log_first if allowed.start is None else min(allowed.start, log_end)
    accepted = {(gap.start, gap.stop) for gap in allowed.gaps}  # exactly that: two empty ranges are equal elsewhere
    reach = begin + claim.marks.bit_length()
    if reach > log_end and begin >= log_first and (log_end, log_end) not in accepted:
        said = f"is {begin}" if reach == begin else f"reaches to {reach}"
        return f"its commit {said}, but the log ends at {log_end}: it was truncated, or made anew"
    if begin < log_first and (begin, log_first) not in accepted:
        return (
            f"offsets {begin} to {log_first - 1} were deleted before they were finished: the log starts at {log_first}"
        )
    return None


_FAULTS = {
    "damaged": "the done-map of its commit is damaged",
    "newer": "the done-map of its commit is of a newer version",
    "other_topic": "its commit belongs to another topic, or to one deleted since",
    "mirrored": "its commit was made for another offset (a mirrored cluster?)",
}
