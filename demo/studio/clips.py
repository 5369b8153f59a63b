"""A visitor's clip: checked when it comes in, and its frames one at a time."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vos_zoo
from studio.limits import Limits

USUAL_FPS = 25.0  # of a clip that does not say


@dataclass(frozen=True)
class Clip:
    path: str
    height: int
    width: int
    fps: float
    frames: int  # that are used; an estimate until the clip was read to its end
    cut: bool  # whether it goes on after them

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def megapixels(self) -> float:
        return self.height * self.width / 1e6

    def ending_at(self, frames: int) -> Clip:
        return replace(self, frames=frames, cut=False)


def open_clip(path: str | os.PathLike[str], limits: Limits) -> Clip:
    """Looks at a file and decodes its first frame. VideoError, in words for a visitor, if it is no video or too large."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise vos_zoo.VideoError(f"this clip is gone: files are deleted after {limits.keep // 60} minutes. Upload it again")
    if os.path.getsize(path) > limits.megabytes * 1_000_000:
        raise vos_zoo.VideoError(
            f"{Path(path).name} has {os.path.getsize(path) / 1e6:.0f} MB, more than the {limits.megabytes} that this page takes: "
            "cut it shorter or save it smaller"
        )
    wanted = f"more than the {limits.side} a side that this page takes: save it smaller"
    refuse_giants(path, Path(path).name, limits.side, vos_zoo.VideoError, wanted)
    with told_by_name(path), vos_zoo.open_video(path) as video:
        if max(video.height, video.width) > limits.side:
            raise vos_zoo.VideoError(f"{Path(path).name} is {video.width} x {video.height} pixels, {wanted}")
        if next(iter(video), None) is None:
            raise vos_zoo.VideoError(f"{Path(path).name} has no picture in it: look whether the file is complete")
        length = video.length
        if length is None or length < 1:
            length = sum(1 for _ in islice(video, limits.frames + 1))
        return Clip(path, video.height, video.width, video.fps or USUAL_FPS, min(length, limits.frames), length > limits.frames)


def refuse_giants(source: Any, name: str, most: int, error: type[vos_zoo.VosZooError], wanted: str) -> None:
    """Raises `error` if the header of an image file claims more than so many pixels a side, before anything of it is decoded.

    What is no image is for others to look at.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                width, height = image.size
    except Image.DecompressionBombError as bomb:
        raise error(f"{name} is an image of far too many pixels, {wanted}") from bomb
    except Exception:  # headers that can't be read raise all kinds; whoever decodes the file says what is wrong
        return
    if max(width, height) > most:
        raise error(f"{name} is {width} x {height} pixels, {wanted}")


@contextlib.contextmanager
def told_by_name(path: str) -> Iterator[None]:
    """Messages name the visitor's file, not the folder in which the server keeps it."""
    try:
        yield
    except vos_zoo.VosZooError as error:
        plain = str(error).replace(os.path.join(os.path.dirname(path), ""), "")
        raise type(error)(plain) from error


class Scrubber:
    """Single frames of one clip. Going forward decodes on from the last one; going back starts over."""

    def __init__(self, clip: Clip):
        self.clip = clip
        self._lock = threading.Lock()
        self._rest: Iterator[np.ndarray] = iter(())
        self._at = -1
        self._frame: np.ndarray | None = None

    def frame(self, index: int) -> tuple[int, np.ndarray]:
        """Frame `index`, or the last one if the clip ends before; with its number."""
        index = min(max(index, 0), self.clip.frames - 1)
        with self._lock, told_by_name(self.clip.path):
            if self._frame is None or index < self._at:
                self._rest, self._at, self._frame = iter(vos_zoo.open_video(self.clip.path)), -1, None
            while self._at < index and (frame := next(self._rest, None)) is not None:
                self._at, self._frame = self._at + 1, frame
            if self._frame is None:
                raise vos_zoo.VideoError(f"{self.clip.name} has no picture in it: look whether the file is complete")
            if self._at < index:
                self.clip = self.clip.ending_at(self._at + 1)
            return self._at, self._frame

    def close(self) -> None:
        with self._lock:
            self._rest, self._at, self._frame = iter(()), -1, None
