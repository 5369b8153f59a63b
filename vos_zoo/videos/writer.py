"""VideoWriter: frames in, a video that browsers play out. It knows frames and files, no masks, no models."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vos_zoo.errors import SaveError, VideoError, VosZooWarning
from vos_zoo.system.atomic import AtomicPath
from vos_zoo.videos.colours import scaler_matrix
from vos_zoo.videos.decoding import FASTEST
from vos_zoo.videos.reader import Presentation
from vos_zoo.videos.sound import SoundCopy

if TYPE_CHECKING:
    from av import VideoCodecContext
    from av.container import OutputContainer


class _Codec(NamedTuple):
    qualities: tuple[int, int]  # best and worst constant rate factor
    options: Mapping[str, str]
    pixels: str = "yuv420p"
    pixels_with_alpha: str = ""  # "" if it has none
    suffixes: tuple[str, ...] = (".mp4", ".mov", ".m4v", ".mkv", ".avi")
    has_aspect: bool = True  # whether it notes the shape of pixels


_CODECS: Mapping[str, _Codec] = MappingProxyType(
    {
        "libx264": _Codec((0, 51), {"preset": "veryfast"}),
        "libx265": _Codec((0, 51), {"preset": "veryfast", "x265-params": "log-level=error"}),
        "libvpx-vp9": _Codec(
            (0, 63),
            {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0"},
            pixels_with_alpha="yuva420p",
            suffixes=(".webm",),
            has_aspect=False,
        ),
        "prores_ks": _Codec(
            (0, 63),
            {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
            pixels="yuv444p10le",
            pixels_with_alpha="yuva444p10le",
            suffixes=(".mov",),
            has_aspect=False,
        ),
    }
)
_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
_MILLISECONDS = (".mkv", ".webm")  # that count time in them
_FINEST = Fraction(1, 1_000_000)  # tick of a clock


def usual_codec(path: str | os.PathLike[str], *, alpha: bool = False) -> str:
    """The codec for a file of that suffix: libvpx-vp9 for .webm, with alpha prores_ks for .mov, else libx264."""
    suffix = Path(path).suffix.lower()
    return "libvpx-vp9" if suffix == ".webm" else "prores_ks" if alpha and suffix == ".mov" else "libx264"


def check_writable(
    path: str | os.PathLike[str],
    *,
    fps: float | Fraction,
    size: tuple[int, int],
    codec: str | None = None,
    quality: int = 20,
    alpha: bool = False,
) -> None:
    """Raises what `VideoWriter` would raise for these arguments, without touching the disk: to be asked before long work.

    Args:
        path, fps, size, codec, quality, alpha: as for `VideoWriter`.

    Raises:
        SaveError: the suffix, the codec, or frames of that size or rate can't be written.
        VideoError: wrong fps or size.
    """
    codec = codec or usual_codec(path, alpha=alpha)
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise SaveError(f"can't write a video as {Path(path).name!r}: use one of {', '.join(_SUFFIXES)}")
    if codec not in _CODECS:
        raise SaveError(f"codec {codec!r} is not one that is written here: use {', '.join(_CODECS)}")
    about = _CODECS[codec]
    if alpha and not about.pixels_with_alpha:
        raise SaveError(f"{suffix} files have no alpha with {codec}: write a .webm (VP9) or a .mov (codec='prores_ks', ProRes 4444)")
    if suffix not in about.suffixes:
        fits = "codec='libvpx-vp9'" if suffix == ".webm" else f"codec='libx264', or a path that ends in {about.suffixes[0]}"
        raise SaveError(f"{suffix} files are not written with {codec}: use {fits}")
    best, worst = about.qualities
    if not best <= quality <= worst:
        raise SaveError(f"quality {quality} is out of range: {codec} takes {best} (best) to {worst}")
    if not (math.isfinite(fps) and 0 < fps <= FASTEST):
        raise VideoError(f"fps must be a positive number up to {FASTEST}, not {fps!r}")
    if suffix in _MILLISECONDS and fps > 1000:
        raise SaveError(f"{suffix} files count milliseconds, too few for {float(fps):g} frames per second: write an .mp4 or .mov")
    height, width = size
    if height < 1 or width < 1:
        raise VideoError(f"size must be (height, width) in pixels, both at least 1, not {size!r}")
    _check_encoder(codec, height, width, _rate(fps), alpha)


class VideoWriter:
    """Encodes frames to `path`, in flat memory. The file appears under its name only when `close()` succeeds.

    Colours are written as BT.709 from 720 lines up and as BT.601 below, and tagged so, unless `like` has tags; 8 bits, 4:2:0.
    Used as a context manager it closes on success and aborts when the block raises.

    Args:
        path: .mp4, .mov, .m4v, .mkv, .avi (libx264 or libx265), .webm (libvpx-vp9); .mov also prores_ks.
        fps: frames per second, > 0; of frames that are written without a time.
        size: (height, width) of every frame, in pixels; odd sizes are padded to even by repeating the edge.
        codec: libx264, libx265, libvpx-vp9 or prores_ks (ProRes 4444).
        quality: constant rate factor: 0 is best, 51 (VP9: 63) is worst, 18 to 28 is usual; ProRes has none.
        like: how the video that the frames come from asks to be shown: its pixel aspect ratio, colour tags, clock and sound are taken
            over. HDR is not: the frames are SDR, and tagged BT.709.
        alpha: frames are (H, W, 4) RGBA, not premultiplied; of .webm and of .mov with prores_ks.

    Raises:
        SaveError: no permission, disk full, a suffix, codec, size or rate that can't be written.
        VideoError: wrong fps, size or frame.

    Warns:
        VosZooWarning: sound that can't be kept.

    Example:
        >>> with VideoWriter("out.mp4", fps=25, size=(480, 854)) as writer:
        ...     for frame in frames:
        ...         writer.write(frame)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | Fraction,
        size: tuple[int, int],
        codec: str = "libx264",
        quality: int = 20,
        like: Presentation | None = None,
        alpha: bool = False,
    ) -> None:
        self._target: AtomicPath | None = None
        self._container: Any = None
        self._sound: SoundCopy | None = None
        check_writable(path, fps=fps, size=size, codec=codec, quality=quality, alpha=alpha)
        self.path = Path(path)
        self.size = (int(size[0]), int(size[1]))
        self.frames_written = 0
        self._alpha = alpha
        self._clock = _Clock(_rate(fps), None if like is None else like.clock, constant=self.path.suffix.lower() == ".avi")
        self._target = AtomicPath(path)
        try:
            self._open(codec, quality, like or Presentation())
        except BaseException as error:
            self._fail(error)
            raise

    def _open(self, codec: str, quality: int, like: Presentation) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        assert self._target is not None
        height, width = self.size
        mp4_like = self.path.suffix.lower() in (".mp4", ".mov", ".m4v")
        self._container = av.open(
            f"file:{self._target.temporary}",
            "w",
            container_options={"movflags": "+faststart"} if mp4_like else {},
        )
        stream: Any = self._container.add_stream(codec, rate=self._clock.rate)
        self._tags = like.tags.written(height)
        _set_up(stream.codec_context, codec, height, width, self._alpha, quality)
        context = stream.codec_context
        context.time_base = self._clock.tick
        if like.clock is not None and mp4_like:
            context.max_b_frames = 0  # with them, and a rate that varies, FFmpeg notes too short a duration: players stop early
        context.colorspace, context.color_range = self._tags.matrix, self._tags.range
        context.color_primaries, context.color_trc = self._tags.primaries, self._tags.transfer
        if like.pixel_aspect != 1:
            self._shape(context, codec, like.pixel_aspect.limit_denominator(10_000))
        if codec == "libx265" and mp4_like:
            context.codec_tag = "hvc1"
        if self._alpha and codec == "libvpx-vp9":
            stream.metadata["alpha_mode"] = "1"
        self._stream = stream
        self._reformatter = VideoReformatter()
        if like.sound is not None:
            self._sound = SoundCopy(like.sound, self._container, self.path.name)

    def _shape(self, context: VideoCodecContext, codec: str, aspect: Fraction) -> None:
        """Makes pixels that are not square look as they do: by a tag of the codec, else by more pixels."""
        if _CODECS[codec].has_aspect:
            context.sample_aspect_ratio = aspect
            return
        width, height = (2 * round(n / 2) for n in (self.size[1] * max(aspect, Fraction(1)), self.size[0] / min(aspect, Fraction(1))))
        context.width, context.height = width, height
        message = (
            f"{self.path.name}: its pixels are square, as {codec} notes no other ones, so frames are {width}x{height} (width x height)"
        )
        warnings.warn(message, VosZooWarning, stacklevel=5)

    def write(self, frame: np.ndarray, time: Fraction | None = None, duration: Fraction | None = None) -> None:
        """Appends a frame.

        Args:
            frame: (H, W, 3) uint8 RGB of the writer's size; with alpha (H, W, 4) RGBA.
            time: second at which it is shown, on the clock of `like`; the first one's becomes 0. Default: at the writer's rate.
            duration: seconds that it is shown for; default: until the next one.

        Raises:
            VideoError: for any other array and for a closed writer; SaveError: the disk is full.
        """
        import av

        if self._container is None:
            raise VideoError(f"the writer of {self.path} is closed: open a new one")
        frame = np.asarray(frame)
        channels = 4 if self._alpha else 3
        if frame.shape != (*self.size, channels) or frame.dtype != np.uint8:
            raise VideoError(
                f"frame {self.frames_written} is {frame.dtype} of shape {frame.shape}; this writer takes "
                f"uint8 of shape {(*self.size, channels)}: convert the frame, or open the writer with its size"
            )
        height, width = self.size
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgba" if self._alpha else "rgb24")
        image = self._reformatter.reformat(
            image,
            width=self._stream.codec_context.width,
            height=self._stream.codec_context.height,
            format=self._stream.codec_context.format.name,
            dst_colorspace=scaler_matrix(self._tags.matrix),
            dst_color_range=self._tags.range,
        )
        image.pts = self._clock.stamp(time, duration)
        image.time_base = self._clock.tick
        try:
            if self._sound is not None:
                self._sound.begin = self._clock.begin
                self._sound.up_to(self._clock.now)
            self._mux(image)
        except BaseException as error:
            self._fail(error)
            raise
        self.frames_written += 1

    def _mux(self, image: object) -> None:
        for packet in self._stream.encode(image):
            if length := self._clock.durations.pop(packet.pts, None):
                packet.duration = length
            self._container.mux(packet)

    def close(self, *, rest_of_sound: bool = True) -> None:
        """Finishes the file and puts it in its place. Closing again does nothing.

        Args:
            rest_of_sound: whether sound that goes on behind the last frame is kept; else it ends with that frame.

        Raises:
            SaveError: no frame was written, the disk is full, or the sound is damaged in a way that shows only now; nothing is left then.
        """
        from av.error import FFmpegError

        if self._container is None or self._target is None:
            return
        if not self.frames_written:
            self.abort()
            raise SaveError(f"no frame was written to {self.path}: write at least one before close()")
        try:
            self._mux(None)
            if self._sound is not None:
                self._sound.up_to(None if rest_of_sound else self._clock.end)
                self._sound.close()
            self._container.close()
        except BaseException as error:
            self._fail(error)
            if self._sound is not None and isinstance(error, FFmpegError):
                reason = error.strerror or error
                raise SaveError(
                    f"{self.path}: the sound to be copied can't be kept there ({reason}): write it without (audio=False)"
                ) from error
            raise
        self._container = None
        self._target.commit()
        if self._clock.off > 2 / self._clock.rate:
            off = float(self._clock.off)
            message = f"{self.path.name}: AVI files have one frame rate, so frames are shown up to {off:.2f} s off; write an .mp4"
            warnings.warn(message, VosZooWarning, stacklevel=2)

    def abort(self) -> None:
        """Gives up: removes what was written. A file that stood at `path` before stays as it was."""
        container, self._container = self._container, None
        if self._sound is not None:
            self._sound.close()
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


class _Clock:
    """Time stamps of the frames that are written: given ones, else one every 1/rate seconds.

    tick: seconds that a stamp counts. off: how far frames are shown from their time where the container has a constant rate.
    """

    def __init__(self, rate: Fraction, clock: Fraction | None, *, constant: bool) -> None:
        self.rate, self._constant = rate, constant
        self.tick = 1 / rate if clock is None or constant else max(clock, _FINEST)
        self.begin = Fraction(0)  # the first frame's time on the source's clock
        self.now = Fraction(0)  # seconds since then, of the last frame
        self.off = Fraction(0)
        self.durations: dict[int, int] = {}
        self._last = -1
        self._length = 1 / rate

    @property
    def end(self) -> Fraction:
        """Second at which the last frame ceases to be shown."""
        return self.now + self._length

    def stamp(self, time: Fraction | None, duration: Fraction | None) -> int:
        """The stamp of the next frame, later than that of the one before."""
        if self._last < 0:
            self.begin = time or Fraction(0)
        due = (self._last + 1) * self.tick if time is None or self._constant else time - self.begin
        if time is None and self._last >= 0 and not self._constant:
            due = self.now + 1 / self.rate
        elif time is not None and self._constant:
            self.off = max(self.off, abs(time - self.begin - due))
        self._last = max(round(due / self.tick), self._last + 1)
        self.now = self._last * self.tick
        self._length = duration or 1 / self.rate
        if duration and not self._constant:
            self.durations[self._last] = max(1, round(duration / self.tick))
        return self._last


def _rate(fps: float | Fraction) -> Fraction:
    """Frames a second as a fraction that files can hold: 29.97 is 30000/1001."""
    return Fraction(fps).limit_denominator(1001) if fps >= 1 else 1 / (1 / Fraction(fps)).limit_denominator(1001)


def _set_up(context: VideoCodecContext, codec: str, height: int, width: int, alpha: bool, quality: int) -> None:
    about = _CODECS[codec]
    context.width, context.height = width + width % 2, height + height % 2
    context.pix_fmt = about.pixels_with_alpha if alpha else about.pixels
    options = dict(about.options) | ({} if codec == "prores_ks" else {"crf": str(int(quality))})
    context.options = options | ({"auto-alt-ref": "0"} if alpha and codec == "libvpx-vp9" else {})


def _check_encoder(codec: str, height: int, width: int, rate: Fraction, alpha: bool) -> None:
    """Raises SaveError if the encoder is not there, or takes no frames of that size."""
    import av
    from av.error import FFmpegError

    if codec not in av.codecs_available:
        raise SaveError(f"this PyAV has no {codec} encoder: pip install --upgrade av, or use another codec")
    context: Any = av.CodecContext.create(codec, "w")
    try:
        _set_up(context, codec, height, width, alpha, 20)
        context.time_base, context.framerate = 1 / rate, rate
        context.open()
    except (FFmpegError, ValueError, OverflowError) as error:
        raise SaveError(
            f"{codec} can't write frames of {width}x{height} (width x height) at {float(rate):g} per second ({error}): leave "
            "the video out, or write a smaller one"
        ) from None


def _close_unfinished(container: OutputContainer) -> None:
    """Releases the encoder. Whatever it still can't write concerns a file that is about to be deleted."""
    from av.error import FFmpegError

    with contextlib.suppress(FFmpegError):
        container.close()
