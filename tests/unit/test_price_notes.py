"""What is said of models whose price isn't known, and of names that may be mistyped."""

from dataclasses import dataclass

import pytest

from stream.providers.price_notes import price_notes
from stream.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "providers": {
            "anthropic": {"kind": "anthropic"},
            "openai": {"kind": "openai"},
            "local": {"kind": "openai", "base_url": "http://127.0.0.1:8000/v1"},
        },
        "prices": {"local:my-own-model": {"input_usd": 0.1, "output_usd": 0.2}},
    }
)


@dataclass
class Version:
    """As much of a prompt version as matters here."""

    provider: str
    model: str


def notes(*names: str) -> list[str]:
    return price_notes(SETTINGS, [Version(*name.split(":", 1)) for name in names])  # type: ignore[arg-type]


def test_a_model_without_a_price_is_named_with_what_may_be_meant_and_how_to_give_it_one():
    (note,) = notes("openai:gpt-4o-minni")
    assert note.startswith("Model openai:gpt-4o-minni has no price: what it costs will be unknown.")
    assert "Did you mean gpt-4o-mini?" in note
    assert '[prices."openai:gpt-4o-minni"]' in note


def test_nothing_is_suggested_where_nothing_is_near():
    (note,) = notes("local:llama-of-the-house")
    assert "id you mean" not in note
    assert "there are" not in note


def test_a_mistyped_name_that_gets_another_models_price_is_named():
    (note,) = notes("anthropic:claude-haiku-4-5x")
    assert "is priced as claude-haiku-4-5. Is the name right?" in note


@pytest.mark.parametrize(
    "name",
    [
        "anthropic:claude-haiku-4-5",
        "anthropic:claude-haiku-4-5-20251001",
        "anthropic:claude-3-5-haiku-20241022",
        "openai:gpt-4o-2024-08-06",
        "local:my-own-model",
        "nobody:any-model",
    ],
)
def test_a_listed_model_a_release_of_one_and_one_with_a_price_of_its_own_have_no_note(name: str):
    assert notes(name) == []


def test_a_model_that_many_versions_name_has_one_note():
    assert len(notes("openai:gpt-x", "anthropic:claude-haiku-4-5", "openai:gpt-x")) == 1
