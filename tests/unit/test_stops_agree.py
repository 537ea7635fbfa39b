"""The worker and `reconcile` judge by code of their own whether a partition stops, and must say the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.offsets import DoneMap, encode_map, topic_hash
from stream.core.starting import Accepted, PartitionFacts, Stopped
from stream.kafka.accounting.accounts import Allowances, Rerun
from stream.kafka.accounting.claims import claim
from stream.kafka.accounting.stops import stop_reason
from stream.kafka.assignment import TopicPartition
from stream.kafka.starter import Outcomes, still_accepted, verdict

TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
HASH = topic_hash(TOPIC_ID, "r")
PARTITION = TopicPartition("r", 0)
ACCEPTED_MS = 100
OFFSETS = st.sampled_from([0, 2, 3, 5, 7, 10, 15])


def metadata(kind: str, committed: int, marks: int) -> str | None:
    """A commit's metadata of this kind."""
    good = encode_map(DoneMap(committed, marks << 1), HASH)
    return {
        "ours": good,
        "none": None,
        "foreign": "x",
        "damaged": good[:-6] + ("BBBBBB" if good.endswith("AAAAAA") else "AAAAAA"),
        "newer": "ls2.xx",
        "other topic": encode_map(DoneMap(committed), topic_hash("another", "r")),
        "mirrored": encode_map(DoneMap(committed + 1), HASH),
    }[kind]


@settings(max_examples=1_500)
@given(
    low=st.sampled_from([0, 5]),
    length=st.sampled_from([0, 5, 10]),
    committed=st.none() | OFFSETS,
    kind=st.sampled_from(["ours", "ours", "none", "foreign", "damaged", "newer", "other topic", "mirrored"]),
    marks=st.integers(0, 15),
    told_start=st.none() | OFFSETS,
    outcomes=st.none() | st.builds(Outcomes, OFFSETS, st.sampled_from([ACCEPTED_MS - 50, ACCEPTED_MS + 50])),
    accepted=st.lists(
        st.builds(
            Accepted, st.sampled_from(["accept_gap", "accept_rerun"]), st.just("r"), st.just(0), OFFSETS, OFFSETS
        ),
        max_size=2,
    ),
)
def test_a_partition_stops_for_both_or_for_neither(
    low: int,
    length: int,
    committed: int | None,
    kind: str,
    marks: int,
    told_start: int | None,
    outcomes: Outcomes | None,
    accepted: list[Accepted],
) -> None:
    high = low + length
    said = None if committed is None else metadata(kind, committed, marks)
    start = min(low if told_start is None else told_start, high)
    facts = PartitionFacts("r", 0, HASH, committed, said, low, high, start)

    def found() -> dict[TopicPartition, Outcomes]:
        return {} if outcomes is None else {PARTITION: outcomes}

    worker = verdict(facts, still_accepted([(each, ACCEPTED_MS) for each in accepted], PARTITION, found), found)
    ranges = {each: range(each.from_offset, each.to_offset) for each in accepted}
    allowed = Allowances(
        tuple(each for accepted, each in ranges.items() if accepted.kind == "accept_gap"),
        tuple(Rerun(each, ACCEPTED_MS) for accepted, each in ranges.items() if accepted.kind == "accept_rerun"),
        told_start,
    )
    highest, latest_ms = outcomes or (-1, -1)
    reason = stop_reason("r:0", claim(committed, said, "r", TOPIC_ID), low, high, highest, allowed, latest_ms)
    assert isinstance(worker, Stopped) == (reason is not None), (worker, reason)
