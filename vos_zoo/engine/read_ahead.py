"""The way of a video's frames to the model: read ahead by a thread of their own, handed on in groups that are encoded as one batch.

latency mode: a frame is read when the mask of the one before is out. throughput mode: decoding runs ahead, and where the device wants it
several frames share one pass through the encoder, which has no recurrence; steps stay one after another. The frames and their order are the
same, and so are the masks, but for rounding where a batch is larger than one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, Literal, TypeVar

from vos_zoo.errors import VosZooError
from vos_zoo.system.shown import shown

T = TypeVar("T")
Mode = Literal["auto", "throughput", "latency"]
DEPTH = 8  # frames that are read ahead at most
PIXELS = 4_000_000  # of the frames that a GPU encodes at once, at their size inside the model
FRAMES = 8  # that it encodes at once at most


class ReadAhead(Generic[T]):
    """The items of an iterator, in their order, taken from it by a thread up to `depth` items ahead of their use.

    What the iterator raises is raised here, after the items before it. `close`, or the end of a `with` block, stops the thread, waits for
    the item that it is at, and closes the iterator if it is a generator.
    """

    def __init__(self, items: Iterable[T], depth: int = DEPTH):
        self._items = iter(items)
        self._ready: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._fetch, name="vos_zoo read ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._ended:
            raise StopIteration
        good, item = self._ready.get()
        if good:
            return item  # type: ignore[return-value]
        self._ended = True
        if item is None:
            raise StopIteration
        raise item  # type: ignore[misc]

    def close(self) -> None:
        self._ended = True
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):  # the thread may be waiting for room
                self._ready.get(timeout=0.05)
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _fetch(self) -> None:
        end: BaseException | None = None
        try:
            for item in self._items:
                self._ready.put((True, item))
                if self._stopped.is_set():
                    return
        except BaseException as error:  # whatever it is, it belongs to who asks for the next item
            end = error
        if not self._stopped.is_set():
            self._ready.put((False, end))


def checked_mode(mode: str) -> Mode:
    """VosZooError if there is no such mode."""
    if not isinstance(mode, str) or mode not in ("auto", "throughput", "latency"):
        raise VosZooError(f"mode is 'auto', 'throughput' (files: read and encoded ahead) or 'latency' (frame by frame), not {shown(mode)}")
    return mode  # type: ignore[return-value]


def frames_at_once(device: str, size: tuple[int, int]) -> int:
    """How many frames of (height, width) inside the model a device should encode in one batch: 1 on a CPU, where more are no faster."""
    return 1 if device == "cpu" else max(1, min(FRAMES, PIXELS // (size[0] * size[1])))


def in_groups(frames: Iterable[tuple[int, T]], size: int, begins: Iterable[int]) -> Iterator[list[tuple[int, T]]]:
    """Numbered frames in groups of up to `size`; those whose number is in `begins` are the first of theirs.

    What `frames` raises is raised after the frames before it.
    """
    begins = frozenset(begins)
    group: list[tuple[int, T]] = []
    try:
        for index, frame in frames:
            if group and index in begins:
                yield group
                group = []
            group.append((index, frame))
            if len(group) >= size:
                yield group
                group = []
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
