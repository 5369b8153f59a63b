"""Frames that are there already: in an array, a list or an iterator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vos_zoo.errors import VideoError
from vos_zoo.videos.depths import common_bits
from vos_zoo.videos.images import check_pixels, frame_size, read_frame, to_numpy
from vos_zoo.videos.reader import Reader


class _IndexedReader(Reader):
    """Frames that can be had by their number, in any order."""

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        return (self._frame(i) for i in range(self.count())[start:stop])

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        return (self._frame(i) for i in reversed(range(self.count())[start:stop]))

    def count(self) -> int:
        assert self.length is not None
        return self.length

    def _frame(self, index: int) -> np.ndarray:
        raise NotImplementedError


class ArrayReader(_IndexedReader):
    """An array or tensor (T, H, W, 3) uint8. Frames are copied out one by one, also from a GPU or memmap."""

    name = "array"
    kind = "array"
    exact_length = True

    def __init__(self, array: Any) -> None:
        if len(array.shape) == 4 and array.shape[0] == 0:
            raise VideoError(f"the array of shape {tuple(array.shape)} has no frames: give at least one")
        check_pixels(array, "the array", frames=True)
        self.length, self.height, self.width = (int(n) for n in array.shape[:3])
        self._array = array

    def _frame(self, index: int) -> np.ndarray:
        return np.array(to_numpy(self._array[index]), order="C")


class ListReader(_IndexedReader):
    """A list of arrays, PIL images or paths, mixed or not, of one size. Images are read when due."""

    exact_length = True

    def __init__(
        self,
        items: Sequence[Any],
        *,
        name: str = "frames",
        kind: str = "list",
        frame_names: list[str] | None = None,
    ) -> None:
        if not len(items):
            raise VideoError("the list of frames is empty: give at least one frame")
        self.name = name
        self.kind = kind
        self.frame_names = frame_names
        self.length = len(items)
        self._items = items
        self.decodes = any(isinstance(item, Path) for item in items)
        self.height, self.width = frame_size(items[0], self._label(0))
        for index, item in enumerate(items):
            self._check_size(frame_size(item, self._label(index)), index)
        self._bits = common_bits(items, name)

    def _frame(self, index: int) -> np.ndarray:
        frame = read_frame(self._items[index], self._label(index), bits=self._bits)
        self._check_size(frame.shape[:2], index)
        return frame

    def _label(self, index: int) -> str:
        item = self._items[index]
        return f"frame {index} ({item.name})" if isinstance(item, Path) else f"frame {index}"

    def _check_size(self, size: tuple[int, ...], index: int) -> None:
        check_size(size, (self.height, self.width), self._label(index))


class IteratorReader(Reader):
    """A generator or iterator of arrays, PIL images or paths. It can be read once, forward.

    The first frame is taken at once, to know the size. Exceptions of the iterator go through unchanged.
    """

    name = "frames"
    kind = "iterator, can be read once"
    replayable = False

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        try:
            first = next(self._items)
        except StopIteration:
            raise VideoError("the iterator gives no frames: is it used up already?") from None
        self._first: np.ndarray | None = read_frame(first, "frame 0")
        self.height, self.width = self._first.shape[:2]

    def first(self) -> np.ndarray:
        assert self._first is not None
        return self._first.copy()

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        first, self._first = self._first, None
        return self._convert(chain([first], self._items))

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        raise NotImplementedError("not replayable")

    def count(self) -> int:
        raise NotImplementedError("not replayable")

    def _convert(self, items: Iterable[Any]) -> Iterator[np.ndarray]:
        for index, item in enumerate(items):
            frame = read_frame(item, f"frame {index}")
            check_size(frame.shape[:2], (self.height, self.width), f"frame {index}")
            yield frame


def check_size(size: tuple[int, ...], expected: tuple[int, int], label: str) -> None:
    """Raises VideoError, naming both, unless a frame's (height, width) is that of the frames before."""
    if tuple(size) != expected:
        raise VideoError(
            f"{label} is {size[1]}x{size[0]} pixels (width x height), but frame 0 is "
            f"{expected[1]}x{expected[0]}: all frames of a video need one size, resize or split them"
        )
