"""One writer at a time: a lock on an open file, as POSIX has them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from vos_zoo.errors import SaveError


def lock(file: IO[Any], root: Path) -> None:
    """Held until the file is closed, or the process has died. Where the system has no such locks, nothing.

    root: what the lock is for, as the error names it. SaveError if another process, or another opening of the file, holds it.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SaveError(f"another run is writing to {root}: wait for it, end it, or choose another --out") from error
    except OSError:  # a network drive that knows no locks
        return
