"""Which addresses the worker says it calls."""

from pathlib import Path
from typing import Any

import pytest

from stream import app
from stream.core.errors import ConfigError
from stream.settings import Settings
from stream.tasks import Catalogue

PROMPTS = Path(__file__).parents[2] / "prompts"


def configured(base_url: str = "") -> tuple[Settings, Catalogue]:
    providers: dict[str, Any] = {"anthropic": {"kind": "anthropic", "base_url": base_url}, "openai": {"kind": "openai"}}
    settings = Settings.model_validate({"providers": providers, "tasks": {"path": str(PROMPTS)}})
    return settings, app.catalogue(settings)


def test_a_provider_at_its_official_address_is_named_alone() -> None:
    assert sorted(app.provider_addresses(*configured())) == ["anthropic", "openai"]


def test_another_address_than_the_official_one_is_named() -> None:
    assert "anthropic at http://127.0.0.1:8089" in app.provider_addresses(*configured("http://127.0.0.1:8089"))


def test_an_address_with_a_password_is_refused_before_it_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^providers\.anthropic\.base_url must not hold a user") as refusal:
        app.provider_addresses(*configured("https://me:secret-1@example.com"))
    assert "secret-1" not in str(refusal.value)
