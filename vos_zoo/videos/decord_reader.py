"""Video files through decord, for those who ask for it, where its frames are known to be right."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.errors import VideoError
from vos_zoo.videos.decoding import UPRIGHT
from vos_zoo.videos.pyav_reader import PyAVReader, open_decoding
from vos_zoo.videos.reader import Reader

if TYPE_CHECKING:
    from decord import VideoReader

# Elsewhere decord gives wrong frames without a word (MPEG-TS), or none at all
_CONTAINERS = ("mov", "matroska")


class DecordReader(Reader):
    """A plain mp4, mov, mkv or webm file.

    The file is looked through with PyAV at opening, without decoding: another container, rotation, an edit
    list, or another number of frames than decord finds is a VideoError, since decord may be wrong then.
    Each read opens a decord reader of its own, because one that two threads share ends the process.
    """

    exact_length = True

    decodes = True

    def __init__(self, path: Path) -> None:
        plain = PyAVReader(path)
        self.name, self.fps = plain.name, plain.fps
        self.height, self.width = plain.height, plain.width
        self.kind = plain.kind.replace("PyAV", "decord")
        self._path = path
        self._checksums: list[int] = []
        if plain.orientation != UPRIGHT:
            raise self._refusal("the file asks for the pictures to be turned")
        packets = self._count_packets()
        reader = self._open()
        self.length = len(reader)
        if self.length != packets:
            raise self._refusal(f"it finds {self.length} frames where the file has {packets}")

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        numbers = range(self.count())[start:stop]
        reader = self._open()
        for number in range(numbers.stop):
            frame = self._next(reader, number)
            if number >= numbers.start:
                yield frame

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        numbers = range(self.count())[start:stop]
        if len(self._checksums) < numbers.stop:
            self._checksums = [zlib.crc32(frame.data) for frame in self.frames(0, numbers.stop)]
        reader = self._open()
        for high in range(numbers.stop, numbers.start, -chunk):
            low = max(numbers.start, high - chunk)
            reader.seek_accurate(low)
            frames = [self._next(reader, number) for number in range(low, high)]
            if [zlib.crc32(frame.data) for frame in frames] != self._checksums[low:high]:
                frames = list(self.frames(low, high))
            while frames:
                yield frames.pop()

    def count(self) -> int:
        assert self.length is not None
        return self.length

    def _open(self) -> Any:
        try:
            import decord
        except (ImportError, OSError) as error:
            raise VideoError(
                "backend='decord' needs decord, which can't be imported: pip install decord "
                "(macOS and Arm: pip install decord2), or leave out the backend"
            ) from error
        try:
            return decord.VideoReader(str(self._path))
        except (decord.DECORDError, RuntimeError) as error:
            raise self._refusal("it can't open the file") from error

    def _count_packets(self) -> int:
        decoding = open_decoding(self._path)
        try:
            container = decoding.container_name.split(",")[0]
            if container not in _CONTAINERS:
                raise self._refusal(f"it is not reliable on {container} files")
            packets = [packet for packet in decoding.packets() if packet.size]
        finally:
            decoding.close()
        if any(packet.is_discard for packet in packets):
            raise self._refusal("the file has an edit list that hides frames, which decord shows")
        return len(packets)

    def _next(self, reader: VideoReader, number: int) -> np.ndarray:
        try:
            frame = _pixels(reader.next())
        except (StopIteration, RuntimeError) as error:
            raise self._refusal(f"it fails at frame {number}") from error
        if frame.shape != (self.height, self.width, 3):
            raise self._refusal(f"it gives frame {number} the shape {frame.shape}")
        return frame

    def _refusal(self, reason: str) -> VideoError:
        return VideoError(
            f"decord can't be trusted with {self._path}: {reason}. Leave out backend='decord' (PyAV reads "
            f"it), or convert it: ffmpeg -i {self._path.name} -c:v libx264 -pix_fmt yuv420p out.mp4"
        )


def _pixels(frame: object) -> np.ndarray:
    """A decord frame as an array, whichever bridge the caller's program has set."""
    return np.array(frame.asnumpy() if hasattr(frame, "asnumpy") else frame)
