"""A folder in the place of another: by one exchange of names where the system has that, so that there is no instant with neither."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from vos_zoo.system.leftovers import temporary_name

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def replace_folder(new: Path, target: Path) -> None:
    """The folder `new` gets the name `target`, and what stood there is removed.

    A process that is killed meanwhile leaves the older folder or the new one at `target`. Where the system can't exchange names, the older
    is set aside first; if the process is killed then, `leftovers.sweep` puts it back. OSError: neither was changed.
    """
    if exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)
        return
    aside = target.with_name(temporary_name(aside=True))
    aside.mkdir()
    try:
        os.rename(target, aside / target.name)
        try:
            os.replace(new, target)
        except BaseException:
            os.rename(aside / target.name, target)
            raise
    finally:
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Exchanges the names of two things in a file system. False where it can't be done, OSError where it may not be."""
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_THERE:
        return False
    raise OSError(number, os.strerror(number), str(other))


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
