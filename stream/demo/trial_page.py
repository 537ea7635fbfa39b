"""A trial as a page for people, and as one JSON object."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from stream.core import headers as names
from stream.core.counting import counted
from stream.core.outcomes import DeadLettered
from stream.core.records import Completion, Headers, Outgoing
from stream.demo.page import Page, dollars
from stream.demo.trial import Failed, Trial
from stream.demo.verdicts import Verdict, verdicts
from stream.validation.check import value_beside

_MARKS = {True: ("✓", "bold green"), False: ("✗", "bold red"), None: ("·", "dim")}
_REPEATED = {
    names.OUTPUT: "(the reply above, {size} bytes)",
    names.ERROR_VIOLATIONS: "(the violations above as JSON, {size} bytes)",
}


def page(trial: Trial, width: int | None, *, full: bool = False) -> list[Text]:
    """The lines. width: of the terminal; None: don't wrap. full: leave nothing out."""
    paper = Page(width, full=full)
    _request(paper, trial)
    if trial.prompt is not None and trial.version is not None:
        _prompt(paper, trial)
    if trial.calls:
        _calls(paper, trial)
    if trial.completion is not None:
        _reply(paper, trial.completion)
    _checks(paper, trial)
    if trial.version is not None:
        _cost(paper, trial)
    _published(paper, trial)
    paper.lines.append(Text())
    _verdict(paper, trial)
    return paper.lines


def _request(paper: Page, trial: Trial) -> None:
    record = trial.record
    key = "no key" if record.key is None else f"key {record.key.decode(errors='backslashreplace')}"
    name = trial.request.id if trial.request else "(no id)"
    paper.title("Request", f"{name} · {key} · {len(record.value or b''):,} bytes")
    paper.json(trial.request.input if trial.request else _value(record.value), 10)


def _prompt(paper: Page, trial: Trial) -> None:
    version, prompt = trial.version, trial.prompt
    if version is None or prompt is None:
        return
    paper.title("Prompt", version.label)
    paper.line(("to ", "dim"), f"{version.provider}:{version.model}", ("  asked as ", "dim"), version.structured,
               ("  at most ", "dim"), counted(version.max_output_tokens, "token"))  # fmt: skip
    for part, text, most in (("system", prompt.system, 12), ("user", prompt.user, 16)):
        if text:
            paper.line((f"── {part} ", "magenta"), ("─" * 20, "dim"))
            paper.block(text, most)


def _calls(paper: Page, trial: Trial) -> None:
    """What came of the calls, where there is more to tell than the reply does."""
    if len(trial.calls) == 1 and not isinstance(trial.calls[0], Failed):
        return
    paper.title("Calls", f"{len(trial.calls)} sent")
    for number, (call, limit) in enumerate(zip(trial.calls, trial.limits, strict=True), start=1):
        if number > 1 and limit > trial.limits[number - 2]:
            again = f"cut off: asked for once more, with up to {limit:,} tokens (truncation_retry_tokens)"
            paper.line((again, "dim"), hang=2)
        if isinstance(call, Failed):
            paper.line((f"{number} ", "dim"), ("✗ ", "red"), call.error.detail, hang=4)
        else:
            tokens = f", {counted(call.usage.output_tokens, 'token')}" if call.usage else ""
            paper.line((f"{number} ", "dim"), ("· ", "dim"), f"a reply, stop reason {call.stop_reason}{tokens}")


def _reply(paper: Page, reply: Completion) -> None:
    usage = reply.usage
    tokens = f" · {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out" if usage else " · tokens unknown"
    paper.title("Reply", f"{reply.model_served} · {reply.latency_ms:,} ms{tokens}")
    if not reply.text:
        paper.line(("(no text)", "dim italic"))
        return
    value = _json(reply.text)
    if value is None:
        paper.block(reply.text, 30)
    else:
        paper.json(value, 40)


def _checks(paper: Page, trial: Trial) -> None:
    judged = verdicts(trial.outcome, trial.version.checks) if trial.version else []
    if not judged:
        return
    paper.title("Checks", _summed_up(judged))
    width = max(len(each.check) for each in judged)
    for each in judged:
        mark, style = _MARKS[each.passed]
        name = (f"{each.check:<{width}}", "" if each.passed else style)
        paper.line((f"{mark} ", style), name, ("  " + each.says, "dim"), hang=width + 4)
        for found in each.violations:
            value = f" (it is {shown})" if (shown := value_beside(found)) else ""
            paper.line((f"{found.path}  ", "bold"), found.message, (value, "dim"), indent="      ")


def _summed_up(judged: list[Verdict]) -> str:
    failed = sum(1 for each in judged if each.passed is False)
    passed = sum(1 for each in judged if each.passed)
    return f"{passed} of {len(judged)} passed" if failed else f"all {len(judged)} passed"


def _cost(paper: Page, trial: Trial) -> None:
    cost = trial.cost
    unpriced = f", {counted(cost.unpriced_calls, 'call')} without a known price" if cost.unpriced_calls else ""
    paper.title("Cost", f"{counted(cost.calls, 'call')}, {counted(cost.attempts, 'attempt')}")
    tokens = f"  {cost.usage.input_tokens:,} tokens in, {cost.usage.output_tokens:,} out{unpriced}"
    paper.line((dollars(cost.micro_usd if cost.calls else 0), "bold"), (tokens, "dim"))
    if trial.simulated and cost.usage.input_tokens:
        paper.line(("simulated: nothing was paid; this is what the tokens would have cost", "dim italic"))
    elif trial.base_url and not trial.simulated and cost.calls:
        paper.line((f"by the provider at {trial.base_url}", "dim italic"))


def _published(paper: Page, trial: Trial) -> None:
    if trial.settlement is None:
        paper.title("Published", "nothing yet")
        paper.line("The request would stay where it is, uncommitted, until the provider answers.")
        return
    first, *copies = trial.settlement.outgoing
    kind = "a result" if trial.completed else "a dead letter"
    key = "no key" if first.key is None else f"key {first.key.decode(errors='backslashreplace')}"
    paper.title("Published", f"{kind} to {first.topic}")
    paper.line((f"{key}, in one transaction with the request's offset", "dim"))
    paper.pairs(_headers(first.headers))
    paper.line(("value", "magenta"))
    if trial.completed:
        paper.pairs(_fields(first.value), style="not dim")
    else:
        paper.line(("  the request as it came", "dim"))
    for copy in copies:
        paper.line(("and ", "dim"), f"a redacted audit copy to {copy.topic}")


def _headers(headers: Headers) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        said = (value or b"").decode(errors="backslashreplace")
        yield name, _REPEATED[name].format(size=f"{len(value or b''):,}") if name in _REPEATED else said


def _fields(value: bytes | None) -> Iterator[tuple[str, str]]:
    """A result's fields, one a line; the output stands above already."""
    fields = _value(value)
    for name, field in fields.items() if isinstance(fields, Mapping) else ():
        said = (
            "(the reply above, as the contract has it)" if name == "output" else json.dumps(field, ensure_ascii=False)
        )
        yield "  " + name, said


def _verdict(paper: Page, trial: Trial) -> None:
    outcome = trial.outcome
    if trial.completed:
        paper.line(
            ("✓ ", "bold green"), ("a result", "bold green"), f": {trial.task}'s reply passed every check", indent=""
        )
    elif isinstance(outcome, DeadLettered):
        failure = outcome.failure
        paper.line(("✗ ", "bold red"), (f"a dead letter, {failure.stage}/{failure.code}", "bold red"),
                   f": {failure.detail}", indent="")  # fmt: skip
    else:
        paper.line(("✗ ", "bold red"), ("no reply", "bold red"), ": neither a result nor a dead letter", indent="")


def as_json(trial: Trial) -> dict[str, Any]:
    """Everything, as `try --json` prints it."""
    outcome, version, completion, cost = trial.outcome, trial.version, trial.completion, trial.cost
    failure = outcome.failure if isinstance(outcome, DeadLettered) else None
    judged = verdicts(outcome, version.checks) if version else []
    return {
        "task": trial.task,
        "outcome": "completed" if trial.completed else "dead_letter" if outcome else "no_reply",
        "simulated": trial.simulated,
        "request": None if trial.request is None else {"id": trial.request.id, "input": trial.request.input},
        "prompt": None
        if version is None
        else {
            "label": version.label,
            "provider": version.provider,
            "model": version.model,
            "base_url": trial.base_url or None,
            "structured": version.structured,
            "system": trial.prompt.system if trial.prompt else None,
            "user": trial.prompt.user if trial.prompt else None,
        },
        "reply": None if completion is None else _reply_as_json(completion),
        "checks": [asdict(each) for each in judged],
        "failure": None
        if failure is None
        else {"stage": failure.stage, "code": failure.code, "detail": failure.detail},
        "trouble": None
        if trial.trouble is None
        else {"class": trial.trouble.error_class, "status": trial.trouble.status, "detail": trial.trouble.detail},
        "cost": asdict(cost),
        "published": [_outgoing(each) for each in trial.settlement.outgoing] if trial.settlement else [],
    }


def _reply_as_json(completion: Completion) -> dict[str, Any]:
    """The reply alone: how quotas stand is no matter of one trial."""
    return {name: value for name, value in asdict(completion).items() if name != "quotas"}


def _outgoing(outgoing: Outgoing) -> dict[str, Any]:
    return {
        "topic": outgoing.topic,
        "key": None if outgoing.key is None else outgoing.key.decode(errors="backslashreplace"),
        "headers": {name: (value or b"").decode(errors="backslashreplace") for name, value in outgoing.headers},
        "value": _value(outgoing.value),
    }


def _value(value: bytes | None) -> Any:
    """The bytes as JSON, else as text."""
    text = (value or b"").decode(errors="backslashreplace")
    parsed = _json(text)
    return text if parsed is None else parsed


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
