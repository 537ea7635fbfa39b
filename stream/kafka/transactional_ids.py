"""A transactional id that no other worker on this host uses, and that a restarted worker finds again.

`<group>.<hostname>.<slot>`, the slot being the first free lock file in the state directory: a restart takes the same
one and so ends its own open transaction at once. The lock is the kernel's (flock): it goes with the process, however
it ends.
"""

import fcntl
import os
import socket
import uuid
from pathlib import Path
from typing import IO

from stream.core.errors import ConfigError

MAX_SLOTS = 1_000


class TransactionalId:
    """The id, and the lock that keeps it ours for as long as this object lives."""

    def __init__(self, name: str, lock: IO[bytes] | None = None) -> None:
        self.name = name
        self._lock = lock


def claim(configured: str, group_id: str, state_dir: Path) -> TransactionalId:
    """The id to use. configured: empty (a slot), "random", or a name that is taken as it is.

    Raises ConfigError when the state directory can't be written.
    """
    if configured == "random":
        return TransactionalId(f"{group_id}.{uuid.uuid4()}")
    if configured:
        return TransactionalId(configured)
    prefix = f"{group_id}.{socket.gethostname()}"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        for slot in range(MAX_SLOTS):
            lock = (state_dir / f"{_file_name(prefix)}.{slot}.lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return TransactionalId(f"{prefix}.{slot}", lock)
    except OSError as error:
        raise ConfigError(
            f"[worker] state_dir {str(state_dir)!r} can't be used for lock files ({error.strerror}). Set it to a "
            'directory this user may write, or set [kafka] transactional_id = "random".'
        ) from error
    raise ConfigError(f"{MAX_SLOTS} workers of group {group_id!r} hold lock files in {str(state_dir)!r}: too many.")


def default_state_dir(configured: str) -> Path:
    """Where lock files are: as configured, else `$XDG_STATE_HOME/llm-stream`, else `~/.local/state/llm-stream`."""
    if configured:
        return Path(configured).expanduser()
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "llm-stream"


def _file_name(text: str) -> str:
    """The text with everything replaced that a file name had better not hold."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
