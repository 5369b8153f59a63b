"""The newest item of a source that does not wait: what came meanwhile is dropped and counted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Takes items as they come, in a thread of its own; who asks for one gets the newest, and its number.

    Args:
        items: the source. The thread alone uses it, and closes it if it is a generator.
        keep: numbers of items that are never dropped; they come in their order.
        due: second on the source's clock at which an item is due, or None; items that come sooner are not taken before.

    Example:
        >>> with Newest(camera_frames) as newest:
        ...     for number, frame in newest: ...
    """

    def __init__(self, items: Iterator[T], *, keep: Collection[int] = (), due: Callable[[T], float | None] | None = None) -> None:
        self.dropped = 0
        self._items, self._keep, self._due = items, keep, due
        self._waiting: deque[tuple[int, T]] = deque()
        self._change = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._take, name="vos_zoo newest frame", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[int, T]]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                item = self._waiting.popleft()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stops; the thread ends after the item that it is waiting for."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def __enter__(self) -> Newest[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> None:
        begun: tuple[float, float] | None = None  # on the source's clock, on ours
        try:
            for number, item in enumerate(self._items):
                at = None if self._due is None else self._due(item)
                if at is not None:
                    begun = begun or (at, time.monotonic())
                    self._wait(begun[1] + at - begun[0] - time.monotonic())
                with self._change:
                    if self._stopped:
                        break
                    if self._waiting and self._waiting[-1][0] not in self._keep:
                        self._waiting.pop()
                        self.dropped += 1
                    self._waiting.append((number, item))
                    self._change.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with self._change:
                self._change.wait_for(lambda: self._stopped, timeout=min(seconds, 10.0))
