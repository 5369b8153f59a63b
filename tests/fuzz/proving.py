"""Targets with known faults, by which the campaign proves that it sees each kind. They are in no list."""

from __future__ import annotations

import ctypes
import mmap
import random
import time
from pathlib import Path

from .target import Target


def number(rng: random.Random, folder: Path) -> int:
    return rng.randrange(2)


def raises(case: int) -> None:
    if case == 0:
        raise KeyError("fault")


def crashes(case: int) -> None:
    if case == 0:
        ctypes.string_at(0)


def hangs(case: int) -> None:
    if case == 0:
        while time.monotonic():
            pass


def takes_memory(case: int) -> None:
    if case == 0:
        with mmap.mmap(-1, 3 << 26) as taken:  # of the system: what an allocator still holds from before would not count
            taken[:: mmap.PAGESIZE] = b"a" * (len(taken) // mmap.PAGESIZE)


TARGETS = {f"proving-{feed.__name__}": Target(f"proving-{feed.__name__}", number, feed) for feed in (raises, crashes, hangs, takes_memory)}
