"""Why no worker reads on in a partition: judged anew from the rules of design section 5, not by the worker's code."""

from stream.kafka.accounting.accounts import Allowances, within
from stream.kafka.accounting.claims import Claim


def stop_reason(
    where: str, claim: Claim, log_first: int, log_end: int, highest_outcome: int, allowed: Allowances
) -> str | None:
    """Why no worker reads on in a partition, as design section 5 has it, and the remedy; None if nothing stops one.

    where: TOPIC:PARTITION. log_first, log_end: log start and high watermark; the latter asked for after the commit was
    read. highest_outcome: -1 if there is none.
    """
    if claim.fault == "unread":
        return None
    if claim.fault != "other_topic" and (outside := _outside(claim, log_first, log_end, allowed)):
        return f"{outside}; `llm-stream worker --accept-gap {where}` counts what is missing as lost and reads on"
    begin = claim.offset if claim.offset is not None else allowed.start
    start = log_first if begin is None else max(begin, log_first)
    if claim.fault is None or within(start, allowed.reruns) or within(log_first, allowed.reruns):
        return None
    remedy = f"`llm-stream worker --accept-rerun {where}` runs what is there again, paying and publishing it twice"
    if claim.fault in _FAULTS:
        return f"{_FAULTS[claim.fault]}; {remedy}"
    lost = "has no commit" if claim.fault == "no_commit" else "has a commit without a done-map"
    found = f"the group {lost}, but outcomes of it exist up to offset {highest_outcome}"
    return f"{found}; {remedy}" if highest_outcome >= start else None


def _outside(claim: Claim, log_first: int, log_end: int, allowed: Allowances) -> str | None:
    """The reason to stop for a commit outside the log."""
    begin = claim.offset
    if begin is None:
        return None
    if begin > log_end and not within(log_end, allowed.gaps):
        return f"its commit is {begin}, but the log ends at {log_end}: it was truncated, or made anew"
    if begin < log_first and not any(gap.start <= begin and log_first <= gap.stop for gap in allowed.gaps):
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
