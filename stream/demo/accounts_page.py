"""The demo's accounts as a page for people."""

from collections.abc import Sequence

from rich.text import Text

from stream.core.counting import counted
from stream.demo.accounts import Accounts
from stream.demo.page import Page, dollars
from stream.demo.reasons import sentence

_MARKS = {"passed": ("✓ ", "bold green"), "failed": ("✗ ", "bold red"), "noted": ("! ", "yellow"), "plain": ("  ", "")}


def page(accounts: Accounts, proof: Sequence[tuple[str, str]], width: int | None) -> list[Text]:
    """The lines. proof: what `reconcile` found, each sentence behind its mark. width: None: don't wrap."""
    paper = Page(width)
    paper.title("The accounts", "from the topics, not from what the worker says of itself")
    _sum(paper, accounts)
    if accounts.reasons:
        paper.title("Dead letters", "each keeps its request, says what was wrong, and can be sent again")
        _reasons(paper, accounts)
    paper.title("What it took")
    _calls(paper, accounts)
    paper.title("Proof", "llm-stream reconcile, run just now on these topics")
    for mark, text in proof:
        paper.line(_MARKS[mark], text)
    problems = accounts.problems()
    paper.lines.append(Text())
    for problem in problems:
        paper.line(("✗ ", "bold red"), (problem, "red"), indent="")
    if not problems and not any(mark == "failed" for mark, _ in proof):
        balance = ("The accounts balance: nothing lost, nothing doubled.", "bold green")
        paper.line(("✓ ", "bold green"), balance, indent="")
    return paper.lines


def _sum(paper: Page, accounts: Accounts) -> None:
    rows = [("requests sent", accounts.sent, " "), ("results", accounts.results, "="),
            ("dead letters", accounts.dead_letters, "+")]  # fmt: skip
    for name, amount, sign in rows:
        paper.line((f"{sign} ", "dim"), (f"{amount:>5,} ", "bold"), name)
    for name, amount in (
        ("lost", len(accounts.missing)),
        ("doubled", len(accounts.doubled)),
        ("dead letters because of the storm", len(accounts.storm_dead_letters)),
    ):
        paper.line("  ", (f"{amount:>5,} ", "bold green" if amount == 0 else "bold red"), name)


def _reasons(paper: Page, accounts: Accounts) -> None:
    column = max(len("/".join(reason)) for reason in accounts.reasons)
    for reason, amount in sorted(accounts.reasons.items(), key=lambda each: (-each[1], each[0])):
        name = "/".join(reason)
        says = (sentence(*reason), "dim")
        paper.line((f"{amount:>7,} ", "bold yellow"), f"{name:<{column}}  ", says, hang=8 + column + 2)


def _calls(paper: Page, accounts: Accounts) -> None:
    agrees = "and" if accounts.calls == accounts.provider_calls else "but"
    share = round(100 * accounts.wasted_calls / accounts.provider_calls) if accounts.provider_calls else 0
    answers = sorted(accounts.answers.items(), key=lambda each: (each[0] is None, each[0] or 0))
    told = ", ".join(f"{'no answer' if status is None else status}: {count:,}" for status, count in answers)
    storm = f"in the storm, {share} % of all calls: those under way when a gate shut, and probes"
    rows = [
        (
            "calls",
            f"{accounts.calls:,}",
            f"{agrees} {accounts.provider_calls:,} by the provider's own count; HTTP {told}",
        ),
        ("refused", f"{accounts.wasted_calls:,}", storm),
        ("attempts", f"{accounts.attempts:,}", "what fails for everybody uses up nobody's attempts"),
        ("cost", dollars(accounts.micro_usd), f"simulated; {dollars(accounts.dead_micro_usd)} of it for dead letters"),
    ]
    if accounts.unpriced:
        rows.append(("", "", f"without {counted(accounts.unpriced, 'outcome')} of unknown cost"))
    column = max(len(amount) for _, amount, _ in rows)
    for name, amount, says in rows:
        paper.line(f"{name:<10}", (f"{amount:<{column}}  ", "bold"), (says, "dim"), hang=10 + column + 2)
