"""What every source of frames offers to `Video`. It knows no file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np


class Reader(ABC):
    """Frames are (height, width, 3) uint8 RGB, numbered from 0. Arguments arrive checked: 0 <= start <= stop.

    A reader never gives a wrong frame: where it can't tell what a frame should be, it stops or raises.
    """

    name: str
    kind: str  # what it reads and how, a phrase for people
    height: int
    width: int
    fps: float | None = None
    length: int | None = None
    exact_length: bool = False
    frame_names: list[str] | None = None
    replayable: bool = True
    decodes: bool = False  # whether a frame costs work, so that a thread may well fetch it ahead

    @abstractmethod
    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Frames start, start + 1, ... before `stop` or the end, read as they are asked for."""

    @abstractmethod
    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        """The frames of `frames(start, stop)`, last first, bit for bit; holds at most `chunk` of them."""

    @abstractmethod
    def count(self) -> int:
        """How many frames `frames(0, None)` gives."""

    def close(self) -> None:
        """Gives back what is held open between reads."""
        return None
