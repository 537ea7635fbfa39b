"""A sentence for each way in which a request can become a dead letter: what went wrong, for somebody new to it."""

from collections.abc import Mapping

from stream.core.errors import INTERNAL_ERROR

SENTENCES: Mapping[tuple[str, str], str] = {
    ("decode", "null_value"): "the record has no value",
    ("decode", "not_json"): "the bytes are no JSON; they are kept",
    ("decode", "bad_header"): "a header is not UTF-8",
    ("decode", "bad_cloudevent"): "it is no CloudEvent, although it says so",
    ("decode", "missing_id"): "the request has no id",
    ("decode", "avro_unconfigured"): "it needs a Schema Registry; none is set",
    ("decode", "too_large"): "the value is too large to be read",
    ("route", "unknown_task"): "no task has that name",
    ("route", "expired"): "it came too late; nothing paid",
    ("render", "invalid_input"): "the input doesn't fit the task; nothing paid",
    ("render", "unrendered_input"): "a {{ field }} nobody filled in; nothing paid",
    ("render", "template_error"): "the prompt's template failed on this input",
    ("render", "too_long"): "the prompt would be too long",
    ("call", "attempts_exhausted"): "the provider fails for this request alone",
    ("call", "bad_request"): "the provider calls the request wrong",
    ("call", "truncated"): "the reply was cut off: it doesn't count",
    ("call", "refused"): "the model refused",
    ("validate", "not_json"): "prose where JSON was asked for",
    ("validate", "schema"): "the reply doesn't fit the contract",
    ("validate", "unknown_stop_reason"): "the reply ended for an unknown reason",
    ("validate", "placeholder"): "the model filled in N/A or the like",
    ("validate", "empty"): "the reply says nothing",
    ("encode", "too_large"): "the result is too large for its topic",
}


def sentence(stage: str | None, code: str | None) -> str:
    """What went wrong; of a reason that isn't in the table, that much."""
    if code == INTERNAL_ERROR:
        return "a defect of llm-stream or of the task's code"
    return SENTENCES.get((stage or "", code or ""), "a reason this version doesn't know")
