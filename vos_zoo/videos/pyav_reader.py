"""Video files through PyAV: every format that FFmpeg knows, every frame the right one."""

from __future__ import annotations

import warnings
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.limits import check_picture
from vos_zoo.videos.colours import Tags
from vos_zoo.videos.decoding import Decoding, Orientation, notes_on
from vos_zoo.videos.opening import open_file
from vos_zoo.videos.reader import Moment, Presentation, Reader

if TYPE_CHECKING:
    from av import VideoFrame

# How many frames further back to try when a seek did not land before the frame that is wanted
_STEPS_BACK = (0, 16, 256)
_NOT_GIVEN = -1


@dataclass
class _Index:
    """What a pass from the start has shown: the time stamp and a checksum of each picture."""

    times: array[int] = field(default_factory=lambda: array("q"))
    checksums: array[int] = field(default_factory=lambda: array("L"))
    seekable: bool = True
    complete: bool = False

    def append(self, picture: VideoFrame) -> None:
        if picture.pts is None or (self.times and picture.pts <= self.times[-1]):
            self.seekable = False
        self.times.append(picture.pts or 0)
        self.checksums.append(_checksum(picture))

    def matches(self, number: int, picture: VideoFrame) -> bool:
        return (picture.pts or 0) == self.times[number] and _checksum(picture) == self.checksums[number]


class PyAVReader(Reader):
    """A video file. Each read opens the file anew, so several may go on at once, also in different threads.

    Reading backwards first decodes the file once to note each picture's time stamp and checksum; it then
    seeks, and takes a picture only if both agree. Where no seek lands right it decodes from the start.
    """

    decodes = True

    def __init__(self, path: Path, *, playlists: bool = False) -> None:
        self.name = path.stem
        self._path = path
        self._playlists = playlists
        self._index = _Index()
        self._warning: str | None = None
        self._given = array("q")  # checksums of the pictures as they were last given forwards, or _NOT_GIVEN
        decoding = open_decoding(path, playlists=playlists)
        try:
            first = next(decoding.pictures(), None)
            if first is None:
                raise _unreadable(path, "no frame of it can be decoded; the file is damaged, get a whole copy")
            check_picture(first.height, first.width, str(path), VideoError)
            self._size = (first.height, first.width)
            self.orientation = Orientation.of(first)
            self.height, self.width = self.orientation.upright_size(self._size)
            self.fps = decoding.rate
            self.length = self._claimed = decoding.claimed_frames
            self.kind = f"{decoding.codec_name} in {decoding.container_name.split(',')[0]}, PyAV"
            self.presentation = self._presented(decoding, first)
            notes = notes_on(decoding, first)
        finally:
            decoding.close()
        for note in notes:
            warnings.warn(f"{path.name} {note}", VosZooWarning, stacklevel=5)

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        return (moment.frame for moment in self.moments(start, stop))

    def moments(self, start: int, stop: int | None) -> Iterator[Moment]:
        if start == stop:
            return
        decoding = self._open()
        try:
            seen, end = 0, 0.0
            for number, picture in enumerate(decoding.pictures()):
                seen, end = number + 1, max(end, _end_of(picture, decoding))
                if number >= start:
                    self._note_given(number, picture)
                    yield self._moment(decoding, picture, number)
                if seen == stop:
                    return
            self._finish(decoding, seen, end)
        finally:
            decoding.close()
        self._warn()

    def _note_given(self, number: int, picture: VideoFrame) -> None:
        """A damaged file may decode to other pictures in another pass, even where the decoder tells of no damage."""
        self._given.extend([_NOT_GIVEN] * (number + 1 - len(self._given)))
        self._given[number] = _checksum(picture)

    def _moment(self, decoding: Decoding, picture: Any, number: int) -> Moment:
        frame = decoding.rgb(picture, number)
        if self.presentation.clock is None or picture.pts is None:
            return Moment(frame)
        return Moment(frame, picture.pts * picture.time_base, (picture.duration or 0) * picture.time_base or None)

    def _presented(self, decoding: Decoding, first: VideoFrame) -> Presentation:
        stream = decoding.stream
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
        if not 0 < aspect <= 100:
            aspect = Fraction(1)
        clock = stream.time_base
        if not clock or clock * Fraction(self.fps or 1) > 1:  # its ticks are too long to tell its frames apart, or to be believed
            clock = None
        return Presentation(
            aspect if self.orientation.a else 1 / aspect,
            Tags.of(first),
            clock,
            self._path if decoding.has_sound else None,
        )

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        self._look_through(stop)
        known = len(self._index.times)
        if stop is None or stop > known:
            self._warn()
        stop = known if stop is None else min(stop, known)
        for number in range(start, min(stop, len(self._given))):
            if self._given[number] not in (_NOT_GIVEN, self._index.checksums[number]):
                raise self._unstable(number)
        decoding = self._open()
        try:
            for high in range(stop, start, -chunk):
                frames = self._span(decoding, max(start, high - chunk), high)
                while frames:
                    yield frames.pop()
        finally:
            decoding.close()

    def count(self) -> int:
        if not self.exact_length:
            self._look_through(None)
        assert self.length is not None
        return self.length

    def _open(self) -> Decoding:
        decoding = open_decoding(self._path, playlists=self._playlists)
        decoding.adopt(self._size, self.orientation)
        return decoding

    def _look_through(self, stop: int | None) -> None:
        """Makes the index reach `stop`, or the end of the file."""
        if self._index.complete or (stop is not None and stop <= len(self._index.times)):
            return
        index = _Index()
        decoding = self._open()
        try:
            end = 0.0
            for picture in decoding.pictures():
                index.append(picture)
                end = max(end, _end_of(picture, decoding))
                if len(index.times) == stop:
                    break
            else:
                index.complete = True
                self._finish(decoding, len(index.times), end)
        finally:
            decoding.close()
        self._index = index

    def _span(self, decoding: Decoding, low: int, high: int) -> list[np.ndarray]:
        """The frames low <= i < high, in order."""
        if self._index.seekable:
            for back in _STEPS_BACK:
                frames = self._seek_span(decoding, max(0, low - back), low, high)
                if frames is not None:
                    return frames
        return self._span_from_start(low, high)

    def _span_from_start(self, low: int, high: int) -> list[np.ndarray]:
        """The frames low <= i < high, decoded from the beginning of the file."""
        decoding = self._open()
        frames = []
        try:
            for number, picture in zip(range(high), decoding.pictures(), strict=False):
                if number >= low:
                    if not self._index.matches(number, picture):
                        raise self._unstable(number)
                    frames.append(decoding.rgb(picture, number))
        finally:
            decoding.close()
        return frames

    def _unstable(self, number: int) -> VideoError:
        return VideoError(
            f"{self._path.name} is damaged, and its frame {number} is another one each time it is decoded, so it can't be read backwards: "
            "convert it first, for instance to frames by ffmpeg -i, or read it forwards only"
        )

    def _seek_span(self, decoding: Decoding, target: int, low: int, high: int) -> list[np.ndarray] | None:
        """The frames low <= i < high, sought at `target`; None if that does not give them."""
        from av.error import FFmpegError

        index = self._index
        try:
            decoding.seek(index.times[target])
        except FFmpegError:
            return None
        frames: list[np.ndarray] = []
        for picture in decoding.pictures():
            number = low + len(frames)
            if not frames and picture.pts is not None and picture.pts < index.times[low]:
                continue
            if not index.matches(number, picture):
                return None
            frames.append(decoding.rgb(picture, number))
            if number + 1 == high:
                return frames
        return None

    def _finish(self, decoding: Decoding, seen: int, end: float) -> None:
        """Takes note of the true length, and of what the container promised beyond it."""
        self.length = seen
        self.exact_length = True
        rate = decoding.rate or 1.0
        claimed_end = decoding.claimed_end
        missing = 0.0 if claimed_end is None else claimed_end - decoding.hidden / rate - end
        if not decoding.damaged and missing <= max(0.5, 2 / rate):
            return
        claimed = (self._claimed or 0) - decoding.hidden
        self._warning = (
            f"{self._path.name}: {seen} of about {claimed} frames could be decoded, the file is cut short or "
            "damaged; these are kept, get a whole copy if the rest matters"
            if claimed > seen
            else f"{self._path.name}: {seen} frames could be decoded, but the file is damaged in "
            f"{decoding.damaged} places; look out for broken pictures, or get a whole copy"
        )

    def _warn(self) -> None:
        if self._warning is not None:
            warnings.warn(self._warning, VosZooWarning, stacklevel=4)


def open_decoding(path: Path, *, playlists: bool = False) -> Decoding:
    """The file's video stream, open at its beginning. Raises VideoError, with the reason."""
    from av.error import FFmpegError, PermissionError

    try:
        return Decoding(open_file(path, playlists=playlists))
    except PermissionError as error:
        raise _unreadable(path, "no permission to read it; change its permissions") from error
    except FFmpegError as error:
        raise _unreadable(path, _reason(path, error)) from error
    except VideoError as error:
        raise _unreadable(path, str(error)) from None
    except OSError as error:
        raise _unreadable(path, f"{error.strerror or error}; check the file and its permissions") from error


def _reason(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return "the file is empty (0 bytes); get a whole copy"
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(b"\x93NUMPY"):
        return "it is a numpy array: give numpy.load(path)"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        return "it is an archive: unpack it, and give the folder of frames or the video in it"
    if head[4:8] == b"ftyp":
        return "its index is missing, recording or copying it was interrupted; get a whole copy"
    return f"it is no video, or a damaged one ({getattr(error, 'strerror', None) or error}); check the file"


def _unreadable(path: Path, reason: str) -> VideoError:
    return VideoError(f"can't read {path} as a video: {reason}")


def _end_of(picture: Any, decoding: Decoding) -> float:
    """Second at which a picture ceases to be shown."""
    if picture.pts is None:
        return 0.0
    shown = float(picture.duration * picture.time_base) if picture.duration else 1 / (decoding.rate or 1.0)
    return float(picture.pts * picture.time_base) + shown


def _checksum(picture: Any) -> int:
    """Of the decoded planes as they are, before they become RGB; without the padding at the ends of rows."""
    total = 0
    packed = len(picture.planes) == 1
    bits = picture.format.padded_bits_per_pixel if packed else picture.format.components[0].bits
    pixel_bytes = (bits + 7) // 8
    for plane in picture.planes:
        if not plane.line_size:  # a palette
            total = zlib.crc32(plane, total)
            continue
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        total = zlib.crc32(np.ascontiguousarray(rows[: plane.height, : plane.width * pixel_bytes]).data, total)
    return total
