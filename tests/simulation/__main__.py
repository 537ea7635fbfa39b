"""`python -m tests.simulation SEED`: live through one seed again and tell what happened. `SEED..SEED`: many of them."""

import sys
from time import perf_counter

from tests.support.simulated_fleet import story_of, trouble_with
from tests.support.simulated_plan import FAMILIES


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(wanted: str, family: str = "drawn") -> int:
    plan_of = FAMILIES[family]
    first, _, last = wanted.partition("..")
    if not last:
        say(story_of(plan_of(int(first))))
        return 0
    started_s, wrong = perf_counter(), 0
    for seed in range(int(first), int(last)):
        if found := trouble_with(plan_of(seed)):
            wrong += 1
            say(f"{family} {seed}:\n{found}\n")
    seeds = int(last) - int(first)
    say(f"{seeds} seeds, {wrong} went wrong, {seeds / (perf_counter() - started_s) * 60:.0f} a minute")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
