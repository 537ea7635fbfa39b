"""What the judge of `reconcile` needs for 100 million requests: memory, and time for each record.

The judge is fed from memory, without Kafka: results of all offsets but a few, in a shuffled order within the window, a
dead letter in every 50, then the requests. Run: `python -m benchmarks.bench_reconcile [MILLIONS]` (default 10; 100 take
about 4 minutes). Exit code 1 if the promise (100 M records under 100 MB) is broken or the verdicts are wrong. The last
line is JSON, for the table of all figures.
"""

import json
import sys
import time
from pathlib import Path

from stream.kafka.accounting import reconcile  # noqa: F401  (the memory of everything the command imports counts)
from stream.kafka.accounting.accounts import Account, LogRange, Proof, Verdict
from stream.kafka.accounting.claims import Claim

PARTITIONS = 12
LIMIT_MB = 100.0
STRIDE = 7_919
WINDOW = 16_384


def peak_mb() -> float:
    """The most memory this process has had, in MB. Not `ru_maxrss`: that counts what the parent had at the fork."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1_024 / 1_000_000


def feed_outcomes(account: Account, number: int) -> None:
    """One outcome for every offset but 5, out of order as workers publish them, and a second one for offset 11."""
    for base in range(0, number, WINDOW):
        size = min(WINDOW, number - base)
        place = 0
        for _ in range(size):
            place = (place + STRIDE) % size if size == WINDOW else place + 1
            offset = base + place % size
            if offset != 5:
                account.outcome(offset, dead=offset % 50 == 0)
    account.outcome(11, dead=False)


def main(millions: int) -> int:
    """Feed, judge, report."""
    each = millions * 1_000_000 // PARTITIONS
    before_mb = peak_mb()
    accounts = [Account("llm.requests", number, Claim(each)) for number in range(PARTITIONS)]
    started_s = time.perf_counter()
    for account in accounts:
        feed_outcomes(account, each)
    outcomes_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    reports = []
    for account in accounts:
        account.prove(Proof())
        for offset in range(each):
            account.request(offset, 0)
        reports.append(account.close(LogRange(0, each, range(each))))
    requests_s = time.perf_counter() - started_s
    wrong = [
        report
        for report in reports
        if report.offsets[Verdict.MISSING] != (5,)
        or report.offsets[Verdict.DOUBLED] != (11,)
        or report.verdicts[Verdict.SETTLED] != each - 2
    ]
    judged = each * PARTITIONS
    print(f"{judged:,} requests in {PARTITIONS} partitions")
    print(f"outcomes: {outcomes_s / judged * 1e9:,.0f} ns each, requests: {requests_s / judged * 1e9:,.0f} ns each")
    print(f"peak memory: {peak_mb():.1f} MB, of which {before_mb:.1f} MB before the first record")
    print(json.dumps({"peak_mb": peak_mb(), "before_mb": before_mb, "wrong": len(wrong)}))
    return 1 if wrong or peak_mb() >= LIMIT_MB else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
