"""How far the peak of this process's memory grew within a block, whatever was held before in the same process or its parent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vos_zoo.system.machine import peak_memory


class Grown:
    bytes = 0


@contextlib.contextmanager
def memory_grown() -> Iterator[Grown]:
    """`with memory_grown() as grown: ...`; afterwards grown.bytes. An earlier peak hides it where the kernel resets none."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, grown = peak_memory(), Grown()
    yield grown
    grown.bytes = peak_memory() - before
