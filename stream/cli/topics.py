"""`llm-stream topics`: make the topics, and check what is there against what is needed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated

import typer

from stream.cli import layout, output
from stream.cli.task_folders import results_topics
from stream.cli.waiting import kafka_settings
from stream.core.counting import counted
from stream.kafka import admin, topics
from stream.kafka.topic_texts import kafka_topics_commands, strimzi_yaml
from stream.kafka.topics import Alteration, Finding, Topology, WantedTopic
from stream.settings import Settings

PRODUCTION_BROKERS = 3
"""`--print` asks no broker: it is for clusters that people plan, and those have three brokers or more."""

app = typer.Typer(help="Make the topics, or check those that are there.", no_args_is_help=True, add_completion=False)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def create(
    ctx: typer.Context,
    print_only: Annotated[
        bool, typer.Option("--print", help="Only show kafka-topics.sh commands and Strimzi YAML; asks no broker.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Also change topics that are there but different.")] = False,
    as_json: Json = False,
) -> None:
    """Make the topics that are missing. Those that are there are left as they are, but for --apply."""
    settings = kafka_settings(ctx)
    own = results_topics(settings)
    if print_only:
        _show(settings, topics.wanted(settings, PRODUCTION_BROKERS, own), as_json=as_json)
        return
    rows, topology = _compared(settings, own, grown=True)
    missing = [row for row in rows if row.name not in topology.topics]
    made = set(admin.create(settings, missing))
    changes = {change.topic: change for change in topics.alterations(rows, topology.topics)}
    if apply:
        admin.apply(settings, list(changes.values()))
    if as_json:
        output.emit_json([_created_json(row, row.name in made, changes.get(row.name), apply) for row in rows])
        return
    for row in rows:
        _tell(row, row.name in made, changes.get(row.name), topology, applied=apply)


@app.command()
def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Compare the topics and brokers with what is needed; exit 1 when something is wrong."""
    settings = kafka_settings(ctx)
    rows, topology = _compared(settings, results_topics(settings))
    transactional = settings.worker.delivery == "exactly_once"
    found = topics.findings(rows, topology, transactional=transactional)
    wrong = sum(1 for each in found if each.level == "wrong")
    if as_json:
        output.emit_json({"ok": wrong == 0, "findings": [_finding_json(each) for each in found]})
    else:
        width = output.width()
        if width is None:
            output.table(("", "where", "there is", "remedy"), list(_rows(found)))
        else:
            output.print_lines(lines(found, width))
        _sum_up(found, wrong)
    if wrong:
        raise typer.Exit(1)


def _compared(
    settings: Settings, own_results: Sequence[str], *, grown: bool = False
) -> tuple[list[WantedTopic], Topology]:
    """The wanted topics (the dead letter topic following the requests as they are), and what is there."""
    names = [row.name for row in topics.wanted(settings, PRODUCTION_BROKERS, own_results)]
    topology = admin.describe(settings, names)
    rows = topics.wanted(settings, len(topology.brokers), own_results)
    return topics.adjusted(rows, topology.topics, grown=grown), topology


def _show(settings: Settings, rows: Sequence[WantedTopic], *, as_json: bool) -> None:
    if as_json:
        output.emit_json([_topic_json(row) for row in rows])
        return
    typer.echo(kafka_topics_commands(rows, settings.kafka.bootstrap_servers))
    typer.echo(strimzi_yaml(rows))


def _tell(row: WantedTopic, made: bool, change: Alteration | None, topology: Topology, *, applied: bool) -> None:
    if made:
        output.passed(
            f"made {row.name}: {counted(row.partitions, 'partition')}, {counted(row.replication_factor, 'replica')}"
        )
        return
    if change is None:
        output.passed(f"{row.name} was there")
        return
    facts = topology.topics[row.name]
    differences = [f"{name} {facts.config.get(name, '?')} → {value}" for name, value in change.config.items()]
    if change.partitions is not None:
        differences.append(f"partitions {facts.partitions} → {change.partitions}")
    told = ", ".join(differences)
    if not applied:
        output.noted(f"{row.name} was there and is different: {told} (left as it is; --apply changes it)")
        return
    output.passed(f"changed {row.name}: {told}")
    if change.partitions is not None and row.kind == "requests":
        output.noted(
            f"{row.name} has more partitions now: a key may land in another one than before. Until the requests from "
            "before are finished, the order of a key's requests is not kept across the change."
        )


def _rows(found: Sequence[Finding]) -> Iterator[tuple[str, str, str, str]]:
    """What is well in one row a topic or broker; each thing that isn't in a row of its own."""
    for subject, of_it in groupby(found, key=lambda each: each.subject):
        each_of_it = list(of_it)
        well = [each.what for each in each_of_it if each.level == "ok"]
        if well:
            yield "✓", subject, ", ".join(well), ""
        for each in each_of_it:
            if each.level != "ok":
                yield "✗" if each.level == "wrong" else "!", subject, each.what, each.remedy


def lines(found: Sequence[Finding], width: int) -> Iterator[str]:
    """For a terminal: a topic or broker, and below it what is well, then what isn't, with the remedy."""
    for mark, subject, what, remedy in _rows(found):
        if mark == "✓":
            yield f"{mark} {subject}"
            yield from layout.wrapped(what, width, layout.INDENT, layout.INDENT)
        else:
            yield from layout.wrapped(f"{subject}: {what}: {remedy}", width, f"{mark} ", layout.INDENT)


def _sum_up(found: Sequence[Finding], wrong: int) -> None:
    warnings = sum(1 for each in found if each.level == "warning")
    beside = f"; {counted(warnings, 'warning')}" if warnings else ""
    if wrong:
        output.failed(f"{wrong} of {len(found)} checks found something wrong{beside}: the remedies stand above")
    else:
        output.passed(f"{counted(len(found), 'check')}, nothing wrong{beside}")


def _finding_json(finding: Finding) -> dict[str, str]:
    return {
        "where": finding.subject,
        "check": finding.check,
        "level": finding.level,
        "what": finding.what,
        "remedy": finding.remedy,
    }


def _topic_json(row: WantedTopic) -> dict[str, object]:
    return {
        "topic": row.name,
        "kind": row.kind,
        "partitions": row.partitions,
        "replication_factor": row.replication_factor,
        "config": dict(row.config),
    }


def _created_json(row: WantedTopic, made: bool, change: Alteration | None, applied: bool) -> dict[str, object]:
    differences = None if change is None else {"config": dict(change.config), "partitions": change.partitions}
    return {**_topic_json(row), "made": made, "differs": differences, "changed": applied and change is not None}
