"""The door for videos: whatever the source, out come RGB frames, one after the other, in flat memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import VideoError
from vos_zoo.videos.frames import ArrayReader, IteratorReader, ListReader, open_folder
from vos_zoo.videos.images import IMAGE_SUFFIXES
from vos_zoo.videos.reader import Reader

BACKENDS = ("auto", "pyav", "decord")


class Video:
    """A video of frames (height, width, 3) uint8 RGB, numbered from 0. Made by `open_video`.

    name            file stem, folder name, "array", "frames", "camera 0", ...
    height, width   pixels of every frame, as displayed: rotation and EXIF orientation are applied
    fps             average frames per second; None when unknown
    length          number of frames; None when unknown. Files claim one: an estimate until `exact_length`
    exact_length    whether `length` is exact: always for arrays, lists and folders; for files once they
                    were read to the end or counted
    frame_names     names of the image files without suffix, for folders; else None
    decodes         whether frames are decoded as they are read (files, folders), not there already
    replayable      False for iterators, cameras and streams, which can be iterated once, forward

    Frames are read when they are asked for and belong to the caller. Every iteration of a replayable video is
    independent of the others; use one iterator per thread.
    """

    def __init__(self, reader: Reader, fps: float | None = None) -> None:
        self._reader = reader
        self._fps = fps
        self._used = False
        self._closed = False

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def height(self) -> int:
        return self._reader.height

    @property
    def width(self) -> int:
        return self._reader.width

    @property
    def fps(self) -> float | None:
        return self._reader.fps if self._fps is None else self._fps

    @property
    def length(self) -> int | None:
        return self._reader.length

    @property
    def exact_length(self) -> bool:
        return self._reader.exact_length

    @property
    def frame_names(self) -> list[str] | None:
        return self._reader.frame_names

    @property
    def replayable(self) -> bool:
        return self._reader.replayable

    @property
    def decodes(self) -> bool:
        return self._reader.decodes

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames 0, 1, 2, ... to the end.

        A file that ends early gives what can be decoded, then a VosZooWarning with the count.
        Raises VideoError if the video is closed, or was iterated before and is not replayable; during
        iteration, if the size of the frames changes or an image can't be read.
        """
        self._check_open()
        if not self.replayable:
            if self._used:
                raise VideoError(f"{self.name} can be read only once: open it again, or give a list or a file")
            self._used = True
        return self._reader.frames(0, None)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Frames start <= i < stop; to the end if `stop` is None or beyond it. Errors as for iteration.

        Of a file, the frames before `start` are decoded and dropped.
        """
        self._check_range(start, stop)
        return self._reader.frames(start, stop)

    def read_reversed(self, start: int = 0, stop: int | None = None, chunk: int = 32) -> Iterator[np.ndarray]:
        """The frames of `read(start, stop)`, bit for bit, last first; at most `chunk` are held at once.

        Files are decoded twice, and from a key frame for every chunk: a larger chunk is faster. Where a file
        can't be sought it is decoded from the start for every chunk.
        """
        self._check_range(start, stop)
        if chunk < 1:
            raise VideoError(f"chunk must be at least 1 frame, not {chunk}")
        return self._reader.frames_reversed(start, stop, chunk)

    def count(self) -> int:
        """The exact number of frames that iteration gives. A file is decoded for it, once."""
        self._check_range(0, None)
        return self._reader.count()

    def close(self) -> None:
        """Lets go of a camera or stream. No further reading."""
        self._closed = True
        self._reader.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        rate = "fps unknown" if self.fps is None else f"{self.fps:.4g} fps"
        about = "" if self.exact_length else "about "
        frames = "length unknown" if self.length is None else f"{about}{self.length} frames"
        closed = ", closed" if self._closed else ""
        size, kind = f"{self.width}x{self.height}", self._reader.kind
        return f"<Video {self.name!r}: {size}, {rate}, {frames}, {kind}{closed}>"

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self.name} is closed: open it again with open_video")

    def _check_range(self, start: int, stop: int | None) -> None:
        self._check_open()
        if not self.replayable:
            raise VideoError(f"{self.name} can be read only once, forward: save it as a file, or give a list, to go back")
        if start < 0 or (stop is not None and stop < start):
            raise VideoError(f"frames {start} to {stop} are no range: 0 <= start <= stop is needed")


def open_video(source: Any, *, backend: str = "auto", fps: float | None = None) -> Video:
    """Opens a video, and checks all that can be checked without decoding the whole of it.

    source    path of a video file (mp4, mov, mkv, webm, avi, gif, ts, ...) or of a folder of images
              (natural order: img2 before img10); array or tensor (T, H, W, 3) uint8; list, generator or
              other iterable of (H, W, 3) uint8 arrays, PIL images or paths of images; camera number; stream
              URL (rtsp://, http://, ...); or a Video, which is returned as it is
    backend   for files: "auto" (PyAV, right on all of them), "pyav", or "decord" for plain mp4, mov, mkv
              and webm
    fps       frames per second to go by, instead of what the source says or where it says nothing; frames
              are neither dropped nor repeated. Cameras are asked to deliver it

    Raises VideoError, saying what to do, if the source is missing, empty, no video, only sound, of mixed
    sizes, not uint8, channels first, or of a kind that can't be read.
    """
    if backend not in BACKENDS:
        guess = get_close_matches(str(backend), BACKENDS, 1)
        hint = f"did you mean {guess[0]!r}?" if guess else f"use one of {', '.join(BACKENDS)}"
        raise VideoError(f"there is no backend {backend!r}: {hint}")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"fps must be a positive number, not {fps!r}")
    if isinstance(source, Video):
        return source
    return Video(_reader(source, backend, fps), fps)


def _reader(source: Any, backend: str, fps: float | None) -> Reader:
    if isinstance(source, bool):
        raise VideoError(f"{source} is no video: give a path, frames, a camera number or a stream URL")
    if isinstance(source, (int, np.integer)):
        from vos_zoo.videos.live import open_camera

        return open_camera(int(source), fps)
    if isinstance(source, str) and "://" in source:
        from vos_zoo.videos.live import open_stream

        return open_stream(source)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source).expanduser(), backend)
    if isinstance(source, Image.Image):
        raise VideoError("one PIL image is no video: give a list of them, [image] for a video of one frame")
    if isinstance(source, (bytes, bytearray)) or hasattr(source, "read"):
        kind = type(source).__name__
        raise VideoError(f"a {kind} can't be read as a video: save it as a file, give the path")
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return ArrayReader(source)
    if isinstance(source, Sequence):
        return ListReader([Path(item) if isinstance(item, str) else item for item in source])
    if isinstance(source, Iterable) and not isinstance(source, (dict, set, frozenset)):
        return IteratorReader(source)
    raise VideoError(
        f"a {type(source).__name__} is no video: give a path, a (T, H, W, 3) uint8 array, a list or a "
        "generator of frames, a camera number or a stream URL"
    )


def _open_path(path: Path, backend: str) -> Reader:
    if path.is_dir():
        return open_folder(path)
    if not path.exists():
        raise VideoError(f"there is no file or folder {str(path)!r}{_hint(path)}")
    if not path.is_file():
        raise VideoError(f"{path} is neither a file nor a folder: give a video file or a folder of images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise VideoError(f"{path} is a single image: give the folder of the frames ({path.parent}), or a list of paths")
    if backend == "decord":
        from vos_zoo.videos.decord_reader import DecordReader

        return DecordReader(path)
    from vos_zoo.videos.pyav_reader import PyAVReader

    return PyAVReader(path)


def _hint(path: Path) -> str:
    if not path.parent.is_dir():
        return f": {str(path.parent)!r} does not exist either, looked from {Path.cwd()}"
    guess = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], 1)
    return f": did you mean {str(path.parent / guess[0])!r}?" if guess else f": looked from {Path.cwd()}"
