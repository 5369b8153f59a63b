"""Cameras and network streams: frames as they arrive, once."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.system.limits import check_picture
from vos_zoo.videos.decoding import Decoding, Orientation, notes_on
from vos_zoo.videos.newest import Newest
from vos_zoo.videos.opening import STREAM_SCHEMES, open_address
from vos_zoo.videos.reader import Reader

if TYPE_CHECKING:
    from av import VideoFrame

_TIMEOUT_SECONDS = 10.0


class LiveReader(Reader):
    """What a camera or a stream sends from now on. Takes a first frame at once, to know the size.

    A source that sends nothing for ten seconds has stalled: the video ends, with a VosZooWarning that says so; as does one that is cut off.
    """

    replayable = False

    def __init__(self, decoding: Decoding, name: str, kind: str) -> None:
        self.name = name
        self.kind = f"{kind}, can be read once"
        self._decoding = decoding
        self._pictures = decoding.pictures()
        self._first: Any = next(self._pictures, None)
        self._in_use = False
        if self._first is None:
            stalled = decoding.stopped_by is not None and _stalled(decoding.stopped_by)
            decoding.close()
            why = f"stalled: nothing came for {_TIMEOUT_SECONDS:g} seconds" if stalled else "sends no frames that can be decoded"
            raise VideoError(f"{name} {why}; check the source, then open it again")
        check_picture(self._first.height, self._first.width, name, VideoError)
        size, orientation = (self._first.height, self._first.width), Orientation.of(self._first)
        decoding.adopt(size, orientation)
        self.height, self.width = orientation.upright_size(size)
        self.fps = decoding.rate
        for note in notes_on(decoding, self._first):
            warnings.warn(f"{name} {note}", VosZooWarning, stacklevel=4)
        self.live = kind == "camera" or decoding.claimed_end is None

    def first(self) -> np.ndarray:
        return self._decoding.rgb(self._first, 0)

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        for number, picture in enumerate(self._all()):
            yield self._decoding.rgb(picture, number)

    def newest(self, keep: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        with Newest(self._all(), keep=keep, due=lambda picture: picture.time) as newest:
            for number, picture in newest:
                self.dropped = newest.dropped
                yield number, self._decoding.rgb(picture, number)
            self.dropped = newest.dropped

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        raise NotImplementedError("not replayable")

    def count(self) -> int:
        raise NotImplementedError("not replayable")

    def close(self) -> None:
        if not self._in_use:  # else by who reads, which may be a thread
            self._decoding.close()

    def _all(self) -> Iterator[Any]:
        """All pictures; then a warning if that was not the end. Closes the source."""
        first, self._first = self._first, None
        seen, last, decoding = 0, first, self._decoding
        self._in_use = True
        try:
            for seen, last in enumerate(chain([first], self._pictures), 1):  # noqa: B007
                yield last
            if why := self._broken_off(last):
                warnings.warn(f"{self.name} {why} after {seen} frames; these are kept", VosZooWarning, stacklevel=3)
        finally:
            self._in_use = False
            decoding.close()

    def _broken_off(self, last: VideoFrame) -> str:
        decoding = self._decoding
        if decoding.stopped_by is not None:
            if _stalled(decoding.stopped_by):
                return f"stalled (nothing came for {_TIMEOUT_SECONDS:g} seconds)"
            return f"broke off ({getattr(decoding.stopped_by, 'strerror', None) or decoding.stopped_by})"
        end = decoding.claimed_end
        if end is not None and last.time is not None and last.time < end - max(0.5, 2 / (decoding.rate or 1)):
            return f"was cut off at second {last.time:.1f} of {end:.1f}"
        return "was cut off amid a frame" if decoding.cut_off else ""


def _stalled(error: Exception) -> bool:
    import av

    return isinstance(error, (av.error.ExitError, TimeoutError))


def open_camera(number: int, fps: float | None) -> LiveReader:
    """The camera of that number, counted from 0 as the system does, at `fps` frames per second if it can."""
    if number < 0:
        raise VideoError(f"there is no camera {number}: cameras are counted from 0")
    device, system = _device(number)
    options = {"framerate": f"{fps:g}"} if fps else {}
    fix = f"check that it is plugged in, that no other program uses it, and that you may read {device}"
    import av

    try:
        decoding = Decoding(av.open(device, "r", format=system, options=options, timeout=_TIMEOUT_SECONDS, metadata_errors="replace"))
    except (av.error.FFmpegError, ValueError) as error:
        raise _refusal(f"camera {number} ({device})", error, fix) from None
    return LiveReader(decoding, f"camera {number}", "camera")


def open_stream(url: str) -> LiveReader:
    """A stream by its URL. A password in it shows up neither in names nor in errors."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise VideoError(f"{url[:80]!r} is no address ({error}): write it out, as in rtsp://camera:554/stream") from None
    if parts.scheme.lower() not in STREAM_SCHEMES:
        raise VideoError(
            f"{parts.scheme}:// is not a kind of stream that can be read: use one of {', '.join(STREAM_SCHEMES)}, or the path of a file"
        )
    shown = re.sub(r"//[^/@]*@", "//***@", url)
    options = {"rtsp_transport": "tcp"} if parts.scheme.lower().startswith("rtsp") else {}
    fix = "check the address and the network, and that the address is of a video, not of a web page"
    from av.error import FFmpegError

    try:
        decoding = Decoding(open_address(url, timeout=_TIMEOUT_SECONDS, options=options))
    except (FFmpegError, ValueError) as error:
        raise _refusal(shown, error, fix) from None
    return LiveReader(decoding, PurePosixPath(parts.path).stem or parts.hostname or "stream", "stream")


def _refusal(shown: str, error: Exception, fix: str) -> VideoError:
    reason = getattr(error, "strerror", None) or str(error)
    if _stalled(error):
        reason = f"stalled, nothing came for {_TIMEOUT_SECONDS:g} seconds"
    return VideoError(f"can't open {shown}: {reason}; {fix}")


def _device(number: int) -> tuple[str, str]:
    """What PyAV opens for a camera, and the name of the system that has it."""
    if sys.platform == "darwin":
        return f"{number}:none", "avfoundation"
    if sys.platform != "win32":
        return f"/dev/video{number}", "v4l2"
    import av

    if not hasattr(av, "enumerate_input_devices"):
        raise VideoError("cameras on Windows need a newer PyAV: pip install --upgrade av")
    cameras = [device for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if number >= len(cameras):
        raise VideoError(f"there is no camera {number}, {len(cameras)} found: plug it in, and allow programs to use it")
    return f"video={cameras[number].name}", "dshow"
