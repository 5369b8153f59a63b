"""Cameras and network streams: frames as they arrive, once."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos.decoding import Decoding, Orientation
from vos_zoo.videos.reader import Reader

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "tcp", "rtp")
_TIMEOUT_SECONDS = 10.0


class LiveReader(Reader):
    """What a camera or a stream sends from now on. Takes a first frame at once, to know the size.

    If nothing arrives for ten seconds the video ends, with a VosZooWarning.
    """

    replayable = False

    def __init__(self, decoding: Decoding, name: str, kind: str) -> None:
        self.name = name
        self.kind = f"{kind}, can be read once"
        self._decoding = decoding
        self._pictures = decoding.pictures()
        self._first: Any = next(self._pictures, None)
        if self._first is None:
            decoding.close()
            raise VideoError(f"{name} sends no frames that can be decoded: check the source, then open it again")
        size, orientation = (self._first.height, self._first.width), Orientation.of(self._first)
        decoding.adopt(size, orientation)
        self.height, self.width = orientation.upright_size(size)
        self.fps = decoding.rate

    def frames(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        first, self._first = self._first, None
        return self._convert(chain([first], self._pictures))

    def frames_reversed(self, start: int, stop: int | None, chunk: int) -> Iterator[np.ndarray]:
        raise NotImplementedError("not replayable")

    def count(self) -> int:
        raise NotImplementedError("not replayable")

    def close(self) -> None:
        self._decoding.close()

    def _convert(self, pictures: Iterator[Any]) -> Iterator[np.ndarray]:
        seen = 0
        try:
            for seen, picture in enumerate(pictures, 1):
                yield self._decoding.rgb(picture, seen - 1)
        finally:
            self.close()
        if self._decoding.stopped_by is not None:
            reason = getattr(self._decoding.stopped_by, "strerror", None) or self._decoding.stopped_by
            message = f"{self.name} broke off after {seen} frames ({reason}); these are kept"
            warnings.warn(message, VosZooWarning, stacklevel=2)


def open_camera(number: int, fps: float | None) -> LiveReader:
    """The camera of that number, counted from 0 as the system does, at `fps` frames per second if it can."""
    if number < 0:
        raise VideoError(f"there is no camera {number}: cameras are counted from 0")
    device, system = _device(number)
    options = {"framerate": f"{fps:g}"} if fps else {}
    fix = f"check that it is plugged in, that no other program uses it, and that you may read {device}"
    decoding = _open(device, f"camera {number} ({device})", fix, format=system, options=options)
    return LiveReader(decoding, f"camera {number}", "camera")


def open_stream(url: str) -> LiveReader:
    """A stream by its URL. A password in it shows up neither in names nor in errors."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in STREAM_SCHEMES:
        raise VideoError(
            f"{parts.scheme}:// is not a kind of stream that can be read: use one of {', '.join(STREAM_SCHEMES)}, or the path of a file"
        )
    shown = re.sub(r"//[^/@]*@", "//***@", url)
    options = {"rtsp_transport": "tcp"} if parts.scheme.lower().startswith("rtsp") else {}
    fix = "check the address and the network, and that the address is of a video, not of a web page"
    decoding = _open(url, shown, fix, options=options)
    return LiveReader(decoding, PurePosixPath(parts.path).stem or parts.hostname or "stream", "stream")


def _open(file: str, shown: str, fix: str, **options: Any) -> Decoding:
    from av.error import FFmpegError

    try:
        return Decoding(file, timeout=_TIMEOUT_SECONDS, **options)
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"can't open {shown}: {reason}; {fix}") from None


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
