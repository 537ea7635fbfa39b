"""The table of rounds, for the terminal and for docs/reliability.md."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.plan import AT_RANDOM
from tests.chaos.stage import Outcome
from tests.support.processes import CHECKOUT

TABLE_OF = Path("docs/reliability.md")
_BEGIN, _END = "<!-- chaos: written by python -m tests.chaos --write -->", "<!-- end of chaos -->"
_HEAD = (
    "| seed.round | minutes | kills | at failpoints | at random times | also | requests | results | dead letters "
    "| lost | doubled | swapped | out of order | run again after a kill | in flight at the kills | uncommitted then "
    "| run again otherwise |"
)


def lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Markdown: a head, a row for each round, and their sum if there are several."""
    rows = [_row(f"{o.round.seed // 1_000}.{o.round.number}", [o]) for o in outcomes]
    if len(outcomes) > 1:
        rows.append(_row("**all**", outcomes))
    return [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1), *rows]


def written(outcomes: Sequence[Outcome]) -> None:
    """Put the rows beside those of other seeds, in place of older ones of the same seed."""
    path = CHECKOUT / TABLE_OF
    before, rest = path.read_text().split(_BEGIN)
    old, after = rest.split(_END)
    seed = outcomes[0].round.seed // 1_000
    kept = [line for line in old.strip().splitlines()[2:] if not line.startswith((f"| {seed}.", f"| **{seed}**"))]
    head, rule, *rows = lines(outcomes)
    rows = [row.replace("| **all**", f"| **{seed}**") for row in rows]
    path.write_text("\n".join([before + _BEGIN, head, rule, *kept, *rows, _END]) + after)


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    deaths = sum((o.deaths for o in outcomes), Counter[str]())
    others = sum((o.others for o in outcomes), Counter[str]())
    ledgers = [o.ledger for o in outcomes]
    cells = [
        name,
        f"{sum(o.seconds for o in outcomes) / 60:.1f}",
        deaths.total(),
        _counted({failpoint: count for failpoint, count in deaths.items() if failpoint != AT_RANDOM}),
        deaths[AT_RANDOM],
        _counted(others),
        sum(ledger.requests for ledger in ledgers),
        sum(ledger.results for ledger in ledgers),
        sum(ledger.dead_letters for ledger in ledgers),
        sum(len(ledger.lost) for ledger in ledgers),
        sum(len(ledger.doubled) for ledger in ledgers),
        sum(len(ledger.swapped) + len(ledger.orphaned) for ledger in ledgers),
        sum(len(ledger.out_of_order) for ledger in ledgers),
        sum(o.repeats.after_kills for o in outcomes),
        sum(o.repeats.in_flight for o in outcomes),
        sum(o.repeats.uncommitted for o in outcomes),
        sum(o.repeats.otherwise for o in outcomes),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
