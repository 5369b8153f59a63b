"""Names of files that are being written, and what becomes of them when their process was killed.

A temporary name says whose it is: the machine, the process and when that process began. So the next run into a folder can tell what a
killed process left there from what a living one is writing: it removes the former, and puts back an older result that was set aside.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from pathlib import Path

PREFIX = ".vos_zoo-"
_NAME = re.compile(r"\.vos_zoo-(?P<aside>old-)?(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,10})-(?P<began>\d{1,20})-[0-9a-f]{8}(\..*)?")
_FOREIGN_SECONDS = 24 * 3600.0  # what another machine has not touched for so long is nobody's any more
_swept: set[tuple[int, Path]] = set()


def temporary_name(suffix: str = "", *, aside: bool = False) -> str:
    """A new hidden name. aside: for a folder that holds an older result, under that one's name, until a new one has taken its place."""
    pid = os.getpid()
    return f"{PREFIX}{'old-' if aside else ''}{_machine()}-{pid}-{_began(pid) or 0}-{secrets.token_hex(4)}{suffix}"


def contents(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without what is being written there or was when its process was killed. OSError as of `iterdir`."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(PREFIX))


def sweep(folder: Path) -> None:
    """Clears away what killed processes left in a folder. Done once a folder and process; what can't be removed stays."""
    if (key := (os.getpid(), folder)) in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
        for name in names:
            found = _NAME.fullmatch(name)
            if found and _is_dead(folder / name, found["machine"], int(found["pid"]), int(found["began"])):
                if found["aside"]:
                    _put_back(folder / name)
                _remove(folder / name)


def _put_back(aside: Path) -> None:
    """An older result gets its name again if nothing has taken its place."""
    with contextlib.suppress(OSError):
        for older in list(aside.iterdir()):
            if not os.path.lexists(aside.parent / older.name):
                os.rename(older, aside.parent / older.name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _is_dead(path: Path, machine: str, pid: int, began: int) -> bool:
    about = os.lstat(path)
    if hasattr(os, "getuid") and about.st_uid != os.getuid():
        return False
    if machine != _machine() or os.name != "posix":
        return time.time() - about.st_mtime > _FOREIGN_SECONDS
    if (now := _began(pid)) is not None:
        return now != began
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@functools.cache
def _machine() -> str:
    """Of the machine, or the container: where process numbers mean the same."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbers}".encode()).hexdigest()[:8]


def _began(pid: int) -> int | None:
    """When a process began, in ticks: a later one with its number is another. None: not known, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
