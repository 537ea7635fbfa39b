"""Settings that point at a test's own topics."""

import uuid
from typing import Any

from stream.settings import Settings
from tests.support.kafka import Topics


def settings_for(bootstrap_servers: str, topics: Topics | None = None, **topic_settings: Any) -> Settings:
    """Settings for these topics, or for fresh names that nobody has made yet."""
    run = uuid.uuid4().hex[:8]
    names: dict[str, Any] = {
        "requests": [f"{run}.requests"],
        **{name: f"{run}.{name}" for name in ("results", "dlq", "audit", "decisions", "control")},
        "partitions": 4,
    }
    if topics is not None:
        own = {"results": topics.results, "dlq": topics.dlq, "audit": topics.audit, "decisions": topics.decisions}
        names |= {"requests": [topics.requests], **own}
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": bootstrap_servers, "group_id": f"{run}.group"},
            "topics": names | topic_settings,
        }
    )
