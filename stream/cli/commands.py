"""The commands, in the order that `--help` lists them. To add one: a module with a Typer app, and a row here.

The module is imported only when its command runs, so that `--help` is fast whatever a command needs. A row's help is
how the command's own help begins (a test says so).
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A command: its name, its one-line help, its module, and there the name of a Typer app or of the function."""

    name: str
    help: str
    module: str
    attribute: str = "app"


COMMANDS: tuple[Row, ...] = (
    Row("demo", "See it work: broker, provider, worker, a storm, the accounts", "stream.cli.demo", "demo"),
    Row("try", "Take one request from prompt to result, without Kafka", "stream.cli.try_", "try_"),
    Row("init", "Make a project to start from", "stream.cli.init"),
    Row("config", "Check and show the settings", "stream.cli.config"),
    Row("topics", "Make the topics, or check those that are there", "stream.cli.topics"),
    Row("worker", "Read requests, call the models, publish results and dead letters", "stream.cli.worker", "worker"),
    Row("send", "Publish requests", "stream.cli.send"),
    Row("tail", "Show decoded records as JSON lines", "stream.cli.tail"),
    Row("find", "Show everything about one request id", "stream.cli.find"),
    Row("reconcile", "Prove that every request has exactly one outcome", "stream.cli.reconcile", "reconcile"),
    Row("lag", "Show how many requests are unfinished, by partition", "stream.cli.lag", "lag"),
    Row("dlq", "Look at dead letters, and send them again", "stream.cli.dlq"),
    Row("simulator", "A provider that misbehaves on command", "stream.cli.simulator", "simulator"),
)
