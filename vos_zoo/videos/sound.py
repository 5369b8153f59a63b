"""The sound of one file, copied packet by packet into another: not decoded, not encoded again."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos.opening import open_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

_EARLIER = Fraction(1, 5)  # seconds of sound before the first picture that are kept, as encoders put some there


class SoundCopy:
    """All sound tracks of a file that the other container can hold; a VosZooWarning names those that it can't.

    Args:
        source: the file with the sound.
        target: an av output container, before its header is written. The sound's packets go there.
        name: of the file that is written, for the warning.
    """

    def __init__(self, source: Path, target: OutputContainer, name: str) -> None:
        self._target = target
        self._name, self._source_name = name, source.name
        self._container: Any = None
        self._streams: dict[int, Any] = {}
        self._next: Any = None
        self._lost = 0
        self.begin = Fraction(0)  # second of the source that becomes second 0
        self._open(source)

    def _open(self, source: Path) -> None:
        from av.error import FFmpegError

        try:
            self._container = open_file(source)
        except (FFmpegError, VideoError, OSError) as error:
            self._tell(f"can't be read again ({error})")
            return
        kept, refused = [], []
        for stream in self._container.streams.audio:
            if _fits(stream, self._target.format.name):
                self._streams[stream.index] = self._target.add_stream_from_template(stream)
                kept.append(stream)
            else:
                refused.append(stream.codec_context.name if stream.codec_context else "unknown codec")
        if refused:
            self._tell(f"can't be kept in {Path(self._name).suffix} ({', '.join(refused)}): write an .mkv, which holds any")
        if not kept:
            self.close()
            return
        pictures = self._container.streams.video
        start = pictures[0].start_time if pictures else None
        self._first = Fraction(0) if start is None else start * pictures[0].time_base
        self._packets = self._readable(self._container.demux(*kept))
        self._next = next(self._packets, None)

    def up_to(self, second: Fraction | None) -> None:
        """Hands on the packets that begin before this second of the new file; all that are left if it is None."""
        while self._next is not None:
            packet, time = self._next, _time_of(self._next)
            if second is not None and time - self.begin >= second:
                return
            self._next = next(self._packets, None)
            if time - self.begin > (-_EARLIER if self.begin <= self._first else -packet.duration * packet.time_base):
                self._hand_on(packet)

    def close(self) -> None:
        """Lets go of the source; says what could not be copied."""
        if self._lost:
            self._tell(f"could not be copied whole: {self._lost} packets were left out")
            self._lost = 0
        if self._container is not None:
            self._container.close()
        self._container = self._next = None

    def _hand_on(self, packet: Packet) -> None:
        from av.error import FFmpegError

        shift = round(self.begin / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._streams[packet.stream.index]
        try:
            self._target.mux(packet)
        except FFmpegError as error:
            if isinstance(error, OSError) and error.errno in (28, 27, 122):  # no room for it
                raise
            self._lost += 1

    def _readable(self, packets: Iterator[Any]) -> Iterator[Any]:
        from av.error import FFmpegError

        try:
            for packet in packets:
                if packet.dts is not None and packet.size:
                    yield packet
        except FFmpegError as error:
            self._tell(f"ends early ({error.strerror or error})")

    def _tell(self, what: str) -> None:
        warnings.warn(f"{self._name}: the sound of {self._source_name} {what}", VosZooWarning, stacklevel=6)


def _fits(track: AudioStream, container: str) -> bool:
    """Whether a container of that format takes the track: its header is written to memory for it."""
    import av
    from av.error import FFmpegError

    trial = av.open(io.BytesIO(), "w", format=container)
    try:
        trial.add_stream_from_template(track)
        trial.start_encoding()
    except (FFmpegError, ValueError, AttributeError, TypeError):
        return False
    finally:
        with contextlib.suppress(FFmpegError):
            trial.close()
    return True


def _time_of(packet: Any) -> Fraction:
    stamp = packet.dts if packet.pts is None else packet.pts
    return Fraction(stamp) * packet.time_base
