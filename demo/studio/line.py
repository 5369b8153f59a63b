"""Who waits for the machine: how many are before a visitor, and for how long. One run is worked on at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

GONE = 20.0  # seconds without a word from the page, after which a visitor does not count any more


@dataclass
class _Waiting:
    seconds: float  # that the run is likely to take
    heard: float


class Line:
    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._lock = clock, threading.Lock()
        self._waiting: dict[Hashable, _Waiting] = {}  # in the order of coming
        self._until: float | None = None  # when the present run is likely to end
        self._served: Hashable = None  # whose run that is

    def join(self, who: Hashable, seconds: float) -> None:
        with self._lock:
            self._waiting.pop(who, None)
            self._waiting[who] = _Waiting(seconds, self._clock())

    @contextmanager
    def turn_of(self, who: Hashable) -> Iterator[None]:
        """While a run is worked on; also one that did not join, of a program."""
        with self._lock:
            self._waiting.pop(who, None)
            self._until, self._served = self._clock(), who
        try:
            yield
        finally:
            with self._lock:
                self._until = self._served = None

    def serves(self, who: Hashable) -> bool:
        """Whether the present run is this visitor's."""
        with self._lock:
            return self._served is not None and who == self._served

    def expect(self, seconds: float) -> None:
        """The present run is likely to take so long from now on."""
        with self._lock:
            self._until = self._clock() + seconds

    def before(self, who: Hashable) -> tuple[int, float] | None:
        """(runs before this visitor's, seconds they are likely to take); None if it does not wait. Counts as a word from the page."""
        with self._lock:
            now = self._clock()
            if who not in self._waiting:
                return None
            self._waiting[who].heard = now
            self._waiting = {key: each for key, each in self._waiting.items() if now - each.heard < GONE}
            ahead = list(self._waiting)[: list(self._waiting).index(who)]
            seconds = sum(self._waiting[key].seconds for key in ahead)
            if self._until is None:
                return len(ahead), seconds
            return 1 + len(ahead), seconds + max(self._until - now, 1.0)
