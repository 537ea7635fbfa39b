"""What a command says while no broker answers: silence would look like a hang."""

import logging
from typing import TYPE_CHECKING

import typer

from stream.cli import output
from stream.cli.invocation import loaded_settings

if TYPE_CHECKING:
    from stream.settings import Settings


class _Said(logging.Handler):
    """Says each message on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """A line for people."""
        output.say(f"… {record.getMessage()}", "dim")


def kafka_settings(ctx: typer.Context) -> "Settings":
    """The settings of a command that asks Kafka; from now on it says when it waits for a broker. Raises ConfigError."""
    from stream.kafka import clients

    settings = loaded_settings(ctx).settings
    clients.WAITING.handlers = [_Said()]
    return settings
