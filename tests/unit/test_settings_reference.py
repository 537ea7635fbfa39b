"""docs/configuration.md tells what the model says."""

from pathlib import Path

from stream.settings.effective import effective
from stream.settings.load import load
from stream.settings.reference import with_tables
from stream.settings.shape import keys

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_tables_of_the_documentation_are_those_of_the_model():
    """To renew them: python -m stream.settings.reference docs/configuration.md"""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_a_table_that_was_edited_by_hand_is_noticed():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text.replace("`512`", "`513`")) == text


def test_every_key_has_words_of_its_own_or_of_its_table():
    bare = [path for path, key in keys() if not key.description and path[-2] not in ("retention_hours", "properties")]
    assert bare == []


def test_secrets_are_masked_in_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {
        "LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD": "hunter2",
        "LLM_STREAM__PROVIDERS__A__KIND": "openai",
        "LLM_STREAM__PROVIDERS__A__BASE_URL": "https://user:hunter2@a.example.com",
    }
    rows = {row.key: row for row in effective(load(None, environ))}
    assert rows['kafka.properties."sasl.password"'].value == "***"
    assert rows['kafka.properties."sasl.password"'].source == "$LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD"
    assert not any("hunter2" in str(row) for row in rows.values())
