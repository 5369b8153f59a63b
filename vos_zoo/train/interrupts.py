"""Ctrl-C and SIGTERM as requests that a loop answers when its state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Inside the block a first Ctrl-C or SIGTERM is only noted in `asked`; a second one does at once what it does elsewhere.

        with Interrupts() as interrupts:
            while work and not interrupts.asked:
                ...
            interrupts.deliver()     # now it takes effect, if one came

    Outside the main thread, and where a signal is ignored (a job in the background) or not Python's to handle, nothing changes.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def deliver(self) -> None:
        self._restore()
        if self.asked is not None:
            signal.raise_signal(self.asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def ignore_ctrl_c(worker: int = 0) -> None:
    """For helper processes: a terminal sends Ctrl-C to them too, but it is their parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
