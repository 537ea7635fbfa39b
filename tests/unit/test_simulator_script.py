"""Scripts of faults: what they may say, and when a fault is laid on a call."""

import re
from pathlib import Path

import pytest

from stream.core.errors import ConfigError
from stream.simulator.chance import log_normal
from stream.simulator.faults import FAULTS, OPTIONS, table
from stream.simulator.ledger import Ledger, key_mark
from stream.simulator.patterns import string_for
from stream.simulator.script import Performance, Script

ROOT = Path(__file__).parents[2]


def script(*entries: object) -> Script:
    return Script.parse({"fault": list(entries)}, OPTIONS)


def laid(played: Performance, calls: int, *, model: str = "m", text: str = "") -> list[str | None]:
    kinds = []
    for call in range(calls):
        number, elapsed_s = played.arrival(100.0 + call)
        fault = played.fault_for(number, elapsed_s, model, text)
        kinds.append(fault.kind if fault else None)
    return kinds


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "overlod"}, ["[[fault]] 2", "unknown kind `overlod`", "did you mean `overload`"]),
        ({}, ["[[fault]] 2", "`kind` is missing"]),
        ({"kind": "hang", "from": 3}, ["[[fault]] 2", "kind `hang`", "unknown key `from`", "did you mean `from_s`"]),
        ({"kind": "hang", "delay_s": 3}, ["unknown key `delay_s` (other kinds take it)"]),
        ({"kind": "hang", "share": 1.5}, ["`share` = 1.5"]),
        ({"kind": "hang", "share": "half"}, ["`share` = 'half'"]),
        ({"kind": "hang", "from_s": -1}, ["`from_s` = -1"]),
        ({"kind": "hang", "to_s": float("nan")}, ["`to_s` = nan"]),
        ({"kind": "hang", "from_s": 5, "to_s": 5}, ["`to_s` (5) must be after `from_s` (5)"]),
        ({"kind": "hang", "from_call": 5, "to_call": 4}, ["`to_call` (4) must not be before `from_call` (5)"]),
        ({"kind": "hang", "limit": 0}, ["`limit` = 0"]),
        ({"kind": "schema_violation", "violation": "all"}, ["`violation` = 'all'"]),
        ("hang", ["is not a table"]),
    ],
)
def test_a_mistake_is_named_with_its_entry_and_key(entry: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        script({"kind": "hang"}, entry)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, ["limits nothing", "`requests_per_minute`", "`tokens_per_minute`"]),
        ({"models": "claude-*"}, ["limits nothing"]),
        ({"request_per_minute": 5}, ["unknown key `request_per_minute`", "did you mean `requests_per_minute`"]),
        ({"requests_per_minute": 0}, ["`requests_per_minute` = 0"]),
        ({"tokens_per_minute": 1.5}, ["`tokens_per_minute` = 1.5"]),
        ({"requests_per_minute": True}, ["`requests_per_minute` = True"]),
        ({"requests_per_minute": 5, "window_s": 0}, ["`window_s` = 0"]),
        ({"requests_per_minute": 5, "window_s": float("inf")}, ["`window_s` = inf"]),
        ({"requests_per_minute": 5, "refill": "slowly"}, ["`refill` = 'slowly'", "'continuous' or 'at_once'"]),
        ({"requests_per_minute": 5, "rejects_count": "yes"}, ["`rejects_count` = 'yes'"]),
        ({"requests_per_minute": 5, "headers": 1}, ["`headers` = 1"]),
        ({"requests_per_minute": 5, "retry_after": True}, ["`retry_after` = True", "'true', 'none' or 'absurd'"]),
        ({"requests_per_minute": 5, "models": ""}, ["`models` = ''"]),
        ("fast", ["is not a table"]),
    ],
)
def test_a_mistake_in_a_quota_is_named_with_its_entry_and_key(entry: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Script.parse({"quota": [{"requests_per_minute": 5}, entry]}, OPTIONS, where="day.toml")
    for word in ["day.toml, [[quota]] 2", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, ["`from_s` is missing"]),
        ({"from_s": 1, "factor": 0.5}, ["`to_s` is missing"]),
        ({"from_s": 1, "to_s": 2}, ["`factor` is missing"]),
        ({"from_s": 1, "to_s": 2, "factr": 0.5}, ["unknown key `factr`", "did you mean `factor`"]),
        ({"from_s": 1, "to_s": 2, "factor": 1}, ["`factor` = 1"]),
        ({"from_s": 1, "to_s": 2, "factor": 0}, ["`factor` = 0"]),
        ({"from_s": 2, "to_s": 2, "factor": 0.5}, ["`to_s` (2) must be after `from_s` (2)"]),
        ({"from_s": 1, "to_s": 2, "factor": 0.5, "models": "gpt-*"}, ["concerns no [[quota]]", "`claude-*`, `o3`"]),
        (["factor"], ["is not a table"]),
    ],
)
def test_a_mistake_in_a_cut_is_named_with_its_entry_and_key(entry: object, words: list[str]) -> None:
    quotas = [{"models": models, "requests_per_minute": 5} for models in ("claude-*", "o3")]
    right = {"from_s": 1, "to_s": 2, "factor": 0.5, "models": "claude-*"}
    with pytest.raises(ConfigError) as caught:
        Script.parse({"quota": quotas, "cut": [right, entry]}, OPTIONS)
    for word in ["[[cut]] 2", *words]:
        assert word in str(caught.value)


def test_a_cut_without_a_quota_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"write a \[\[quota\]\] for it to cut"):
        Script.parse({"cut": [{"from_s": 1, "to_s": 2, "factor": 0.5}]}, OPTIONS)


def test_other_tables_and_a_single_bracket_are_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    for content, word in (
        ("[fault]\nkind = 'hang'", "two brackets"),
        ("[[faults]]\nkind = 'hang'", "unknown key `faults`.*did you mean `fault`"),
        ("[quota]\nrequests_per_minute = 5", r"write \[\[quota\]\] with two brackets"),
        ("[cut]\nfactor = 0.5", r"write \[\[cut\]\] with two brackets"),
        ("kind = ", "is not TOML"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=word) as caught:
            Script.load(file, OPTIONS)
        assert "faults.toml" in str(caught.value)
    with pytest.raises(ConfigError, match="can't be read"):
        Script.load(tmp_path / "absent.toml", OPTIONS)


def test_seconds_count_from_the_first_call_and_the_last_one_is_excluded() -> None:
    played = Performance(script({"kind": "hang", "from_s": 1, "to_s": 3}), seed=0)
    assert laid(played, 5) == [None, "hang", "hang", None, None]


def test_calls_count_from_one_and_both_ends_are_included() -> None:
    played = Performance(script({"kind": "hang", "from_call": 2, "to_call": 3}), seed=0)
    assert laid(played, 5) == [None, "hang", "hang", None, None]


def test_the_first_entry_that_applies_decides() -> None:
    played = Performance(script({"kind": "hang", "to_call": 1}, {"kind": "cut", "to_call": 2}), seed=0)
    assert laid(played, 3) == ["hang", "cut", None]


def test_a_share_is_drawn_by_the_seed() -> None:
    one = script({"kind": "hang", "share": 0.3})
    drawn = laid(Performance(one, seed=1), 2000)
    assert 0.25 < drawn.count("hang") / 2000 < 0.35
    assert drawn == laid(Performance(one, seed=1), 2000)
    assert drawn != laid(Performance(one, seed=2), 2000)


def test_two_entries_with_a_share_are_drawn_independently() -> None:
    played = Performance(script({"kind": "hang", "share": 0.5}, {"kind": "cut", "share": 0.5}), seed=0)
    kinds = laid(played, 2000)
    assert 0.2 < kinds.count("cut") / 2000 < 0.3


def test_a_limit_ends_an_entry() -> None:
    assert laid(Performance(script({"kind": "hang", "limit": 2}), seed=0), 4) == ["hang", "hang", None, None]


def test_models_and_text_must_match() -> None:
    entry = {"kind": "hang", "models": "claude-*", "match": "poison"}
    for model, text, kind in (
        ("claude-x", "a poison pill", "hang"),
        ("gpt-x", "poison", None),
        ("claude-x", "Poison", None),
    ):
        assert laid(Performance(script(entry), seed=0), 1, model=model, text=text) == [kind]


def test_a_script_written_out_is_read_back_the_same() -> None:
    one = script({"kind": "slow", "delay_s": 2, "share": 0.5}, {"kind": "hang", "from_call": 3})
    assert Script.parse(one.as_json(), OPTIONS) == one


def test_quotas_and_cuts_written_out_are_read_back_the_same() -> None:
    content = {
        "fault": [{"kind": "hang", "from_call": 3}],
        "quota": [
            {"models": "claude-*", "requests_per_minute": 600, "window_s": 1.0, "retry_after": "none"},
            {"tokens_per_minute": 10_000, "refill": "at_once", "rejects_count": False, "headers": False},
        ],
        "cut": [{"from_s": 1.0, "to_s": 2.0, "factor": 0.5, "models": "claude-*"}],
    }
    assert Script.parse(content, OPTIONS).as_json() == content
    assert script({"kind": "hang"}).as_json() == {"fault": [{"kind": "hang"}]}


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "faults").glob("*.toml")), ids=lambda path: path.stem)
def test_the_example_scripts_are_right(path: Path) -> None:
    assert Script.load(path, OPTIONS).faults


def test_the_documentation_shows_the_table_of_faults_as_it_is() -> None:
    text = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    shown = text.partition("stream/simulator/faults.py -->\n")[2].partition("\n<!-- end of faults -->")[0]
    assert shown == table(), "run: python -c 'from stream.simulator.faults import table; print(table())'"
    for kind in FAULTS.values():
        for option in kind.options:
            assert f"`{option}`" in kind.does


def test_latencies_are_log_normal_around_the_median_and_repeatable() -> None:
    drawn = sorted(log_normal(7, call, median=300, sigma=0.4) for call in range(2001))
    assert 280 < drawn[1000] < 320
    assert 1.35 < drawn[1682] / drawn[1000] < 1.6, "e^sigma is 1.49 at the 84th percentile"
    assert log_normal(7, 5, median=300, sigma=0.4) == log_normal(7, 5, median=300, sigma=0.4)
    assert log_normal(7, 5, median=0, sigma=0.4) == 0
    assert log_normal(7, 5, median=300, sigma=0) == 300


def test_a_full_ledger_drops_the_oldest_and_says_how_many() -> None:
    ledger = Ledger(kept=3)
    for at_s in range(5):
        ledger.opened(at_s)
    assert [call.n for call in ledger] == [3, 4, 5]
    assert ledger.dropped == 2
    assert ledger.as_json_lines(after=4).count(b"\n") == 1


def test_keys_can_be_told_apart_but_not_read() -> None:
    assert key_mark("sk-one") != key_mark("sk-two")
    assert len(key_mark("sk-one") or "") == 8
    assert key_mark(None) is None


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{3}-[A-Z]{2}$", r"^(a|b)+c?$", r"[^\d]x", r"^\w+@\w+\.(com|org)$", r"^[A-F0-9]{8,}$", r"^$", r"^a{2,4}?b*$"],
)
def test_simple_patterns_are_met(pattern: str) -> None:
    for start in range(20):
        drawn = iter(range(start, start + 1000))
        assert re.search(pattern, string_for(pattern, lambda n: next(drawn) % n))  # noqa: B023  (used at once)
