"""Places where a test can kill, stop or delay the process: the table of all of them, and nothing else.

They cost one function call that does nothing, unless `LLM_STREAM_FAILPOINTS` is set when the process starts:
`name=kill@N` ends the process with SIGKILL at the N-th time it comes there, `name=stop@N` stops it (SIGSTOP),
`name=sleep:S@N` holds the thread for S seconds; several are joined by commas.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping

FAILPOINTS: dict[str, str] = {
    "assign": "a partition was assigned, its start is not known yet",
    "start_commit": "before a partition's start offset is committed",
    "received": "records were read, none is started",
    "call_answered": "a reply came, its outcome is not settled",
    "before_begin": "outcomes are chosen for an attempt, the transaction is not begun",
    "after_begin": "the transaction is begun, nothing is produced",
    "produced": "the outcomes are produced, the offsets are not sent",
    "offsets_sent": "the offsets are in the transaction, it is not committed",
    "committed": "the transaction is committed, the worker does not know it yet",
    "acknowledged": "the worker has noted the commit",
    "revoke": "a revoke has begun, nothing is drained",
    "revoke_drained": "what was in flight is drained, the partitions are not given back",
    "draining": "SIGTERM came, nothing is drained",
}


def _parsed(text: str) -> dict[str, tuple[str, int]]:
    """What each named failpoint does, and at which visit. Raises ValueError."""
    armed: dict[str, tuple[str, int]] = {}
    for entry in filter(None, text.split(",")):
        name, _, rest = entry.partition("=")
        action, _, visit = rest.partition("@")
        if name not in FAILPOINTS or action.partition(":")[0] not in {"kill", "stop", "sleep"}:
            raise ValueError(f"LLM_STREAM_FAILPOINTS: {entry!r} is not NAME=kill|stop|sleep:SECONDS[@VISIT]")
        armed[name] = (action, int(visit or 1))
    return armed


def _armed(armed: Mapping[str, tuple[str, int]]) -> Callable[[str], None]:
    visits = dict.fromkeys(armed, 0)

    def visit(name: str) -> None:
        if name not in armed:
            return
        visits[name] += 1
        action, at = armed[name]
        if visits[name] != at:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            time.sleep(float(action.partition(":")[2] or 1))

    return visit


def _ignored(name: str) -> None:
    """No failpoint is armed."""


reach: Callable[[str], None] = (
    _armed(found) if (found := _parsed(os.environ.get("LLM_STREAM_FAILPOINTS", ""))) else _ignored
)
"""Say that the code has come to a failpoint."""
