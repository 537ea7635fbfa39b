"""The table of metrics: all of it is scraped, nothing else is, and the documentation says the same."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.core.starting import StopCause
from stream.settings import Settings
from stream.telemetry.counting import MetricsWatch
from stream.telemetry.figures import Figures, QuotaFigures
from stream.telemetry.metrics import LABELS, TABLE, with_tables
from stream.telemetry.registry import known
from tests.support.telemetry_parts import SomeVersion, scraped, some_metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def families(page: bytes) -> dict[str, tuple[str, str]]:
    """Type and help by name, read by the client library's own parser."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (family.type, family.documentation)
        for family in text_string_to_metric_families(page.decode())
    }


def test_every_metric_of_the_table_is_in_a_scrape_and_nothing_else_is():
    page = some_metrics().page()
    assert families(page) == {metric.name: (metric.kind, metric.help) for metric in TABLE}


def test_every_metric_but_the_rare_ones_has_a_value_before_anything_happened():
    metrics = some_metrics()
    MetricsWatch(metrics)
    valued = {sample.partition("{")[0] for sample in scraped(metrics)}
    missing = {m.name for m in TABLE if m.kind != "histogram" and m.name not in valued}
    assert missing == {
        "llm_stream_dead_letters_total",
        "llm_stream_partition_stopped",
        "llm_stream_calls_total",  # these two come with the provider that is observed
        "llm_stream_tokens_total",
        "llm_stream_quota_limit_per_minute",  # and these when settings or headers speak of a quota
        "llm_stream_quota_remaining",
        "llm_stream_quota_permitted_per_minute",
    }


def test_a_quota_has_a_series_of_its_own_and_says_nothing_it_does_not_know():
    quotas = (
        QuotaFigures("anthropic", "default", "requests", 600.0, 15.0, 300.0),
        QuotaFigures("openai", "big", "tokens", 6_000.0, None, 6_000.0),
    )
    page = scraped(some_metrics(lambda: Figures(quotas=quotas)))
    assert page['llm_stream_quota_remaining{meter="requests",pool="default",provider="anthropic"}'] == 15
    assert page['llm_stream_quota_permitted_per_minute{meter="tokens",pool="big",provider="openai"}'] == 6_000
    assert len([name for name in page if name.startswith("llm_stream_quota_remaining")]) == 1


@pytest.mark.parametrize("metric", TABLE, ids=lambda metric: metric.name)
def test_a_row_follows_the_rules_of_naming(metric):
    assert metric.name.startswith("llm_stream_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert set(metric.labels) <= set(LABELS)
    assert metric.help.endswith(".") or metric.name == "llm_stream_build_info"


def test_every_label_is_used():
    assert set(LABELS) == {label for metric in TABLE for label in metric.labels}


def test_gauges_show_the_worker_at_the_moment_of_the_scrape():
    figures = Figures(
        in_flight=5,
        waiting=60,
        waiting_bytes=7_000,
        uncommitted=8,
        partitions=("t:0", "t:1"),
        stopped={"t:1": StopCause.RETENTION_GAP},
        ticked_s_ago=0.5,
        brokers_up=False,
    )
    samples = scraped(some_metrics(lambda: figures))
    assert {
        "llm_stream_in_flight": 5,
        "llm_stream_waiting": 60,
        "llm_stream_waiting_bytes": 7_000,
        "llm_stream_uncommitted": 8,
        "llm_stream_partitions": 2,
        'llm_stream_partition_stopped{cause="retention_gap",partition="t:1"}': 1,
        "llm_stream_poll_age_seconds": 0.5,
        "llm_stream_brokers_up": 0,
        'llm_stream_build_info{version="1.2.3"}': 1,
    }.items() <= samples.items()


def test_two_workers_of_one_process_count_apart():
    one, other = some_metrics(), some_metrics()
    one.counter("llm_stream_received_total").inc()
    assert scraped(other)["llm_stream_received_total"] == 0


def test_labels_take_their_names_from_settings_and_prompt_versions(settings_with_a_pool):
    names = known(settings_with_a_pool, [SomeVersion("greet"), SomeVersion("sum-up", model="large-1")])
    assert names.tasks == {"greet", "sum-up"}
    assert names.scopes("main") == ["account", "pool:batch", "pool:default", "model:large-1", "model:small-1"]


@pytest.fixture
def settings_with_a_pool():
    return Settings.model_validate({"providers": {"main": {"kind": "openai", "pools": {"batch": {"models": ["x*"]}}}}})


def test_the_documentation_shows_the_table():
    """To renew it: python -m stream.telemetry.metrics docs/metrics.md"""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_documentation_that_was_edited_by_hand_is_noticed():
    text = DOCUMENT.read_text(encoding="utf-8")
    edited = text.replace("| `llm_stream_waiting` |", "| `llm_stream_queued` |")
    assert edited != text
    assert with_tables(edited) != edited


def test_every_metric_that_the_documentation_names_exists():
    words = DOCUMENT.read_text(encoding="utf-8").replace("`", " ").replace("(", " ").replace("[", " ").split()
    named = {word.rstrip(",;.").removesuffix("_bucket") for word in words if word.startswith("llm_stream_")}
    assert named <= {metric.name for metric in TABLE}
