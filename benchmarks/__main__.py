"""`python -m benchmarks`: measure, print the table, and with --write put it into docs/benchmarks.md."""

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka

from benchmarks.bed import Bed
from benchmarks.latency import one_at_a_time
from benchmarks.memory import memory, reconciling
from benchmarks.table import Figure, as_markdown, as_text
from benchmarks.throughput import FULL, QUICK, Effort, at_once, guarantees, slow_provider
from stream.kafka.local_libs import KAFKA_VERSION

MEASUREMENTS: Mapping[str, Callable[[Bed, Effort], list[Figure]]] = {
    "a": at_once,
    "b": slow_provider,
    "c": guarantees,
    "d": one_at_a_time,
    "e": memory,
    "f": reconciling,
}
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


def machine() -> str:
    """What it runs on, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    system = f"{platform.system()}, {os.cpu_count()} cores ({model}), {memory_gb:.0f} GB"
    kafka = f"Kafka {KAFKA_VERSION}, confluent-kafka {confluent_kafka.__version__}"
    return f"{system}; Python {platform.python_version()}, {kafka}"


def main() -> int:
    """Measure. Returns the exit code: 0 whatever the figures are, for a machine's speed is no defect."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(MEASUREMENTS), metavar="LETTERS", help="which, such as a,d")
    parser.add_argument("--quick", action="store_true", help="one short round of each: for looking, not for quoting")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    letters = [letter.strip() for letter in asked.only.split(",")]
    if unknown := [letter for letter in letters if letter not in MEASUREMENTS]:
        parser.error(f"--only knows {', '.join(MEASUREMENTS)}; not {', '.join(unknown)}")
    before, began_s = os.getloadavg()[1], time.monotonic()
    figures: list[Figure] = []
    with Bed() as bed:
        for letter in letters:
            print(f"measuring {letter} ...", file=sys.stderr, flush=True)
            measured = MEASUREMENTS[letter](bed, QUICK if asked.quick else FULL)
            print(as_text(measured), file=sys.stderr, flush=True)
            figures += measured
        telemetry = "metrics served and logs written" if bed.telemetry_seen else "METRICS OR LOGS WERE OFF"
    facts = [
        f"Machine: {machine()}",
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; it took {time.monotonic() - began_s:.0f} s",
        f"Load average before: {before:.1f} (0 is a quiet machine)",
        f"Command: python -m benchmarks {shlex.join(sys.argv[1:])}".rstrip(),
        f"Workers: {telemetry}",
    ]
    print("\n".join([as_text(figures), "", *facts]))
    if asked.write:
        write(figures, facts)
    return 0


def write(figures: list[Figure], facts: list[str]) -> None:
    """Replace the figures in the document; what is said around them stays."""
    text = DOCUMENT.read_text()
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    listed = "\n".join(f"* {fact}" for fact in facts)
    DOCUMENT.write_text(f"{head}{_BEGIN}\n{listed}\n\n{as_markdown(figures)}\n{_END}{tail}")


if __name__ == "__main__":
    sys.exit(main())
