"""Standard output and standard error as host programs leave them: missing, closed, replaced by a logger, or unable to show a name."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing import TextIO


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody watches this stream. False for None, for a closed stream, and for an object that has no `isatty`."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def tell(text: str, end: str = "\n") -> None:
    """A word on standard error. That nobody can hear it any more ends no work."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """For a program: inside the block standard output and error exist, and show what they can't encode as escapes.

    The numbers 1 and 2 are taken too, so that no file that is opened later gets them, and with them what others print.
    """
    before = sys.stdout, sys.stderr
    for number in (1, 2):
        _take(number)
    sys.stdout, sys.stderr = (_usable(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _take(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)


def _usable(stream: TextIO) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 as long as the program
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream
