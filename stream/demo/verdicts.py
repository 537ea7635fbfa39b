"""Every check that a reply goes through, and what each said: for `try`. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stream.core.errors import Violation
from stream.core.outcomes import DeadLettered, Outcome
from stream.core.records import Stop
from stream.validation import CHECKS
from stream.validation.blank import is_blank

_ENDS: Mapping[Stop, str] = {
    Stop.COMPLETE: "the model had finished",
    Stop.TRUNCATED: "the reply was cut off",
    Stop.REFUSED: "the model refused",
    Stop.UNKNOWN: "nobody knows this reason",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check said. passed: None if it never came to it."""

    check: str
    passed: bool | None
    says: str = ""
    violations: tuple[Violation, ...] = ()


def verdicts(outcome: Outcome | None, checks: Mapping[str, Any]) -> list[Verdict]:
    """Stop reason, JSON, contract, then the task's own checks (`checks` as in task.toml). Empty without a reply."""
    if outcome is None or outcome.completion is None:
        return []
    found = [_stop(outcome)]
    return found + list(_of_the_text(outcome, checks, reached=found[0].passed is True))


def _stop(outcome: Outcome) -> Verdict:
    completion = outcome.completion
    if completion is None:
        raise ValueError("without a reply nothing stops")
    says = f"{completion.stop_reason or 'none given'}: {_ENDS[completion.stop]}"
    return Verdict("stop reason", completion.stop is Stop.COMPLETE, says)


def _of_the_text(outcome: Outcome, checks: Mapping[str, Any], *, reached: bool) -> Iterator[Verdict]:
    wanted = [name for name, row in CHECKS.items() if checks.get(name, row.on_by_default) is not False]
    failure = outcome.failure if isinstance(outcome, DeadLettered) and outcome.failure.stage == "validate" else None
    violations = failure.violations if failure else ()
    whole = failure is not None and _is_whole_reply(failure.code, outcome)
    reached = reached and (failure is None or bool(violations))  # an internal error says nothing about the reply
    json_fails = reached and whole
    schema_fails = reached and not whole and any(each.check == "schema" for each in violations)
    yield _verdict("json", reached, json_fails, violations, "strict: no NaN, no key twice, nothing around it")
    reached = reached and not json_fails
    yield _verdict("contract", reached, schema_fails, violations, "fits the task's Output")
    reached = reached and not schema_fails
    for name in wanted:
        own = tuple(each for each in violations if each.check == name)
        yield _verdict(name, reached, bool(own), own, "")


def _is_whole_reply(code: str, outcome: Outcome) -> bool:
    """Whether the text was no JSON that could be looked at (`empty` stands for blank text too)."""
    text = outcome.completion.text if outcome.completion else ""
    return code == "not_json" or (code == "empty" and is_blank(text))


def _verdict(check: str, reached: bool, failed: bool, violations: tuple[Violation, ...], says: str) -> Verdict:
    if not reached:
        return Verdict(check, None, "not reached")
    return Verdict(check, False, "", violations) if failed else Verdict(check, True, says)
