"""A dead letter as a page for a person. Pure: values in, text out; nothing in it can write to a terminal."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from stream.cli import layout
from stream.codecs.cloudevents import time_text
from stream.core.counting import counted
from stream.core.printable import printable
from stream.dlq.envelope import DeadLetter
from stream.dlq.sequel import Sequel
from stream.kafka.decisions import Decision
from stream.kafka.lines import as_line
from stream.validation.check import value_beside

_WIDTH = 11
_DETAIL_CHARACTERS = 120
_LISTED = ("id", "when", "stage/code", "task", "replayed")


def money(micro_usd: int | None) -> str:
    """US dollars with six digits; `?` where the price isn't known, which is not the same as nothing."""
    return "?" if micro_usd is None else f"${micro_usd / 1_000_000:.6f}"


COLUMNS = ("id", "when", "task", "stage/code", "attempts", "cost", "request id", "replayed", "detail")


def row(letter: DeadLetter, replays: int) -> tuple[str | int | None, ...]:
    """A dead letter on one line, however long, under `COLUMNS`."""
    detail = " ".join(letter.detail.split())
    return (
        letter.id,
        time_text(letter.at_ms) if letter.at_ms >= 0 else "",
        letter.task,
        letter.reason,
        letter.attempts,
        money(letter.cost_micro_usd),
        letter.request_id,
        replays,
        detail if len(detail) <= _DETAIL_CHARACTERS else detail[:_DETAIL_CHARACTERS] + "…",
    )


def entry(letter: DeadLetter, replays: int, width: int) -> tuple[tuple[str, ...], list[str]]:
    """For a terminal: what stands in columns (id, when, what, task, replayed), and the lines below it, which fit."""
    when = f"{time_text(letter.at_ms)[:19]}Z" if letter.at_ms >= 0 else "?"
    sent_again = {0: "", 1: "once", 2: "twice"}.get(replays, f"{replays} times")
    took = f", {counted(letter.attempts, 'attempt')}, {money(letter.cost_micro_usd)}" if letter.calls else ""
    replay = f", replay {letter.replay_count}" if letter.replay_count else ""
    told = f"{letter.request_id or '(no id)'}{replay}{took}: {' '.join(letter.detail.split())}"
    below = layout.wrapped(printable(told), width, layout.INDENT, layout.INDENT)
    return (letter.id, when, letter.reason, letter.task or "?", sent_again), below


def listed(
    entries: Sequence[tuple[tuple[str, ...], list[str]]], width: int
) -> tuple[tuple[str, ...], list[tuple[tuple[str, ...], list[str]]]]:
    """Headings and entries whose columns fit the terminal: those that don't, from the last on, go to the lines below.

    `replayed` is left out where nothing was sent again.
    """
    names = _LISTED if any(cells[-1] for cells, _ in entries) else _LISTED[:-1]
    shown = [[printable(cell) for cell in cells[: len(names)]] for cells, _ in entries]
    widths = [max(map(cell_len, column)) for column in zip(names, *shown, strict=True)]
    fitting = len(names)
    while fitting > 1 and sum(widths[:fitting]) + len(layout.GAP) * (fitting - 1) > width:
        fitting -= 1
    kept = []
    for cells, (_, below) in zip(shown, entries, strict=True):
        rest = [(name, cell) for name, cell in zip(names[fitting:], cells[fitting:], strict=True) if cell]
        kept.append((tuple(cells[:fitting]), layout.filled(rest, width) + below))
    return names[:fitting], kept


def page(letter: DeadLetter, replays: Sequence[Decision], after: Sequel, width: int | None = None) -> list[str]:
    """Everything about a dead letter, in lines: what was wrong first, the request as it came last.

    replays: the decisions that sent it again; after: what became of that. width: of the terminal; None: don't wrap.
    """
    original = as_line(letter.record)
    lines = [f"Dead letter {letter.id} of {letter.record.topic}", ""]
    for word, value in (*_facts(letter), *_violations(letter), *_replays(replays, after)):
        lines += layout.wrapped(printable(value), width, f"{word:<{_WIDTH}} ", " " * (_WIDTH + 1))
    blocks = (
        ("output" + (" (its first 64 KiB)" if letter.output_truncated else ""), _pretty_text(letter.output)),
        ("headers as they came", _headers(letter)),
        ("key", _shown(original["key"])),
        ("value", _value(letter, original["value"])),
    )
    for title, text in blocks:
        if text:
            lines += ["", f"{title}:"]
            for line in text.splitlines():
                lines += layout.wrapped(printable(line), width, "  ", "    ")
    return lines


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    source, usage = letter.source, letter.usage or {}
    yield "what", letter.reason
    yield "why", letter.detail
    yield "when", time_text(letter.at_ms) if letter.at_ms >= 0 else "?"
    yield "request", letter.request_id or "(its id could not be read)"
    if source.get("topic") is not None:
        yield "from", f"{source['topic']}:{source['partition']}:{source['offset']}, group {source['group']}"
    yield "task", letter.task or "(none could be read)"
    if letter.prompt is not None:
        yield "prompt", letter.prompt
    if letter.model is not None:
        served = f", served by {letter.model_served}" if letter.model_served not in (None, letter.model) else ""
        yield "model", f"{letter.provider}:{letter.model}{served}"
    if letter.stop_reason is not None:
        yield "stopped", letter.stop_reason
    tokens = f", {usage.get('input_tokens', '?')} tokens in, {usage.get('output_tokens', '?')} out" if usage else ""
    calls = f"{counted(letter.attempts, 'attempt')}, {counted(letter.calls, 'call')}"
    yield "cost", f"{money(letter.cost_micro_usd)} ({calls}{tokens})"
    if letter.replay_count:
        yield "replay", f"this was replay {letter.replay_count}, of {letter.replay_of} by {letter.replay_by}"


def _violations(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(letter.violations):
        value = f" (it is {shown})" if (shown := value_beside(each)) else ""
        said = f"{each.path} [{each.check}] {each.message}{value}"
        yield "violations" if number == 0 else "", said


def _replays(replays: Sequence[Decision], after: Sequel) -> Iterator[tuple[str, str]]:
    for each in replays:
        yield "replayed", f"{time_text(each.at_ms)} by {each.by}" + (f": {each.why}" if each.why else "")
    for where in after.results:
        yield "", f"which has a result, {where}"
    for where in after.waiting:
        yield "", f"which waits as {where}: no result and no dead letter yet"


def _headers(letter: DeadLetter) -> str:
    if letter.record.headers is None:
        return "(a header's name is not UTF-8: none can be read)"
    dropped = f"({letter.headers_dropped} did not fit and are not kept)" if letter.headers_dropped else ""
    told = [f"{name}: {(value or b'').decode(errors='backslashreplace')}" for name, value in letter.original_headers]
    return "\n".join([*told, dropped]).strip()


def _value(letter: DeadLetter, value: Any) -> str:
    if letter.value_sha256 is not None:
        return f"(too large to be kept; SHA-256 {letter.value_sha256})"
    return "(null)" if letter.record.value is None else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "(null)"
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _pretty_text(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
