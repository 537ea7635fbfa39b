"""The topics as they are now: identity, limits, partitions. Asked at the start and every now and then. Blocking."""

from collections.abc import Mapping, Sequence

from confluent_kafka.admin import AdminClient

from stream.core.errors import ConfigError, DependencyError
from stream.kafka import admin, clients
from stream.kafka.topics import TopicFacts
from stream.settings import Settings

_ANSWER_S = 5.0


class TopicWatch:
    """What the broker says of the topics a worker uses. `facts` is replaced as a whole, so any thread may read it."""

    def __init__(self, settings: Settings, results_topics: Sequence[str] = ()) -> None:
        topics = settings.topics
        self._settings = settings
        self.results = list(dict.fromkeys([topics.results, *filter(None, results_topics)]))
        self._needed = [*topics.requests, *self.results, topics.dlq, topics.audit, topics.decisions]
        self._client: AdminClient | None = None
        self.facts: Mapping[str, TopicFacts] = {}

    def load(self) -> None:
        """Ask once. Raises DependencyError when no broker answers, ConfigError when a topic isn't there."""
        self._ask()
        missing = [topic for topic in dict.fromkeys(self._needed) if topic not in self.facts]
        if missing:
            raise ConfigError(
                f"{'topic' if len(missing) == 1 else 'topics'} {', '.join(missing)} not found at "
                f"{self._settings.kafka.bootstrap_servers}. `llm-stream topics create` makes what is missing."
            )

    def refresh(self) -> bool:
        """Ask again; whether a broker answered."""
        try:
            self._ask()
        except (DependencyError, ConfigError):
            return False
        return True

    def ids(self) -> dict[str, str | None]:
        """The id of each request topic; None where the broker knows none or the topic is gone."""
        facts = self.facts
        return {t: facts[t].topic_id if t in facts else None for t in self._settings.topics.requests}

    def limits(self) -> dict[str, int]:
        """`max.message.bytes` of each topic that outcomes go to."""
        topics = self._settings.topics
        facts = self.facts
        return {t: facts[t].max_message_bytes for t in (*self.results, topics.dlq, topics.audit) if t in facts}

    def _ask(self) -> None:
        if self._client is None:
            self._client = clients.admin(self._settings)
        self.facts = admin.topic_facts(self._client, self._needed, _ANSWER_S)
