"""Progress of long work: a bar on a terminal or in a notebook, a caller's function, or nothing."""

from __future__ import annotations

import contextlib
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown
from vos_zoo.system.streams import in_notebook, is_terminal

Progress = bool | Callable[[int, "int | None"], None] | None


@contextmanager
def reporter(progress: Progress, total: int | None, what: str, unit: str = "frame") -> Iterator[Callable[[int], None]]:
    """Yields report(done).

    A bar that can't be drawn any more, for instance since the terminal was closed, is given up; the work goes on.

    Args:
        progress: True, False, None (a bar if standard error is a terminal, or in a notebook), or a function (done, total).
        total: how many there are, where that is known.
        what: is done, as the bar says it.
        unit: what is counted.
    """
    if not (progress is None or callable(progress) or isinstance(progress, (bool, int))):
        raise VosZooError(f"progress is True, False, None or a function (done, total), not {shown(progress)}")
    if callable(progress):
        tell = progress
        yield lambda done: tell(done, total)
        return
    if progress is None:
        progress = is_terminal(sys.stderr) or in_notebook()
    if not progress or (sys.stderr is None and not in_notebook()):
        yield lambda done: None
        return
    bar: Any = None
    try:
        bar = _bar(total, what, unit)
    except (OSError, ValueError):
        _unlock()

    def show(done: int) -> None:
        nonlocal bar
        try:
            if bar is not None:
                bar.update(done - bar.n)
        except (OSError, ValueError):
            bar.disable, bar = True, None
            _unlock()

    try:
        yield show
    finally:
        with contextlib.suppress(OSError, ValueError):
            if bar is not None:
                bar.close()


def _unlock() -> None:
    """Releases tqdm's lock, which it keeps where drawing failed: another thread with something to say would wait for ever."""
    from tqdm import tqdm

    with contextlib.suppress(AssertionError, RuntimeError, ValueError):  # it is not locked
        tqdm.get_lock().release()


def _bar(total: int | None, what: str, unit: str) -> Any:
    if in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets it is a bar of letters
            from tqdm.auto import tqdm

            return tqdm(total=total, desc=what, unit=unit)
    from tqdm import tqdm as bar_of_letters

    return bar_of_letters(total=total, desc=what, unit=unit, ncols=shutil.get_terminal_size().columns)
