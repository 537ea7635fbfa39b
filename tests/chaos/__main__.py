"""`python -m tests.chaos --kills 200 --seed 1`: rounds until so many workers were killed, then the table of them."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.plan import rounds
from tests.chaos.play import play
from tests.chaos.stage import Outcome
from tests.chaos.table import TABLE_OF, lines, written
from tests.support.kafka import broker


def main() -> int:
    """0 if nothing was lost, doubled or out of order in any round."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many workers to kill in all")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same plan")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE_OF}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs and evidence there")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    plan = rounds(options.seed, options.kills)
    say(f"{options.kills} kills in {len(plan)} rounds, seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, broker(Path(folder) / "kafka") as kafka:
        for round_ in plan:
            outcome = play(kafka, (options.keep or Path(folder)) / f"round-{round_.number}", round_)
            outcomes.append(outcome)
            say(lines([outcome])[-1])
            for fault in outcome.all_faults:
                say(f"  {fault}")
    say("\n" + "\n".join(lines(outcomes)))
    if options.write:
        written(outcomes)
    return 0 if all(outcome.clean for outcome in outcomes) else 1


def say(text: str) -> None:
    """To the person who watches, with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
