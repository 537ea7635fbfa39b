"""Typed settings: one TOML file, overridden by environment; see `docs/configuration.md`."""

from stream.settings.load import Loaded, SettingsError, load
from stream.settings.model import Settings

__all__ = ["Loaded", "Settings", "SettingsError", "load"]
