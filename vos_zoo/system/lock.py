"""One writer at a time: a folder that a run has for itself."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from vos_zoo.errors import SaveError

LOCK_FILE = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # a network drive that knows no locks


@contextlib.contextmanager
def writing_alone(folder: Path) -> Iterator[None]:
    """The folder belongs to this run as long as the block lasts; it is made if it is missing, and the lock ends with the process.

    Raises:
        SaveError: another run is writing there, or nothing can be written.
    """
    made = not folder.exists()
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise SaveError(f"another run is writing to {folder}: wait for it, end it, or choose another --out") from error
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", errno.ENOLCK) not in _NO_LOCKS:
            raise SaveError(f"nothing can be written to {folder} ({_reason(error)}): choose another --out") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink()
        lock.release()
        if made:
            with contextlib.suppress(OSError):  # a run that failed leaves no empty folder
                folder.rmdir()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
