"""What a command knows about how it was called: which configuration file was named, and the settings it gives."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stream.settings import Loaded


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options. config_file: as `--config` named it, None if it was not given."""

    config_file: Path | None = None


def invocation(ctx: typer.Context) -> Invocation:
    """How this command was called."""
    found = ctx.find_object(Invocation)
    return found if isinstance(found, Invocation) else Invocation()


def loaded_settings(ctx: typer.Context) -> "Loaded":
    """The settings for this command, with where they came from. Raises ConfigError."""
    from stream.settings import load  # Pydantic takes its time: only commands that need settings pay for it

    return load(invocation(ctx).config_file, os.environ)
