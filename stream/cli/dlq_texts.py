"""A dead letter as a page for a person. Pure: values in, text out; nothing in it can write to a terminal."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from stream.cli.output import printable
from stream.codecs.cloudevents import time_text
from stream.dlq.envelope import DeadLetter
from stream.kafka.decisions import Decision
from stream.kafka.lines import as_line

_WIDTH = 11


def money(micro_usd: int | None) -> str:
    """US dollars with six digits; `?` where the price isn't known, which is not the same as nothing."""
    return "?" if micro_usd is None else f"${micro_usd / 1_000_000:.6f}"


def page(letter: DeadLetter, replays: Sequence[Decision]) -> str:
    """Everything about a dead letter: what was wrong first, the request as it came last."""
    original = as_line(letter.record)
    parts = [
        f"Dead letter {letter.id} of {letter.record.topic}",
        "",
        *(f"{word:<{_WIDTH}} {printable(value)}" for word, value in _facts(letter)),
        *_violations(letter),
        *(f"{'replayed':<{_WIDTH}} {printable(_replay(each))}" for each in replays),
        *_block("output" + (" (its first 64 KiB)" if letter.output_truncated else ""), _pretty_text(letter.output)),
        *_block("headers as they came", _headers(letter)),
        *_block("key", _shown(original["key"])),
        *_block("value", _value(letter, original["value"])),
    ]
    return "\n".join(parts)


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
    calls = f"{_counted(letter.attempts, 'attempt')}, {_counted(letter.calls, 'call')}"
    yield "cost", f"{money(letter.cost_micro_usd)} ({calls}{tokens})"
    if letter.replay_count:
        yield "replay", f"this was replay {letter.replay_count}, of {letter.replay_of} by {letter.replay_by}"


def _counted(number: int | None, word: str) -> str:
    return f"{'?' if number is None else number} {word}{'' if number == 1 else 's'}"


def _violations(letter: DeadLetter) -> Iterator[str]:
    for number, each in enumerate(letter.violations):
        word = "violations" if number == 0 else ""
        yield printable(f"{word:<{_WIDTH}} {each.path} [{each.check}] {each.message} (value: {each.value!r})")


def _replay(decision: Decision) -> str:
    why = f": {decision.why}" if decision.why else ""
    return f"{time_text(decision.at_ms)} by {decision.by}{why}"


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


def _block(title: str, text: str) -> Iterator[str]:
    if text:
        yield ""
        yield f"{title}:"
        yield from (f"  {printable(line)}" for line in text.splitlines())
