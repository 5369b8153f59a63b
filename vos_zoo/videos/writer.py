"""VideoWriter: frames in, a video that browsers play out. It knows frames and files, no masks, no models."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from vos_zoo.errors import SaveError, VideoError
from vos_zoo.system.atomic import AtomicPath

# codec -> (best, worst) constant rate factor, and further options
_CODECS: Mapping[str, tuple[tuple[int, int], dict[str, str]]] = MappingProxyType(
    {
        "libx264": ((0, 51), {"preset": "veryfast"}),
        "libx265": ((0, 51), {"preset": "veryfast", "x265-params": "log-level=error"}),
        "libvpx-vp9": ((0, 63), {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0"}),
    }
)
_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
_BT709 = 1  # the numbers of ITU-T H.273
_SMPTE170M = 6
_LIMITED_RANGE = 1
_HD_HEIGHT = 720


class VideoWriter:
    """Encodes frames to `path`, in flat memory. The file appears under its name only when `close()` succeeds.

    path      .mp4, .mov, .m4v, .mkv, .avi (libx264 or libx265), .webm (libvpx-vp9)
    fps       frames per second, > 0
    size      (height, width) of every frame, in pixels; odd sizes are padded to even by repeating the edge
    codec     libx264, libx265 or libvpx-vp9
    quality   constant rate factor: 0 is best, 51 (VP9: 63) is worst, 18 to 28 is usual

    Colours are written as BT.709 from 720 lines up and as BT.601 below, and tagged so; 8 bits, 4:2:0.
    Used as a context manager it closes on success and aborts when the block raises.

    Raises SaveError (no permission, disk full, a suffix or codec that can't be written) and VideoError (wrong
    fps, size or frame).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | Fraction,
        size: tuple[int, int],
        codec: str = "libx264",
        quality: int = 20,
    ) -> None:
        self._target: AtomicPath | None = None
        self._container: Any = None
        suffix = Path(path).suffix.lower()
        if suffix not in _SUFFIXES:
            raise SaveError(f"can't write a video as {Path(path).name!r}: use one of {', '.join(_SUFFIXES)}")
        if codec not in _CODECS:
            raise SaveError(f"codec {codec!r} is not one that is written here: use {', '.join(_CODECS)}")
        if (suffix == ".webm") != (codec == "libvpx-vp9"):
            fix = "codec='libvpx-vp9'" if suffix == ".webm" else "codec='libx264', or a path that ends in .webm"
            raise SaveError(f"{suffix} files are not written with {codec}: use {fix}")
        (best, worst), options = _CODECS[codec]
        if not best <= quality <= worst:
            raise SaveError(f"quality {quality} is out of range: {codec} takes {best} (best) to {worst}")
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise VideoError(f"fps must be a positive number up to 1000, not {fps!r}")
        height, width = size
        if height < 1 or width < 1:
            raise VideoError(f"size must be (height, width) in pixels, both at least 1, not {size!r}")

        self.path = Path(path)
        self.size = (int(height), int(width))
        self.frames_written = 0
        rate = Fraction(fps).limit_denominator(1001)
        self._target = AtomicPath(path)
        try:
            self._open(codec, rate, {**options, "crf": str(int(quality))})
        except BaseException as error:
            self._fail(error)
            raise

    def _open(self, codec: str, rate: Fraction, options: dict[str, str]) -> None:
        import av
        from av.video.reformatter import Colorspace, VideoReformatter

        assert self._target is not None
        if codec not in av.codecs_available:
            raise SaveError(f"this PyAV has no {codec} encoder: pip install --upgrade av, or use another codec")
        height, width = self.size
        mp4_like = self.path.suffix.lower() in (".mp4", ".mov", ".m4v")
        self._container = av.open(
            str(self._target.temporary),
            "w",
            container_options={"movflags": "+faststart"} if mp4_like else {},
        )
        stream: Any = self._container.add_stream(codec, rate=rate, options=options)
        stream.width = width + width % 2
        stream.height = height + height % 2
        stream.pix_fmt = "yuv420p"
        high_definition = height >= _HD_HEIGHT
        context = stream.codec_context
        context.colorspace = _BT709 if high_definition else _SMPTE170M
        context.color_range = _LIMITED_RANGE
        context.color_primaries = _BT709
        context.color_trc = _BT709
        if codec == "libx265" and mp4_like:
            context.codec_tag = "hvc1"
        self._stream = stream
        self._colorspace = Colorspace.ITU709 if high_definition else Colorspace.ITU601
        self._reformatter = VideoReformatter()

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame, (H, W, 3) uint8 RGB of the writer's size.

        Raises VideoError for any other array and for a closed writer; SaveError when the disk is full.
        """
        import av

        if self._container is None:
            raise VideoError(f"the writer of {self.path} is closed: open a new one")
        frame = np.asarray(frame)
        if frame.shape != (*self.size, 3) or frame.dtype != np.uint8:
            raise VideoError(
                f"frame {self.frames_written} is {frame.dtype} of shape {frame.shape}; this writer takes "
                f"uint8 of shape {(*self.size, 3)}: convert the frame, or open the writer with its size"
            )
        height, width = self.size
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image = self._reformatter.reformat(image, format="yuv420p", dst_colorspace=self._colorspace)
        image.pts = self.frames_written
        image.time_base = 1 / self._stream.codec_context.framerate
        try:
            self._container.mux(self._stream.encode(image))
        except BaseException as error:
            self._fail(error)
            raise
        self.frames_written += 1

    def close(self) -> None:
        """Finishes the file and puts it in its place. Closing again does nothing.

        Raises SaveError if no frame was written, or the disk is full; nothing is left then.
        """
        if self._container is None or self._target is None:
            return
        if not self.frames_written:
            self.abort()
            raise SaveError(f"no frame was written to {self.path}: write at least one before close()")
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except BaseException as error:
            self._fail(error)
            raise
        self._container = None
        self._target.commit()

    def abort(self) -> None:
        """Gives up: removes what was written. A file that stood at `path` before stays as it was."""
        container, self._container = self._container, None
        if container is not None:
            _close_unfinished(container)
        if self._target is not None:
            self._target.discard()
            self._target = None

    def _fail(self, error: BaseException) -> None:
        target = self._target
        self.abort()
        if target is not None and isinstance(error, OSError):
            raise target.explain(error) from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if self._container is not None:
            self.abort()


def _close_unfinished(container: Any) -> None:
    """Releases the encoder. Whatever it still can't write concerns a file that is about to be deleted."""
    from av.error import FFmpegError

    with contextlib.suppress(FFmpegError):
        container.close()
