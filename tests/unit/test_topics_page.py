"""What `topics check` shows at a terminal of 80 columns."""

from stream.cli.topics import lines
from stream.kafka.topics import Finding

WELL = [
    Finding("llm.requests", "partitions", "ok", "12 partitions"),
    Finding("llm.requests", "cleanup", "ok", "cleanup.policy=delete"),
    Finding("llm.requests", "size", "ok", "max.message.bytes=8388608"),
    Finding("llm.requests", "retention", "ok", "retention.ms=604800000"),
]


def test_what_is_well_stands_below_its_topic():
    assert list(lines(WELL, 80)) == [
        "✓ llm.requests",
        "    12 partitions, cleanup.policy=delete, max.message.bytes=8388608,",
        "    retention.ms=604800000",
    ]


def test_what_is_wrong_has_its_remedy_on_the_same_lines():
    wrong = Finding("llm.dlq", "exists", "wrong", "is not there", "llm-stream topics create makes what is missing")
    odd = Finding("broker 1", "x", "warning", "not told", "the broker doesn't say: check its configuration")
    assert list(lines([wrong, odd], 80)) == [
        "✗ llm.dlq: is not there: llm-stream topics create makes what is missing",
        "! broker 1: not told: the broker doesn't say: check its configuration",
    ]
