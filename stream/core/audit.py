"""The audit copy: a redacted sample of prompt and reply, published in the same transaction as its outcome.

Which requests are copied is decided by a salted hash of the id, so that every worker and every replay agrees; refusals
are always copied. A copy that can't be made is dropped and counted: it never harms an outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream.core.outcomes import Completed, Outcome
from stream.core.records import Record
from stream.core.sampling import sampled

SALT = "audit"


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """rate: the share of requests copied, 0..1. redact: makes a text safe to keep; may raise ValueError."""

    rate: float
    redact: Callable[[str], str]


def reason_to_copy(outcome: Outcome, policy: AuditPolicy) -> str | None:
    """Why this outcome is copied (`refused`, `sampled`); None if it isn't. Only what reached a prompt can be."""
    if outcome.request is None or outcome.prompt is None:
        return None
    if not isinstance(outcome, Completed) and outcome.failure.code == "refused":
        return "refused"
    return "sampled" if sampled(SALT, outcome.request.id, policy.rate) else None


def audit_copy(
    record: Record, outcome: Outcome, policy: AuditPolicy, reason: str, finished_at_ms: int
) -> Mapping[str, Any]:
    """The copy's fields (design, section 12). Raises ValueError if redaction fails."""
    request, version, prompt = outcome.request, outcome.version, outcome.prompt
    if request is None or version is None or prompt is None:
        raise ValueError("nothing was rendered for this request")
    reply = outcome.completion.text if outcome.completion else None
    return {
        "request_id": request.id,
        "task": version.task,
        "prompt": version.label,
        "provider": version.provider,
        "model": version.model,
        "prompt_text": policy.redact(f"# system\n{prompt.system}\n\n# user\n{prompt.user}"),
        "reply_text": None if reply is None else policy.redact(reply),
        "outcome": "completed" if isinstance(outcome, Completed) else f"{outcome.failure.stage}/{outcome.failure.code}",
        "sample_rate": policy.rate if reason == "sampled" else 1.0,
        "reason": reason,
        "source": record.source,
        "finished_at_ms": finished_at_ms,
    }
