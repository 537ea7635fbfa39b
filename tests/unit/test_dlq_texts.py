"""A dead letter's page, and the topics as others make them."""

import pytest

from stream.cli import output
from stream.cli.dlq_texts import entry, listed, money, page
from stream.dlq.envelope import dead_letter_from
from stream.dlq.sequel import Sequel
from stream.kafka.decisions import Decision
from stream.kafka.topic_texts import kafka_topics_commands, strimzi_yaml
from stream.kafka.topics import WantedTopic
from tests.support.letters import dead_letter, record


def test_the_page_says_what_was_wrong_before_anything_else():
    lines = page(dead_letter_from(dead_letter()), [], Sequel())
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
    told = [*page(letter, [Decision(1, "a@b", "replay", {}, "\x1b[2J")], Sequel()), *entry(letter, 1, 80)[1]]
    assert "\x1b" not in "".join(told)


def test_a_page_is_made_of_any_record():
    anything = dead_letter_from(record(headers=None, value=None))
    assert any("could not be read" in line for line in page(anything, [], Sequel()))
    assert entry(anything, 0, 80)[0] == ("0:0", "1970-01-01T00:00:01Z", "?/?", "?", "")


def test_a_value_that_was_not_kept_is_said():
    letter = dead_letter_from(dead_letter(more=(("llm.value.sha256", b"abc"),), value=None))
    assert any("too large to be kept; SHA-256 abc" in line for line in page(letter, [], Sequel()))


LONG = "the reply has no field that could be the total, although one of them says that it is one, twice over"


def test_at_80_columns_a_page_fits_and_its_lines_hang():
    letter = dead_letter_from(dead_letter(more=(("llm.error.detail", LONG.encode()),)))
    lines = page(letter, [], Sequel(), 80)
    assert max(map(len, lines)) <= 80
    assert lines[4] == " " * 12 + "says that it is one, twice over"


def test_in_a_list_id_time_and_code_are_whole_and_the_detail_stands_below():
    letter = dead_letter_from(dead_letter(more=(("llm.error.detail", LONG.encode()),)))
    cells, below = entry(letter, 0, 80)
    assert cells == ("2:9", "1970-01-01T00:00:05Z", "validate/placeholder", "greet", "")
    assert " ".join(line.strip() for line in below) == f"r-1, 1 attempt, $0.001234: {LONG}"
    assert len(below) == 2
    assert all(line.startswith("    ") and len(line) <= 80 for line in below)


def test_a_dead_letter_of_a_replay_says_so():
    letter = dead_letter_from(dead_letter(more=(("llm.replay.count", b"1"), ("llm.replay.id", b"2:1"))))
    assert entry(letter, 0, 80)[1][0].startswith("    r-1, replay 1, 1 attempt")


def test_the_list_says_how_often_a_dead_letter_was_sent_again():
    letter = dead_letter_from(dead_letter())
    assert [entry(letter, count, 80)[0][4] for count in (0, 1, 2, 3)] == ["", "once", "twice", "3 times"]


LONG_NAMES = (("llm.error.stage", b"render"), ("llm.error.code", b"unrendered_input"))


@pytest.mark.parametrize("task", ["contract-summaries", "contract-summaries-of-every-counterparty-in-the-register"])
@pytest.mark.parametrize("replays", [0, 2])
def test_at_80_columns_the_list_fits_with_long_codes_and_task_names(capsys, task, replays):
    long = dead_letter_from(dead_letter(task=task, more=LONG_NAMES, partition=11, offset=1_234_567))
    output.listing(*listed([entry(long, replays, 80), entry(dead_letter_from(dead_letter()), 0, 80)], 80))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "render/unrendered_input" in lines[1]
    assert any(task in line for line in lines)
    assert any("twice" in line for line in lines) is bool(replays)


def test_in_a_list_that_fits_every_column_stays_a_column():
    cells, below = entry(dead_letter_from(dead_letter()), 1, 80)
    assert listed([(cells, below)], 80) == (("id", "when", "stage/code", "task", "replayed"), [(cells, below)])


def test_the_page_says_what_became_of_a_replay():
    replay = Decision(1_000, "ops@host", "replay", {}, "prompt fixed")
    letter = dead_letter_from(dead_letter())
    lines = page(letter, [replay], Sequel(("llm.results:0:3",), ("llm.requests:2:9",)))
    at = lines.index("replayed    1970-01-01T00:00:01.000Z by ops@host: prompt fixed")
    assert lines[at + 1].strip() == "which has a result, llm.results:0:3"
    assert lines[at + 2].strip() == "which waits as llm.requests:2:9: no result and no dead letter yet"


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
