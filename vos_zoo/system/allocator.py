"""A setting of the C library's allocator that programs (not the library) make at their start."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # names of malloc.h


def keep_freed_memory(megabytes: int = 256) -> bool:
    """Let the process keep the memory of freed tensors instead of handing it back and asking again.

    By default glibc maps every large tensor anew, and the kernel clears its pages each time: in training on a CPU that can cost as much
    as the arithmetic (inference, with its few and small tensors, gains nothing). True if the setting was made; False where the C library is
    not glibc or the user has set MALLOC_* variables.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, megabytes << 20))
    return all(mallopt(name, value) for name, value in settings)
