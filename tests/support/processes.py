"""Child processes of a test: their output kept in a file, signals sent to their own pid, always reaped.

They die with the test run, even if that is killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from stream.kafka.local import watch_over

CHECKOUT = Path(__file__).parents[2]


class Child:
    """A Python process: `Child("-m", "stream", "worker", "-c", path, log=tmp_path / "worker.log")` is `python -m ...`.

    Starts at once, in the checkout unless `cwd` says otherwise; `env` is added to ours. stdout and stderr go to `log`,
    appended, so that a successor may share it.
    """

    def __init__(
        self, *arguments: str | Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path = CHECKOUT
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self._terminated = False
        self._watcher: subprocess.Popen[bytes] | None = watch_over(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        if self._process.poll() is None:
            return True
        self._unwatch()
        return False

    @property
    def output(self) -> str:
        """Everything it has said so far."""
        return self.log.read_text(errors="replace")

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, dead for everybody else."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, unless it got one: a second one ends a worker at once. See `wait` for the end."""
        if not self._terminated:
            self._terminated = True
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns. Does nothing to a process that ended."""
        self._unwatch()
        self._process.kill()
        self._process.wait()

    def wait(self, deadline_s: float) -> int:
        """Its exit code (-9 after SIGKILL). Raises AssertionError, with its last words, if it doesn't end in time."""
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            last_words = "\n".join(self.output.splitlines()[-20:])
            raise AssertionError(f"process {self.pid} still runs after {deadline_s:g} s:\n{last_words}") from None
        self._unwatch()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
