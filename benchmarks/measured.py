"""A measured process: on a core of its own, watched from outside by /proc (Linux)."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MB = 1_000_000


def cores() -> tuple[set[int], set[int]]:
    """The core of what is measured, and the cores of everything else (the same one where there is only one)."""
    ours = sorted(os.sched_getaffinity(0))
    return {ours[-1]}, set(ours[:-1]) or {ours[-1]}


class Measured:
    """`python -m MODULE ...` pinned to one core; its stderr goes to a file, for a worker's log must cost something."""

    def __init__(self, module: str, arguments: Sequence[str], core: set[int], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {"BENCHMARK_KEY": "not-a-key"},
            )
        os.sched_setaffinity(self._process.pid, core)  # long before it starts a thread: they inherit it

    @property
    def cpu_s(self) -> float:
        """CPU time so far, user and system, all threads."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def rss_mb(self) -> float:
        """Resident memory now."""
        return int(self._read("statm").split()[1]) * _PAGE_BYTES / MB

    @property
    def peak_mb(self) -> float:
        """The most resident memory it has had."""
        line = next(line for line in self._read("status").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1_024 / MB

    def line(self) -> str:
        """The next line on its stdout."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode()

    def check(self) -> None:
        """Raises RuntimeError, with its last words, if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"ended with {self._process.returncode}:\n{self._log.read_text()[-2_000:]}")

    def stop(self) -> None:
        """SIGTERM; after 30 s SIGKILL."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, name: str) -> str:
        try:
            return Path(f"/proc/{self._process.pid}/{name}").read_text()
        except OSError:
            self.check()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
