"""What every source of frames offers to `Video`. It knows no file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vos_zoo.videos.colours import Tags
from vos_zoo.videos.newest import Newest


class Moment(NamedTuple):
    """A frame and when it is shown."""

    frame: np.ndarray  # (H, W, 3) uint8 RGB
    time: Fraction | None = None  # seconds on the clock of the source; None: at the video's rate
    duration: Fraction | None = None  # seconds; None: until the next one


class Presentation(NamedTuple):
    """How a source asks to be shown, beside its pixels and times."""

    pixel_aspect: Fraction = Fraction(1)  # width of a pixel by its height, as displayed
    tags: Tags = Tags()
    clock: Fraction | None = None  # seconds of a tick of its time stamps
    sound: Path | None = None  # the file that its sound is in


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
    live: bool = False  # it goes on without us, and has no end that is known
    decodes: bool = False  # whether a frame costs work, so that a thread may well fetch it ahead
    presentation: Presentation = Presentation()
    dropped: int = 0  # by `newest` so far

    @abstractmethod
    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Frames start, start + 1, ... before `stop` or the end, read as they are asked for."""

    def moments(self, start: int, stop: int | None) -> Iterator[Moment]:
        """The frames of `frames(start, stop)` with their times, where the source tells them."""
        return (Moment(frame) for frame in self.frames(start, stop))

    def newest(self, keep: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers and frames; of what came while the caller was busy only the newest, and those of `keep`. `dropped` counts the others."""
        with Newest(self.frames(0, None), keep=keep) as newest:
            for item in newest:
                self.dropped = newest.dropped
                yield item
            self.dropped = newest.dropped

    def first(self) -> np.ndarray:
        """Frame 0, before any other is read; `frames` gives it again."""
        return next(self.frames(0, 1))

    @abstractmethod
    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        """The frames of `frames(start, stop)`, last first, bit for bit; holds at most `chunk` of them."""

    @abstractmethod
    def count(self) -> int:
        """How many frames `frames(0, None)` gives."""

    def close(self) -> None:
        """Gives back what is held open between reads."""
        return None
