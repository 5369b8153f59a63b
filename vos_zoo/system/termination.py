"""SIGTERM as Ctrl-C: what is finished is kept. Docker, systemd and Slurm end a program so."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED, TERMINATED = 130, 128 + int(signal.SIGTERM)  # exit statuses
BROKEN_PIPE = 141  # 128 + SIGPIPE, a signal that not every system has: what a program that it ends is said to have returned


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Whoever keeps what is finished when Ctrl-C comes does so now too."""


class TerminationAsInterrupt:
    """Inside the block a first SIGTERM raises Terminated; a second one does at once what it does elsewhere.

    Outside the main thread, and where the signal is ignored or not Python's to handle, nothing changes.

    Example:
        >>> with TerminationAsInterrupt() as termination:
        ...     status = 0
        >>> termination.status(status)
        0
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> TerminationAsInterrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) not in (None, signal.SIG_IGN):
            self._before = signal.signal(signal.SIGTERM, self._raise)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def status(self, status: int) -> int:
        """The exit status of a program: that of SIGTERM where it was interrupted by it."""
        return TERMINATED if self.came and status == INTERRUPTED else status

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._restore()
        raise Terminated("SIGTERM")

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None
