"""The demo's plot, its requests, its words for what happens, and the settings it makes."""

import itertools

import pytest

from stream.core.errors import CODES, ConfigError
from stream.core.outcomes import DeadLettered, Failure
from stream.core.records import Cost, Record
from stream.demo.observation import Observation, Rates
from stream.demo.plot import STORM_FAULTS, Act, plot_for, script
from stream.demo.reasons import SENTENCES, sentence
from stream.demo.requests import poison_places, requests
from stream.demo.run import environment
from stream.demo.samples import Sample
from stream.demo.simulated import simulated
from stream.demo.view import GateSeen
from stream.providers.keys import is_loopback
from stream.settings import Settings, load
from stream.simulator.faults import OPTIONS
from stream.simulator.script import Script

RECORD = Record("requests", 0, 0, None, b"", (), 0)


def test_every_reason_for_a_dead_letter_has_a_sentence_and_no_other() -> None:
    assert set(SENTENCES) == {(stage, code) for stage, codes in CODES.items() for code in codes}
    assert all(len(text) <= 46 for text in SENTENCES.values())
    assert "defect" in sentence("render", "internal_error")
    assert "doesn't know" in sentence("render", "tomorrow")


@pytest.mark.parametrize("records", [1, 10, 40, 200, 1_000, 20_000])
def test_every_act_of_every_length_is_a_script_that_the_simulator_plays(records: int) -> None:
    plot = plot_for(records)
    for act in (Act.CALM, Act.RATE_LIMIT, Act.OUTAGE, Act.RECOVERY):
        assert Script.parse({"fault": list(script(act, plot))}, OPTIONS).faults


def test_the_default_demo_sends_for_eight_seconds_and_no_number_floods_the_process() -> None:
    assert plot_for(200).sending_s == 8.0
    assert plot_for(40).sending_s < 4.0
    assert plot_for(20_000).per_s <= 100.0


def test_the_storm_is_made_of_what_the_accounts_call_storm() -> None:
    plot = plot_for(200)
    stormy = {entry["kind"] for act in (Act.RATE_LIMIT, Act.OUTAGE) for entry in script(act, plot)}
    assert stormy == STORM_FAULTS
    assert not STORM_FAULTS & {entry["kind"] for entry in script(Act.CALM, plot)}


SAMPLES = {"a": [Sample({"n": 1}, "one", "k"), Sample({"n": 2})], "b": [Sample({"n": 3}, "three")]}


def sent(count: int, seed: int = 1) -> list[str]:
    made = list(requests(SAMPLES, count, seed, "t", lambda: 0))
    return [(dict(each.headers).get("ce_id") or b"-").decode() for each in made]


def test_samples_are_sent_over_and_over_each_time_with_an_id_of_its_own() -> None:
    ids = sent(9)
    assert len(set(ids)) == 9
    assert {name.rpartition(".")[0] for name in ids} == {"one", "a", "three"}


def test_the_same_seed_sends_the_same_and_another_seed_another_order() -> None:
    assert sent(9, seed=1) == sent(9, seed=1)
    assert len({tuple(sent(9, seed=seed)) for seed in range(6)}) > 1


def test_three_of_many_records_are_no_requests_and_none_of_few() -> None:
    records = list(requests(SAMPLES, 50, 1, "t", lambda: 0))
    assert [number for number, each in enumerate(records) if each.key == b"poison"] == poison_places(50) == [10, 20, 40]
    assert poison_places(9) == []


def test_a_sample_that_json_cannot_carry_is_named() -> None:
    with pytest.raises(ConfigError, match="An example of a can't be sent"):
        list(requests({"a": [Sample("\ud800")]}, 1, 1, "t", lambda: 0))


def watched() -> tuple[Observation, list[str]]:
    said: list[str] = []
    clock = itertools.count(100)
    return Observation(lambda text, _tone: said.append(text), lambda: 47, lambda: float(next(clock))), said


def gate(watch: Observation, *, is_open: bool, cause: str = "rate_limited", answer: str = "429") -> None:
    opens_in_s = None if is_open else 2.5
    detail = "" if is_open else f"openai (127.0.0.1:1) answered {answer} slow_down: \x1b[2J"
    watch.gate_changed("openai", "pool:default", is_open=is_open, cause=cause, detail=detail, opens_in_s=opens_in_s)


def test_a_gate_that_shuts_fails_a_probe_and_opens_is_told_in_plain_words() -> None:
    watch, said = watched()
    gate(watch, is_open=False)
    gate(watch, is_open=False)
    gate(watch, is_open=True)
    assert said == [
        "openai answers 429: gate shut, 47 waiting, none lost",
        "openai: the probe got 429 too, next in 2.5 s; 47 waiting",
        "openai: the probe met no 429: gate open, one call first; 47 waiting",
    ]


def test_a_breaker_is_told_apart_from_a_429() -> None:
    watch, said = watched()
    gate(watch, is_open=False, cause="breaker", answer="529")
    gate(watch, is_open=True, cause="breaker")
    assert said == [
        "openai fails for all (529): breaker open, 47 waiting, none lost",
        "openai: the probes got through, calls flow again",
    ]


def test_a_shut_gate_counts_down_to_its_probe() -> None:
    watch, _ = watched()
    gate(watch, is_open=False)  # at 100 s, until 102.5 s
    assert watch.gates(["openai", "other"]) == (GateSeen("openai", "it answers 429", 1.5), GateSeen("other"))
    watch.gates([])
    assert watch.gates(["openai"]) == (GateSeen("openai", "it answers 429", None),)


def test_a_shut_gate_counts_the_probes_that_failed() -> None:
    watch, _ = watched()
    for _probe in range(3):
        gate(watch, is_open=False)
    assert watch.gates(["openai"])[0].probes == 2
    gate(watch, is_open=True)
    gate(watch, is_open=False)
    assert watch.gates(["openai"])[0].probes == 0


def test_each_kind_of_dead_letter_is_told_once_and_all_are_counted() -> None:
    watch, said = watched()
    for code in ("refused", "refused", "truncated"):
        watch.finished(RECORD, DeadLettered(Failure("call", code, "...", (), Cost(1, 1, micro_usd=5))))
    assert said == ["a dead letter: the model refused", "a dead letter: the reply was cut off: it doesn't count"]
    assert (watch.dead_letters, watch.results, watch.micro_usd) == (3, 0, 15)


def test_rates_are_per_second_and_one_for_each_half_second() -> None:
    rates = Rates()
    assert rates.look(0, 0.0) == ()
    assert rates.look(3, 0.3) == ()
    assert rates.look(10, 0.5) == (20.0,)
    assert rates.look(10, 1.0) == (20.0, 0.0)


def test_every_provider_becomes_the_simulator_and_none_keeps_a_key_or_an_address() -> None:
    real = {"kind": "openai", "base_url": "https://api.example.com/v1", "api_key_file": "key.txt", "deadline_s": 60.0}
    pools = {"slow": {"models": ["gpt-*"]}}
    settings = Settings.model_validate({"providers": {"mine": real | {"pools": pools}, "unused": real}})
    made = simulated(settings, ["mine", "anthropic", "unknown"], "http://127.0.0.1:9", 3.0).providers
    assert set(made) == {"mine", "anthropic"}
    assert made["mine"].base_url == "http://127.0.0.1:9/v1"
    assert made["anthropic"].base_url == "http://127.0.0.1:9"
    assert all(is_loopback(each.base_url) and not each.api_key_file and not each.api_key_env for each in made.values())
    assert made["mine"].pools == settings.providers["mine"].pools


def test_the_variables_for_other_terminals_lead_to_the_same_settings() -> None:
    topics = {"requests": ["demo-1.requests"], "results": "demo-1.results", "dlq": "demo-1.dlq"}
    kafka = {"bootstrap_servers": "127.0.0.1:1", "group_id": "demo-1"}
    settings = Settings.model_validate({"kafka": kafka, "topics": topics, "worker": {"delivery": "at_least_once"}})
    assert load(None, dict(environment(settings))).settings == settings
