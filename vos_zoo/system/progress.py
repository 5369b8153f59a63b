"""Progress of long work: a bar on a terminal, a caller's function, or nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reporter(
    progress: bool | Callable[[int, int | None], None] | None, total: int | None, what: str, unit: str = "frame"
) -> Iterator[Callable[[int], None]]:
    """Yields report(done). progress: True, False, None (a bar if standard error is a terminal), or a function (done, total)."""
    if callable(progress):
        tell = progress
        yield lambda done: tell(done, total)
        return
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit=unit, ncols=shutil.get_terminal_size().columns) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show
