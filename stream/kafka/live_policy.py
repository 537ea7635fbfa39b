"""How outcomes are settled while topics change under a running worker: limits and partitions as they are now."""

from dataclasses import replace

from stream.core.settlement import SettlePolicy
from stream.kafka.topic_watch import TopicWatch


class LivePolicy:
    """A policy for each topic of requests and the id that it was judged with.

    An outcome names the topic its request was read from, not one that has taken its name since.
    """

    def __init__(self, base: SettlePolicy, topics: TopicWatch) -> None:
        """base: all that doesn't depend on the topics' state."""
        self._base = base
        self._topics = topics
        self._facts = topics.facts
        self._policies: dict[tuple[str, str | None], SettlePolicy] = {}

    def __call__(self, topic: str, topic_id: str | None) -> SettlePolicy:
        """For requests of this topic. topic_id: None where the broker knows none."""
        if self._topics.facts is not self._facts:
            self._facts = self._topics.facts
            self._policies.clear()
        policy = self._policies.get((topic, topic_id))
        if policy is None:
            dlq = self._facts.get(self._base.dlq)
            policy = self._policies[topic, topic_id] = replace(
                self._base,
                topic_ids={topic: topic_id} if topic_id else {},
                limits=self._topics.limits(),
                dlq_partitions=dlq.partitions if dlq else 0,
            )
        return policy
