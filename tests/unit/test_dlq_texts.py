"""A dead letter's page, and the topics as others make them."""

from stream.cli.dlq_texts import money, page
from stream.dlq.envelope import dead_letter_from
from stream.kafka.decisions import Decision
from stream.kafka.topic_texts import kafka_topics_commands, strimzi_yaml
from stream.kafka.topics import WantedTopic
from tests.support.letters import dead_letter, record


def test_the_page_says_what_was_wrong_before_anything_else():
    lines = page(dead_letter_from(dead_letter()), []).splitlines()
    assert lines[0] == "Dead letter 2:9 of llm.dlq"
    assert "validate/placeholder" in lines[2]
    assert "$.name is a placeholder" in lines[3]


def test_an_unknown_price_is_no_zero():
    assert (money(None), money(0), money(1_234)) == ("?", "$0.000000", "$0.001234")


def test_a_record_cannot_write_to_the_terminal():
    hostile = b"\x1b]0;owned\x07"
    letter = dead_letter_from(
        dead_letter(more=(("llm.error.detail", hostile), ("x", hostile)), value=hostile, key=hostile)
    )
    assert "\x1b" not in page(letter, [Decision(1, "a@b", "replay", {}, "\x1b[2J")])


def test_a_page_is_made_of_any_record():
    assert "could not be read" in page(dead_letter_from(record(headers=None, value=None)), [])


def test_a_value_that_was_not_kept_is_said():
    letter = dead_letter_from(dead_letter(more=(("llm.value.sha256", b"abc"),), value=None))
    assert "too large to be kept; SHA-256 abc" in page(letter, [])


def test_kafkas_own_tool_gets_every_setting():
    row = WantedTopic("t", "results", 3, 2, {"cleanup.policy": "delete", "retention.ms": "-1"})
    [_, command] = kafka_topics_commands([row], "h:9092").strip().splitlines()
    assert command == (
        "kafka-topics.sh --bootstrap-server h:9092 --create --if-not-exists --topic t --partitions 3 "
        "--replication-factor 2 --config cleanup.policy=delete --config retention.ms=-1"
    )


def test_a_strimzi_resource_has_a_name_kubernetes_takes_and_the_topics_real_one():
    text = strimzi_yaml([WantedTopic("My_Topic", "results", 3, 2, {"retention.ms": "-1"})])
    assert "name: my-topic\n" in text
    assert 'topicName: "My_Topic"' in text
    assert "retention.ms: -1\n" in text
