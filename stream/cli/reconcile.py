"""`llm-stream reconcile`: the proof that every request has exactly one outcome."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli import output
from stream.cli.waiting import kafka_settings

if TYPE_CHECKING:
    from stream.cli.accounts_in_words import Line
    from stream.kafka.accounting.reconcile import Progress, Report


def reconcile(
    ctx: typer.Context,
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Only requests from then on: how long ago (2h, 7d), or a time."),
    ] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Only requests before then.")] = "",
    cost: Annotated[bool, typer.Option("--cost", help="Add up what was spent, and what of it was wasted.")] = False,
    results_topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="A further topic with results, of a task that is no longer there."),
    ] = None,
    wait_s: Annotated[
        float, typer.Option(min=0, max=3_600, metavar="SECONDS", help="How long to wait for open transactions.")
    ] = 45.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Prove that every request has exactly one outcome, from the topics alone; exit code 1 if one hasn't."""
    from stream.cli import accounts_in_words as words
    from stream.cli.moments import moment_ms
    from stream.cli.task_folders import results_topics
    from stream.cli.when import now_ms as current_ms
    from stream.kafka.accounting.reconcile import Question
    from stream.kafka.accounting.reconcile import reconcile as check

    settings = kafka_settings(ctx)
    now_ms = current_ms()
    from_ms = moment_ms(since, now_ms, "--from") if since else None
    to_ms = moment_ms(until, now_ms, "--to") if until else None
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise typer.BadParameter(f"--from {since} is not before --to {until}: there is nothing between them")
    question = Question(
        from_ms=from_ms,
        to_ms=to_ms,
        results_topics=(*results_topics(settings), *(results_topic or ())),
        with_cost=cost,
        patience_s=wait_s,
    )
    with _progress() as progress:
        report = check(settings, question, progress)
    if as_json:
        output.emit_json(words.as_json(report))
    else:
        _tell(report, settings.kafka.group_id, now_ms)
    if report.failed:
        raise typer.Exit(1)


def _tell(report: "Report", group: str, now_ms: int) -> None:
    """The verdict first, and once more last where much stands between."""
    from stream.cli import accounts_in_words as words
    from stream.cli import partitions

    verdict, *sentences = words.sentences(report, group, now_ms)
    _say(verdict)
    width = output.width()
    if width is None:
        is_long = False
        output.table(*words.columns(report))
    else:
        is_long = partitions.show(*words.table(report), width)
    for line in (*sentences, *([verdict] if is_long else ())):
        _say(line)


def _say(line: "Line") -> None:
    says = {"passed": output.passed, "failed": output.failed, "noted": output.noted, "plain": output.say}
    says[line.mark](line.text)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[["Progress"], None]]:
    """A bar, where a person watches."""
    if not output.progress_wanted():
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=output.console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, description=now.step, completed=now.passed, total=now.total or None)
