"""`llm-stream worker` as it is, but for what answers: `python -m benchmarks.worker CONFIG [LATENCY_MS]`.

With a latency, the adapters are replaced by one in the process that answers after so long (0: at once). Deadline,
account, prices, metrics, gate and retrying stand around it as they do around a real one.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from benchmarks.replies import TEXT, USAGE
from stream import app
from stream.core.records import Completion, ModelCall, Stop
from stream.providers.table import KINDS
from stream.settings import load


class InProcess:
    """`core.ports.Provider` that always gives the same good reply."""

    def __init__(self, latency_ms: int) -> None:
        self._latency_ms = latency_ms

    async def complete(self, call: ModelCall) -> Completion:
        """The reply, after the latency."""
        if self._latency_ms:
            await asyncio.sleep(self._latency_ms / 1_000)
        return Completion(TEXT, Stop.COMPLETE, "stop", call.model, USAGE, self._latency_ms)

    async def aclose(self) -> None:
        """Nothing to close."""


def main(config: str, latency_ms: str | None = None) -> None:
    """Work until SIGTERM."""
    settings = load(Path(config), os.environ).settings
    if latency_ms is None:
        app.run_worker(settings, app.WorkerOptions())
        return
    import openai  # noqa: F401  (a worker has one of the SDKs loaded: its memory counts)

    in_process = {kind: replace(known, factory=lambda *_: InProcess(int(latency_ms))) for kind, known in KINDS.items()}
    with patch("stream.providers.table.KINDS", in_process):
        app.run_worker(settings, app.WorkerOptions())


if __name__ == "__main__":
    main(*sys.argv[1:])
