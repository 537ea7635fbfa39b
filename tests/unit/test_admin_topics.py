"""Which topics are wanted, and what is found wrong with those that are there."""

from collections.abc import Mapping

import pytest

from stream.kafka.admin import url_safe
from stream.kafka.topics import (
    DLQ_HEADROOM_BYTES,
    REQUEST_MAX_BYTES,
    Alteration,
    Finding,
    TopicFacts,
    Topology,
    WantedTopic,
    adjusted,
    alterations,
    findings,
    wanted,
)
from stream.settings import Settings

GOOD_BROKER = {"offset.metadata.max.bytes": "4096", "transaction.max.timeout.ms": "900000"}


def there(row: WantedTopic, **changes: str) -> TopicFacts:
    """The topic as `topics create` would have made it, but for some settings."""
    config = {"unclean.leader.election.enable": "false", "retention.bytes": "-1", "min.insync.replicas": "1"}
    config |= {**row.config, **{name.replace("_", "."): value for name, value in changes.items()}}
    size = int(config.get("max.message.bytes", "1048588"))
    return TopicFacts(row.partitions, "id", size, config["cleanup.policy"], row.replication_factor, config)


def findings_of(topics: Mapping[str, TopicFacts], broker: Mapping[str, str] = GOOD_BROKER) -> list[Finding]:
    rows = adjusted(wanted(Settings(), brokers=1), topics)
    return findings(rows, Topology(topics, {1: broker}), transactional=True)


def everything(**changed: TopicFacts) -> dict[str, TopicFacts]:
    """All topics as wanted, but for those given by kind (`dlq=...`)."""
    return {row.name: changed.get(row.kind, there(row)) for row in wanted(Settings(), brokers=1)}


def row_of(kind: str, brokers: int = 1) -> WantedTopic:
    return next(row for row in wanted(Settings(), brokers) if row.kind == kind)


def bad(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(each.subject, each.check, each.level) for each in found if each.level != "ok"]


def test_requests_and_results_take_8_mib_and_dead_letters_256_kib_more():
    sizes = {row.kind: row.config.get("max.message.bytes") for row in wanted(Settings(), brokers=1)}
    assert sizes["requests"] == sizes["results"] == str(8 * 1024 * 1024)
    assert sizes["dlq"] == str(8 * 1024 * 1024 + 256 * 1024)


def test_decisions_have_one_partition_and_are_kept_for_ever():
    row = row_of("decisions")
    assert (row.partitions, row.config["retention.ms"], row.config["cleanup.policy"]) == (1, "-1", "delete")


@pytest.mark.parametrize(("brokers", "factor", "in_sync"), [(1, 1, None), (2, 2, None), (3, 3, "2"), (9, 3, "2")])
def test_the_replication_factor_follows_the_cluster(brokers: int, factor: int, in_sync: str | None):
    row = row_of("requests", brokers)
    assert (row.replication_factor, row.config.get("min.insync.replicas")) == (factor, in_sync)


def test_a_replication_factor_that_is_set_wins():
    settings = Settings.model_validate({"topics": {"replication_factor": 5}})
    assert {row.replication_factor for row in wanted(settings, brokers=1)} == {5}


def test_a_results_topic_of_a_single_task_is_wanted_too():
    rows = wanted(Settings(), brokers=1, results_topics=["invoices", "llm.results"])
    assert [row.name for row in rows if row.kind == "results"] == ["llm.results", "invoices"]


def test_topics_as_create_makes_them_have_no_finding_against_them():
    assert bad(findings_of(everything())) == []


def test_a_missing_topic_is_wrong_and_the_remedy_is_topics_create():
    topics = everything()
    del topics["llm.audit"]
    [finding] = [each for each in findings_of(topics) if each.level == "wrong"]
    assert finding.subject == "llm.audit"
    assert "topics create" in finding.remedy


@pytest.mark.parametrize("kind", ["requests", "results", "dlq", "decisions"])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_is_refused(kind: str, policy: str):
    row = row_of(kind)
    assert bad(findings_of(everything(**{kind: there(row, cleanup_policy=policy)}))) == [(row.name, "cleanup", "wrong")]


def test_a_dead_letter_topic_that_could_not_hold_a_whole_request_is_wrong():
    small = there(row_of("dlq"), max_message_bytes=str(REQUEST_MAX_BYTES))
    assert bad(findings_of(everything(dlq=small))) == [("llm.dlq", "size", "wrong")]


def test_the_dead_letter_topic_follows_requests_topics_that_take_more():
    larger = there(row_of("requests"), max_message_bytes=str(2 * REQUEST_MAX_BYTES))
    [finding] = [each for each in findings_of(everything(requests=larger)) if each.level == "wrong"]
    assert finding.check == "size"
    assert str(2 * REQUEST_MAX_BYTES + DLQ_HEADROOM_BYTES) in finding.remedy


def test_small_requests_topics_need_no_large_dead_letter_topic():
    topics = everything(
        requests=there(row_of("requests"), max_message_bytes="1048588"),
        dlq=there(row_of("dlq"), max_message_bytes=str(1_048_588 + DLQ_HEADROOM_BYTES)),
    )
    assert bad(findings_of(topics)) == [("llm.requests", "size", "warning")]


def test_a_dead_letter_topic_with_fewer_partitions_than_requests_is_wrong():
    row = row_of("dlq")
    facts = TopicFacts(6, "id", REQUEST_MAX_BYTES + DLQ_HEADROOM_BYTES, "delete", 1, there(row).config)
    assert bad(findings_of(everything(dlq=facts))) == [("llm.dlq", "partitions", "wrong")]


def test_fewer_partitions_than_configured_are_fine_where_requests_have_no_more():
    def of_six(kind: str) -> TopicFacts:
        facts = there(row_of(kind))
        return TopicFacts(6, "id", facts.max_message_bytes, "delete", 1, facts.config)

    assert bad(findings_of(everything(requests=of_six("requests"), dlq=of_six("dlq")))) == []


def test_decisions_that_expire_are_wrong():
    facts = there(row_of("decisions"), retention_ms="604800000")
    assert bad(findings_of(everything(decisions=facts))) == [("llm.decisions", "retention", "wrong")]


def test_decisions_in_several_partitions_are_wrong():
    facts = TopicFacts(3, "id", 1_048_588, "delete", 1, there(row_of("decisions")).config)
    assert bad(findings_of(everything(decisions=facts))) == [("llm.decisions", "partitions", "wrong")]


def test_unclean_leader_election_is_a_warning():
    facts = there(row_of("results"), unclean_leader_election_enable="true")
    assert bad(findings_of(everything(results=facts))) == [("llm.results", "durability", "warning")]


def test_more_in_sync_replicas_than_replicas_is_wrong():
    facts = there(row_of("results"), min_insync_replicas="2")
    assert bad(findings_of(everything(results=facts))) == [("llm.results", "durability", "wrong")]


def test_three_replicas_of_which_one_suffices_are_a_warning():
    config = there(row_of("results")).config
    facts = TopicFacts(12, "id", REQUEST_MAX_BYTES, "delete", 3, config)
    assert bad(findings_of(everything(results=facts))) == [("llm.results", "durability", "warning")]


@pytest.mark.parametrize(
    ("name", "value"), [("offset.metadata.max.bytes", "1024"), ("transaction.max.timeout.ms", "10000")]
)
def test_a_broker_that_would_refuse_our_commits_is_wrong(name: str, value: str):
    assert bad(findings_of(everything(), GOOD_BROKER | {name: value})) == [("broker 1", name, "wrong")]


def test_a_broker_that_does_not_tell_is_a_warning():
    assert [level for _, _, level in bad(findings_of(everything(), {}))] == ["warning", "warning"]


def test_transactions_do_not_matter_to_at_least_once():
    rows = adjusted(wanted(Settings(), brokers=1), everything())
    topology = Topology(everything(), {1: GOOD_BROKER | {"transaction.max.timeout.ms": "1"}})
    assert bad(findings(rows, topology, transactional=False)) == []


def test_a_dead_letter_topic_made_now_fits_requests_topics_that_grow_later():
    few = TopicFacts(3, "id", 1_048_588, "delete", 1, there(row_of("requests")).config)
    rows = adjusted(wanted(Settings(), brokers=1), everything(requests=few), grown=True)
    [dlq] = [row for row in rows if row.kind == "dlq"]
    assert (dlq.partitions, dlq.config["max.message.bytes"]) == (12, str(REQUEST_MAX_BYTES + DLQ_HEADROOM_BYTES))


def test_apply_changes_nothing_where_all_is_as_wanted():
    assert alterations(wanted(Settings(), brokers=1), everything()) == []


def test_apply_sets_only_what_differs():
    facts = there(row_of("results"), retention_ms="1000", cleanup_policy="compact")
    changes = alterations(wanted(Settings(), brokers=1), everything(results=facts))
    assert changes == [Alteration("llm.results", {"cleanup.policy": "delete", "retention.ms": "604800000"})]


def test_apply_adds_partitions_and_never_removes_any():
    rows = wanted(Settings(), brokers=1)
    few = TopicFacts(3, "id", REQUEST_MAX_BYTES, "delete", 1, there(row_of("requests")).config)
    many = TopicFacts(40, "id", REQUEST_MAX_BYTES, "delete", 1, there(row_of("results")).config)
    assert alterations(rows, everything(requests=few, results=many)) == [Alteration("llm.requests", {}, 12)]


def test_apply_never_lowers_the_size_of_what_a_topic_takes():
    facts = there(row_of("requests"), max_message_bytes=str(4 * REQUEST_MAX_BYTES))
    assert alterations(wanted(Settings(), brokers=1), everything(requests=facts)) == []


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("+/3KB5ruRz2AKZvUm9ryKw==", "-_3KB5ruRz2AKZvUm9ryKw"),
        ("AZ1KS7uwRz2AKZvUm9ryKw", "AZ1KS7uwRz2AKZvUm9ryKw"),
        ("AAAAAAAAAAAAAAAAAAAAAA", None),
    ],
)
def test_topic_ids_are_spelled_as_kafkas_own_tools_do(printed: str, expected: str | None):
    assert url_safe(printed) == expected
