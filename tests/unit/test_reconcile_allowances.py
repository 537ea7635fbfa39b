"""Which decisions count for a partition, and what ids more than one request has."""

from stream.kafka.accounting.accounts import Allowances, Rerun
from stream.kafka.accounting.allowances import allowances
from stream.kafka.accounting.repeated_ids import RepeatedIds
from stream.kafka.decisions import Decision

PLACE = ("requests", 1)


def decision(kind: str, first: int, end: int, **instead: object) -> Decision:
    scope = {
        "group": "ours",
        "topic": "requests",
        "topic_id": "id",
        "partition": 1,
        "from_offset": first,
        "to_offset": end,
    }
    return Decision(0, "ops@example.com", kind, scope | instead)


def test_accepted_ranges_of_this_partition_count() -> None:
    made = [decision("accept_gap", 1, 4), decision("accept_rerun", 4, 9), decision("hold", 0, 9)]
    assert allowances(made, "ours", PLACE, "id", doubles=True) == Allowances(
        (range(1, 4),), (Rerun(range(4, 9), 0),), None, True
    )


def test_decisions_about_other_groups_partitions_topics_and_topic_ids_do_not() -> None:
    made = [
        decision("accept_gap", 1, 4, group="another"),
        decision("accept_gap", 1, 4, partition=2),
        decision("accept_gap", 1, 4, topic="another"),
        decision("accept_gap", 1, 4, topic_id="of a deleted topic"),
        decision("accept_gap", 1, 4, to_offset="four"),
        Decision(0, "ops@example.com", "hold", {"task": "extract-invoice"}),
    ]
    assert allowances(made, "ours", PLACE, "id") == Allowances()


def test_an_unknown_topic_id_on_either_side_is_not_compared() -> None:
    assert allowances([decision("accept_gap", 1, 4, topic_id=None)], "ours", PLACE, "id").gaps == (range(1, 4),)
    assert allowances([decision("accept_gap", 1, 4)], "ours", PLACE, None).gaps == (range(1, 4),)


def test_of_several_starts_the_first_one_counts() -> None:
    first = decision("start_latest", 0, 0).scope
    listed = Decision(
        0,
        "a@b",
        "start_latest",
        {"group": "ours", "partitions": [first | {"partition": 0}, first | {"from_offset": 7}]},
    )
    assert allowances([listed, decision("start_latest", 9, 9)], "ours", PLACE, "id").start == 7


def test_ids_that_come_again_are_counted_and_named_once() -> None:
    ids = RepeatedIds()
    for name in (b"a", b"b", b"a", b"a", b"\xff", b"\xff"):
        ids.add(name)
    assert (ids.count, ids.names) == (3, ["a", "�"])
    assert ids.complete
