"""`llm-stream send`: publish requests, one a line.

All lines are checked before the first is sent, so that a file with a mistake in it sends nothing. Input that can't be
read twice (stdin, a pipe) is kept meanwhile: in memory up to 16 MiB, beyond that in a temporary file.
"""

import difflib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from stream.cli import output
from stream.cli.task_folders import results_topics_by_task
from stream.cli.waiting import kafka_settings
from stream.cli.when import now_ms
from stream.codecs.strict_json import parse
from stream.core.counting import counted
from stream.core.errors import ConfigError
from stream.core.records import Outgoing
from stream.core.spelling import did_you_mean
from stream.kafka import admin, clients, sending
from stream.kafka.sending import Delivered, LineError
from stream.settings import Settings

_IN_MEMORY_BYTES = 16 * 1024 * 1024
_SHOWN_ERRORS = 20
_LONG_FORM = ("id", "key", "input")

Row = dict[str, str | int]
"""`{id, topic, partition, offset}` of a request that was sent."""

app = typer.Typer(add_completion=False)


@app.command()
def send(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="The task that shall take the requests.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="A request a line; - is stdin.")] = Path("-"),
    topic: Annotated[str | None, typer.Option(help="Which of [topics] requests; default: the first.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Send even if the tasks folder has no such task.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Ids and coordinates of all requests on stdout.")] = False,
) -> None:
    """Publish requests. A JSON line is the task's Input, or {"id", "key", "input"}; nothing is sent if one is wrong."""
    settings = kafka_settings(ctx)
    if not force:
        _refuse_unknown_task(task, settings)
    topic = _requests_topic(topic, settings)
    with _readable_twice(file) as (lines, name):
        max_bytes = _max_bytes(topic, settings)
        count = _checked(lines, name, task, topic, max_bytes)
        lines.seek(0)
        sent = _Sent(keep=as_json)
        sending.deliver(settings, sent.noting_ids(_records(lines, task, topic, max_bytes)), sent.delivered)
    if as_json:
        output.emit_json([row for _, row in sorted(sent.rows, key=itemgetter(0))])
    if not count:
        output.noted(f"There was nothing to send: {name} holds no request.")
        return
    output.passed(f"sent {counted(count, 'request')} for {task} to {topic}{sent.partitions_told()}")
    output.say(
        f"  next: llm-stream worker serves them, if none runs yet; then llm-stream tail results --from -5m "
        f"--task {task}, or llm-stream find {sent.last_id}"
    )


class _Sent:
    """Where requests went. Rows are kept only where they are wanted: a file may have millions."""

    def __init__(self, *, keep: bool) -> None:
        self.rows: list[tuple[int, Row]] = []
        self.last_id = ""
        self._keep = keep
        self._waiting: dict[int, str] = {}
        self._partitions: set[int] = set()

    def noting_ids(self, records: Iterator[Outgoing]) -> Iterator[Outgoing]:
        for index, record in enumerate(records):
            self.last_id = (dict(record.headers)["ce_id"] or b"").decode()
            if self._keep:
                self._waiting[index] = self.last_id
            yield record

    def delivered(self, where: Delivered) -> None:
        self._partitions.add(where.partition)
        if self._keep:
            request_id = self._waiting.pop(where.index)
            row: Row = {"id": request_id, "topic": where.topic, "partition": where.partition, "offset": where.offset}
            self.rows.append((where.index, row))

    def partitions_told(self) -> str:
        return f" ({counted(len(self._partitions), 'partition')})" if self._partitions else ""


def _records(lines: BinaryIO, task: str, topic: str, max_bytes: int) -> Iterator[Outgoing]:
    for number, text in enumerate(lines, start=1):
        request = sending.request_from(number, text)
        if request is not None:
            yield sending.record_for(request, task, topic, at_ms=now_ms(), max_bytes=max_bytes)


def _checked(lines: BinaryIO, name: str, task: str, topic: str, max_bytes: int) -> int:
    """How many requests the lines hold. Raises ConfigError that names every line that is none."""
    refused: list[LineError] = []
    misspelt: list[tuple[int, str]] = []
    count = 0
    last = _Last(lines)
    for request in sending.lines_of(last, refused.append):
        count += 1
        guess = nearly_long_form(request.input)
        if guess is not None and parse(last.line.rstrip()) == request.input:
            misspelt.append((request.line, guess))
        try:
            sending.record_for(request, task, topic, at_ms=0, max_bytes=max_bytes)
        except LineError as error:
            refused.append(error)
    if not refused:
        _warn_of(misspelt, name)
        return count
    told = [f"{name}:{error.line}: {error.detail}" for error in refused[:_SHOWN_ERRORS]]
    if len(refused) > _SHOWN_ERRORS:
        told.append(f"… and {counted(len(refused) - _SHOWN_ERRORS, 'line')} more")
    if count == 0 and any("JSON" in error.detail for error in refused):
        told.append("Each line must be one JSON object. One object over many lines becomes one line by jq -c .")
    wrong = (
        f"a line of {name} is no request" if len(refused) == 1 else f"{len(refused):,} lines of {name} are no requests"
    )
    raise ConfigError("\n".join([f"Nothing was sent: {wrong}.", *told]))


class _Last:
    """Lines, of which it remembers the one given last."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.line = b""

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.line = line
            yield line


def nearly_long_form(value: Any) -> str | None:
    """What is wrong with an object that looks like a misspelt long form; None for one that doesn't.

    It has an id or a key, and either an input that is an object, or nothing but what is nearly one of `_LONG_FORM`, one
    of that nearly `input`.
    """
    if not isinstance(value, dict) or value.keys().isdisjoint({"id", "key"}):
        return None
    meant = {name: _nearest(name) for name in value}
    wrong = {name: near for name, near in meant.items() if near != name}
    if not isinstance(value.get("input"), dict) and (None in meant.values() or "input" not in meant.values()):
        return None
    return ", ".join(f"{name!r} ({_guess(near)})" for name, near in wrong.items()) or None


def _guess(near: str | None) -> str:
    return f"did you mean {near}?" if near else "none of its keys"


def _nearest(name: str) -> str | None:
    near = difflib.get_close_matches(name[:20].lower(), _LONG_FORM, n=1, cutoff=0.65)
    return near[0] if near else None


def _warn_of(misspelt: Sequence[tuple[int, str]], name: str) -> None:
    if not misspelt:
        return
    line, guess = misspelt[0]
    more = f" (and {counted(len(misspelt) - 1, 'more line')})" if len(misspelt) > 1 else ""
    output.noted(
        f"{name}:{line}{more}: sent as the task's Input as it stands, under a new id. It looks like a misspelt "
        f'{{"id", "key", "input"}}: {guess}.'
    )


@contextmanager
def _readable_twice(file: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The lines, from their beginning, and what to call where they come from. Raises ConfigError."""
    if file == Path("-"):
        if sys.stdin.isatty():
            output.say("Reading requests from the terminal, one JSON object a line; Ctrl-D ends.")
        with _kept(sys.stdin.buffer) as lines:
            yield lines, "stdin"
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}.") from None
    with opened:
        if opened.seekable():
            yield opened, str(file)
        else:
            with _kept(opened) as lines:
                yield lines, str(file)


@contextmanager
def _kept(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as kept:
        while block := source.read(1024 * 1024):
            kept.write(block)
        kept.seek(0)
        yield kept  # type: ignore[misc]  # it has all that a BinaryIO needs here: lines and seek


def _refuse_unknown_task(task: str, settings: Settings) -> None:
    known = results_topics_by_task(settings)
    if known and task not in known:
        raise ConfigError(
            f"There is no task {task!r} in {settings.tasks.path}{did_you_mean(task, known)}. "
            "If the workers know it all the same: --force."
        )


def _requests_topic(topic: str | None, settings: Settings) -> str:
    known = settings.topics.requests
    if topic is not None and topic not in known:
        raise ConfigError(f"{topic} is none of [topics] requests{did_you_mean(topic, known)}: no worker reads it.")
    return topic or known[0]


def _max_bytes(topic: str, settings: Settings) -> int:
    facts = admin.topic_facts(clients.admin(settings), [topic], clients.BROKER_WAIT_S)
    if topic not in facts:
        raise ConfigError(f"There is no topic {topic}: llm-stream topics create makes it.")
    return facts[topic].max_message_bytes
