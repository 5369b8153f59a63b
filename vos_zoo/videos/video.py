"""The door for videos: whatever the source, out come RGB frames, one after the other, in flat memory."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.shown import shown
from vos_zoo.system.values import as_number, flag, whole
from vos_zoo.videos.folder import open_folder
from vos_zoo.videos.frames import ArrayReader, IteratorReader, ListReader
from vos_zoo.videos.images import IMAGE_SUFFIXES
from vos_zoo.videos.opening import BACKENDS, path_of
from vos_zoo.videos.pages import open_pages
from vos_zoo.videos.reader import Moment, Presentation, Reader

if TYPE_CHECKING:
    from vos_zoo.videos.source import VideoSource

_MOST_FRAMES = 2**40  # no video has more
_HELD = 1 << 28  # bytes of frames that are held at once when they are read backwards


class Video:
    """A video of frames (height, width, 3) uint8 RGB, numbered from 0. Made by `open_video`.

    Frames are read when they are asked for and belong to the caller. Every iteration of a replayable video is
    independent of the others; use one iterator per thread.

    Attributes:
        name: File stem, folder name, "array", "frames", "camera 0", ...
        height: Of every frame, in pixels, as displayed: rotation and EXIF orientation are applied.
        width: Likewise.
        fps: Average frames per second; None when unknown.
        length: Number of frames; None when unknown. Files claim one: an estimate until `exact_length`.
        exact_length: Whether `length` is exact: always for arrays, lists and folders; for files once they were read to the end or counted.
        frame_names: Names of the image files without suffix, for folders; else None.
        decodes: Whether frames are decoded as they are read (files, folders), not there already.
        replayable: False for iterators, cameras and streams, which can be iterated once, forward.

    Example:
        >>> import vos_zoo
        >>> with vos_zoo.open_video("frames") as video:
        ...     print(video.width, video.height, video.length, video.frame_names[0])
        ...     middle = next(video.read(4, 5))
        160 96 8 00000
        >>> middle.shape
        (96, 160, 3)
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
    def live(self) -> bool:
        """Whether it goes on without us and has no end that is known: a camera, an endless stream."""
        return self._reader.live

    @property
    def presentation(self) -> Presentation:
        """How the source asks to be shown: pixel aspect ratio, colour tags, clock and sound; with `fps=` without the last two."""
        given = self._reader.presentation
        return given if self._fps is None else given._replace(clock=None, sound=None)

    @property
    def decodes(self) -> bool:
        return self._reader.decodes

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames 0, 1, 2, ... to the end.

        A file that ends early gives what can be decoded, then a VosZooWarning with the count.
        Raises VideoError if the video is closed, or was iterated before and is not replayable; during
        iteration, if the size of the frames changes or an image can't be read.
        """
        self._begin()
        return self._reader.frames(0, None)

    def moments(self) -> Iterator[Moment]:
        """The frames of iteration, each with the time at which it is shown, where the source tells (files, animated images).

        Example:
            >>> import vos_zoo
            >>> [str(moment.time) for moment in vos_zoo.open_video("video.mp4").moments()][:1]
            ['0']
        """
        self._begin()
        if self._fps is not None:  # the caller knows better
            return (Moment(frame) for frame in self._reader.frames(0, None))
        return self._reader.moments(0, None)

    def newest(self, keep: Collection[int] = ()) -> Iterator[tuple[int, np.ndarray]]:
        """(number, frame) of a live source; of the frames that come while the caller is busy only the newest.

        Numbers count all frames that came, so that a gap shows how many were left out. One VosZooWarning says so at the first, another at
        the end how many.

        Args:
            keep: numbers of frames that are not to be left out.

        Raises:
            VideoError: at the call if the video is closed or was read already, or is no live source: a file waits.
        """
        if self.replayable:
            raise VideoError(
                f"{self.name} waits until its frames are wanted, so none is late: leave out drop='late', or give a live source"
            )
        self._begin()
        return self._newest(keep)

    def _newest(self, keep: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        number, told = -1, False
        try:
            for number, frame in self._reader.newest(keep):
                if self._reader.dropped and not told:
                    told = True
                    message = (
                        f"{self.name} is faster than the work on its frames: those that come meanwhile are left out (drop=None keeps all, "
                        "later and later)"
                    )
                    warnings.warn(message, VosZooWarning, stacklevel=2)
                yield number, frame
        finally:
            if dropped := self._reader.dropped:
                message = f"{self.name}: {dropped} of the {number + 1} frames that came were left out, since they came too fast"
                warnings.warn(message, VosZooWarning, stacklevel=2)

    def first(self) -> np.ndarray:
        """Frame 0, which a video that can be read only once still gives afterwards.

        Raises:
            VideoError: the video is closed, or was read on already.
        """
        self._check_open()
        if not self.replayable and self._used:
            raise VideoError(f"{self.name} can be read only once, and its first frame is past: open it again, or give a list or a file")
        return self._reader.first()

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Frames start <= i < stop; to the end if `stop` is None or beyond it. Errors as for iteration.

        Of a file, the frames before `start` are decoded and dropped.
        """
        start, stop = self._checked_range(start, stop)
        return self._reader.frames(start, stop)

    def read_reversed(self, start: int = 0, stop: int | None = None, chunk: int = 32) -> Iterator[np.ndarray]:
        """The frames of `read(start, stop)`, bit for bit, last first; at most `chunk` are held at once, and fewer where they are large.

        Files are decoded twice, and from a key frame for every chunk: a larger chunk is faster. Where a file
        can't be sought it is decoded from the start for every chunk.
        """
        start, stop = self._checked_range(start, stop)
        if not as_number(chunk) >= 1:
            raise VideoError(f"chunk must be at least 1 frame, not {shown(chunk)}")
        chunk = whole(chunk, "chunk", 1, 2**62, VideoError)
        fitting = max(1, _HELD // (3 * self.height * self.width))
        return self._reader.frames_reversed(start, stop, min(chunk, fitting))

    def count(self) -> int:
        """The exact number of frames that iteration gives. A file is decoded for it, once."""
        self._checked_range(0, None)
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

    def _begin(self) -> None:
        self._check_open()
        if not self.replayable:
            if self._used:
                raise VideoError(f"{self.name} can be read only once: open it again, or give a list or a file")
            self._used = True

    def _checked_range(self, start: int, stop: int | None) -> tuple[int, int | None]:
        self._check_open()
        if not self.replayable:
            raise VideoError(f"{self.name} can be read only once, forward: save it as a file, or give a list, to go back")
        numbers = all(as_number(each) == as_number(each) for each in (start, 0 if stop is None else stop))
        if not numbers or start < 0 or (stop is not None and stop < start):
            raise VideoError(f"frames {shown(start)} to {shown(stop)} are no range: 0 <= start <= stop is needed")
        first = whole(start, "the first frame", 0, _MOST_FRAMES, VideoError)
        return first, None if stop is None else min(whole(stop, "the frame to stop at", 0, 2**62, VideoError), _MOST_FRAMES)


def open_video(source: VideoSource, *, backend: str = "auto", fps: float | None = None, playlists: bool = False) -> Video:
    """Opens a video, and checks all that can be checked without decoding the whole of it.

    Args:
        source: path or file:// address of a video file (mp4, mov, mkv, webm, avi, gif, ts, ...), of an animated WebP or PNG, of a TIFF
            of several pages, or of a folder of images (natural order: img2 before img10); array or tensor (T, H, W, 3) uint8; list,
            generator or other iterable of (H, W, 3) uint8 arrays, PIL images or paths of images; camera number; stream URL (rtsp://,
            http://, ...); or a Video, which is returned as it is.
        backend: for files: "auto" (PyAV, right on all of them), "pyav", or "decord" for plain mp4, mov, mkv and webm.
        fps: frames per second to go by, instead of what the source says or where it says nothing; frames are neither dropped nor
            repeated. Cameras are asked to deliver it.
        playlists: whether a file that leads to others (HLS .m3u8, DASH, SDP, FFmpeg's concat) is followed, also over the network. Only
            for files that you trust.

    Returns:
        A Video: frames (H, W, 3) uint8 RGB, upright, BT.709 or BT.601 by tag, HDR tone-mapped to SDR. See docs/formats.md.

    Raises:
        VideoError: the source is missing, empty, no video, only sound, of mixed sizes, not uint8, channels first, larger than
            `vos_zoo.system.limits` allows, or of a kind that can't be read. It says what to do.

    Warns:
        VosZooWarning: something was done to the frames that is worth knowing (HDR, depths over 8 bits), or files of a folder are no part
            of it (dead links, gaps in the numbers, an order in doubt).

    Example:
        >>> import vos_zoo
        >>> video = vos_zoo.open_video("video.mp4")
        >>> for frame in video:
        ...     assert frame.shape == (96, 160, 3)
        >>> video.count()
        8
    """
    if not isinstance(backend, str) or backend not in BACKENDS:
        guess = get_close_matches(str(backend)[:80], BACKENDS, 1)
        hint = f"did you mean {guess[0]!r}?" if guess else f"use one of {', '.join(BACKENDS)}"
        raise VideoError(f"there is no backend {shown(backend)}: {hint}")
    if fps is not None and not (math.isfinite(number := as_number(fps)) and number > 0):
        raise VideoError(f"fps must be a positive number, not {shown(fps)}")
    playlists = flag(playlists, "playlists", VideoError)
    if isinstance(source, Video):
        return source
    return Video(_reader(source, backend, fps, playlists), fps)


def _reader(source: object, backend: str, fps: float | None, playlists: bool) -> Reader:
    if isinstance(source, bool):
        raise VideoError(f"{source} is no video: give a path, frames, a camera number or a stream URL")
    if isinstance(source, (int, np.integer)):
        from vos_zoo.videos.live import open_camera

        return open_camera(int(source), fps)
    if isinstance(source, (str, os.PathLike)):
        path = path_of(os.fsdecode(source))
        if path is not None:
            return _open_path(path, backend, playlists)
        from vos_zoo.videos.live import open_stream

        return open_stream(os.fsdecode(source))
    if isinstance(source, Image.Image):
        raise VideoError("one PIL image is no video: give a list of them, [image] for a video of one frame")
    if isinstance(source, (bytes, bytearray)) or hasattr(source, "read"):
        kind = type(source).__name__
        raise VideoError(f"a {kind} can't be read as a video: save it as a file, give the path")
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return ArrayReader(source)
    if isinstance(source, Sequence):
        return ListReader([path_of(item) or Path(item) if isinstance(item, str) else item for item in source])
    if isinstance(source, Iterable) and not isinstance(source, (dict, set, frozenset)):
        return IteratorReader(source)
    raise VideoError(
        f"a {type(source).__name__} is no video: give a path, a (T, H, W, 3) uint8 array, a list or a "
        "generator of frames, a camera number or a stream URL"
    )


def _open_path(path: Path, backend: str, playlists: bool) -> Reader:
    try:
        if path.is_dir():
            return open_folder(path)
        if not path.exists():
            raise VideoError(f"there is no file or folder {str(path)!r}{_hint(path)}")
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{str(path)[:200]!r} can't be the path of a video: {getattr(error, 'strerror', None) or error}") from error
    if not path.is_file():
        raise VideoError(f"{path} is neither a file nor a folder: give a video file or a folder of images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_pages(path)
    if backend == "decord":
        from vos_zoo.videos.decord_reader import DecordReader

        return DecordReader(path)
    from vos_zoo.videos.pyav_reader import PyAVReader

    return PyAVReader(path, playlists=playlists)


def _hint(path: Path) -> str:
    if path.is_symlink():
        return f": it is a link to {os.readlink(path)!r}, which is not there; mend or remove the link"
    if not path.parent.is_dir():
        return f": {str(path.parent)!r} does not exist either, looked from {Path.cwd()}"
    guess = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir() if entry.exists()], 1)
    return f": did you mean {str(path.parent / guess[0])!r}?" if guess else f": looked from {Path.cwd()}"
