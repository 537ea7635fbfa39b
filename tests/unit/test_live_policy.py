"""Outcomes are settled by the topics as they are now, and name the topic that their requests were read from."""

from typing import Any

from stream.kafka.live_policy import LivePolicy
from stream.kafka.topics import TopicFacts
from tests.support.outcome_builders import policy


class Topics:
    """What a broker says of the topics, and may say anew."""

    def __init__(self) -> None:
        self.say()

    def say(self, *, partitions: int = 12, limit: int = 1_000) -> None:
        self.facts = {"dlq": TopicFacts(partitions, "dlq-id", limit, "delete")}

    def limits(self) -> dict[str, int]:
        return {topic: facts.max_message_bytes for topic, facts in self.facts.items()}


def live() -> tuple[LivePolicy, Topics]:
    topics = Topics()
    of_topics: Any = topics
    return LivePolicy(policy(), of_topics), topics


def test_limits_and_partitions_are_those_of_now() -> None:
    policies, topics = live()
    before = policies("requests", "a")
    assert (before.limits, before.dlq_partitions) == ({"dlq": 1_000}, 12)
    assert policies("requests", "a") is before
    topics.say(partitions=3, limit=9_000)
    after = policies("requests", "a")
    assert (after.limits, after.dlq_partitions) == ({"dlq": 9_000}, 3)


def test_a_topic_that_is_gone_has_no_limit_and_no_partitions() -> None:
    policies, topics = live()
    topics.facts = {}
    assert (policies("requests", "a").limits, policies("requests", "a").dlq_partitions) == ({}, 0)


def test_each_epochs_outcomes_name_the_topic_it_was_judged_with() -> None:
    policies, _ = live()
    given = [policies("requests", id_).topic_ids for id_ in ("old", "new", None)]
    assert given == [{"requests": "old"}, {"requests": "new"}, {}]
