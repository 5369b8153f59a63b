"""One pass over the video stream of a container with PyAV: packets in, upright RGB frames out."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vos_zoo.errors import VideoError
from vos_zoo.system.limits import check_picture, limit
from vos_zoo.videos.colours import Tags, to_rgb
from vos_zoo.videos.frames import check_size

if TYPE_CHECKING:
    from av import VideoFrame

# Pictures that lie this many times their usual distance apart have lost one between them
_GAP = 1.5
FASTEST = 1_000_000  # frames a second that a file is believed to have
# Text that FFmpeg would draw as a video, and single images
_NOT_A_VIDEO = ("tty", "image2")
# Codecs whose damaged pictures are mended from others that another thread may not have finished: now one picture, now another
_CONCEALS_AMONG_THREADS = ("mpeg4",)


class Decoding:
    """An open container and its decoder. For one thread and one pass; open another for the next.

    `pictures()` gives what is decoded, `rgb()` makes a frame of it; `adopt()` comes before the first `rgb()`.

    Args:
        container: an open av input container, which this closes.

    Raises:
        VideoError: it holds no video, one in an unknown codec, or one that is too large. The container is closed then.
    """

    def __init__(self, container: Any) -> None:
        from av.video.reformatter import VideoReformatter

        self._container = container
        try:
            self.stream = self._video_stream()
            self.stream.thread_type = "SLICE" if self.codec_name in _CONCEALS_AMONG_THREADS else "AUTO"
            self.stream.codec_context.options = {"max_pixels": str(limit("pixels"))}
        except BaseException:
            self._container.close()
            raise
        self._reformatter = VideoReformatter()
        self._size = (0, 0)
        self._orientation = UPRIGHT
        self.damaged = 0
        self.hidden = 0
        self.cut_off = False  # whether the last packet was incomplete
        self.stopped_by: Exception | None = None

    def _video_stream(self) -> Any:
        from av.stream import Disposition

        container = self._container
        if container.format.name in _NOT_A_VIDEO or container.format.name.endswith("_pipe"):
            raise VideoError("it is text or a single image: give a video file, or a folder of images")
        best = container.streams.best("video")
        if best is not None and not best.disposition & Disposition.attached_pic:
            if best.codec_context is None:
                raise VideoError("its pictures are in a codec that is unknown here, or encrypted: convert it to H.264 first")
            check_picture(best.codec_context.height, best.codec_context.width, "its picture", VideoError)
            return best
        if container.streams.audio:
            raise VideoError("it holds only sound, no video stream: give a file with pictures")
        raise VideoError("it holds no video stream: the file is incomplete, or not a video; get a whole copy")

    @property
    def container_name(self) -> str:
        return str(self._container.format.name)

    @property
    def videos(self) -> int:
        """How many video streams there are, cover pictures left out."""
        from av.stream import Disposition

        return sum(not stream.disposition & Disposition.attached_pic for stream in self._container.streams.video)

    @property
    def has_sound(self) -> bool:
        return bool(self._container.streams.audio)

    @property
    def codec_name(self) -> str:
        codec = self.stream.codec_context.codec
        try:
            return str(codec.canonical_name)
        except AttributeError:  # PyAV, of a codec that FFmpeg has no description of
            return str(codec.name)

    @property
    def claimed_end(self) -> float | None:
        """Second at which the container says that its video ends; None when it says nothing of the kind."""
        stream, container = self.stream, self._container
        if stream.duration:
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        if (told := _seconds(stream.metadata.get("DURATION", ""))) is not None:
            return told
        if container.duration and len(container.streams) == 1:
            return ((container.start_time or 0) + container.duration) / 1e6
        return None

    @property
    def claimed_frames(self) -> int | None:
        """How many frames the container says that it holds, from its index or else from time and rate; None if it says no likely number."""
        most = limit("frames")
        if 0 < self.stream.frames <= most:
            return int(self.stream.frames)
        end, rate = self.claimed_end, self.rate
        if end is None or rate is None:
            return None
        start = float((self.stream.start_time or 0) * self.stream.time_base)
        frames = (end - start) * rate
        return max(1, round(frames)) if frames <= most else None

    @property
    def rate(self) -> float | None:
        """Average frames per second; None when unknown, or beyond all likelihood."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate and 1 / 86_400 <= rate <= FASTEST else None

    def packets(self) -> Iterator[Any]:
        """The packets of the stream, undecoded."""
        return self._container.demux(self.stream)

    def pictures(self) -> Iterator[Any]:
        """Decoded av.VideoFrames in the order of display, without those that an edit list hides (`hidden`
        counts them). What can't be decoded is left out; `damaged` counts that, and broken pictures.

        A packet that was cut off by the end of the file is not decoded, since it would give half a picture.
        (In MPEG-TS that mark stands for a gap in the transmission, which decoders conceal.)
        Of a file that was cut short, pictures behind a gap at its end are not given either: they were stored
        ahead of those between, and would show a later moment than their number says.
        """
        from av.error import FFmpegError

        drop_partial = self.container_name != "mpegts"
        times: deque[int | None] = deque(maxlen=16)
        packets = self.packets()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except FFmpegError as error:
                self.damaged += 1
                self.stopped_by = error
                break
            if not packet.size and packet.pts is None:  # how PyAV says that the file is at its end
                break
            self.hidden += packet.is_discard
            self.cut_off = packet.is_corrupt
            if packet.is_corrupt:
                self.damaged += 1
                if drop_partial:
                    continue
            for picture in self._decode(packet):
                times.append(picture.pts)
                yield picture
        yield from self._last_pictures(times)

    def _last_pictures(self, times: deque[int | None]) -> Iterator[Any]:
        """What the decoder still holds; of a file cut short only what follows the `times` before without a gap."""
        last = self._decode(None)
        cut_short = self.damaged > 0 or self._missing(last)
        for picture in last:
            times.append(picture.pts)
            if cut_short and _gap_at_end(list(times)):
                self.damaged += 1
                return
            yield picture

    def _missing(self, last: list[Any]) -> bool:
        """Whether the container says that its video goes on behind these pictures."""
        if not last or last[-1].pts is None or self.claimed_end is None or self.rate is None:
            return False
        hidden = self.hidden / self.rate
        return float(last[-1].pts * last[-1].time_base) + hidden < self.claimed_end - 1.5 / self.rate

    def _decode(self, packet: object) -> list[Any]:
        from av.error import FFmpegError

        try:
            pictures = list(self.stream.codec_context.decode(packet))
        except FFmpegError:
            self.damaged += 1
            return []
        for picture in pictures:
            self.damaged += picture.is_corrupt
            if picture.time_base is None:  # of what the decoder held when the file ended
                picture.time_base = self.stream.time_base
        return pictures

    def seek(self, pts: int) -> None:
        """Goes to a key frame at or before `pts`, as far as the container can tell."""
        self._container.seek(pts, stream=self.stream, backward=True)

    def rgb(self, picture: VideoFrame, index: int) -> np.ndarray:
        """The picture as (H, W, 3) uint8, upright.

        Raises:
            VideoError: its size is not the one adopted, or FFmpeg can't make colours of it.
        """
        from av.error import FFmpegError

        size = (picture.height, picture.width)
        check_size(size, self._size, f"frame {index}")
        try:
            return self._orientation.upright(to_rgb(picture, self._reformatter))
        except (FFmpegError, ValueError) as error:
            raise VideoError(f"frame {index} is of a kind that can't be shown as RGB ({picture.format.name}): {error}") from error

    def adopt(self, size: tuple[int, int], orientation: Orientation) -> None:
        """Sets the stored (height, width) and the orientation of all pictures of this video."""
        self._size = size
        self._orientation = orientation

    def close(self) -> None:
        self._container.close()


def notes_on(decoding: Decoding, picture: VideoFrame) -> list[str]:
    """What is read otherwise than somebody might think, each the end of a sentence about the source.

    Args:
        decoding: the source.
        picture: its first.
    """
    notes, tags = [], Tags.of(picture)
    if tags.hdr:
        notes.append(f"is {tags.hdr}: its colours are tone-mapped to SDR (BT.709), as the models know them")
    if tags.unknown_matrix and not picture.format.is_rgb:
        notes.append(f"has colours of a matrix that is not known here ({tags.unknown_matrix}), read as BT.601 or 709: convert it first")
    if decoding.videos > 1:
        notes.append(f"holds {decoding.videos} video streams, of which one is read ({decoding.stream.index}): copy out the one you want")
    return notes


def _seconds(text: str) -> float | None:
    """Of 00:01:02.5, as Matroska writes durations; None for anything else."""
    found = re.fullmatch(r"(\d{1,5}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)", text.strip(), re.ASCII)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def _gap_at_end(times: list[int | None]) -> bool:
    """Whether the last of these comes later than the distance of those before leads to expect. Unknown if one has no time."""
    known = [time for time in times if time is not None]
    steps = [b - a for a, b in itertools.pairwise(known)]
    if len(known) < len(times) or len(steps) < 2 or min(steps) <= 0:
        return False
    return steps[-1] > _GAP * statistics.median(steps[:-1])


class Orientation(NamedTuple):
    """Signs of the display matrix: the stored pixel (x, y) is shown at (a x + c y, b x + d y)."""

    a: int
    b: int
    c: int
    d: int

    @staticmethod
    def of(picture: Any) -> Orientation:
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return UPRIGHT
        numbers = bytes(matrix)
        if len(numbers) < 36:
            return UPRIGHT
        a, b, _, c, d, *_ = (int(n) for n in np.frombuffer(numbers[:36], dtype=np.int32))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return Orientation(-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
        return Orientation(0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)

    def upright_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) as shown."""
        return size if self.a else (size[1], size[0])

    def upright(self, frame: np.ndarray) -> np.ndarray:
        """The frame as shown."""
        if not self.a:
            frame = frame.swapaxes(0, 1)
        if self.a + self.c < 0:
            frame = frame[:, ::-1]
        if self.b + self.d < 0:
            frame = frame[::-1]
        return np.ascontiguousarray(frame)


UPRIGHT = Orientation(1, 0, 0, 1)
