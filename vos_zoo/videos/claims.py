"""What the index of an MP4 or QuickTime file claims: how many samples, before FFmpeg takes memory for each of them.

Such a file has a table of samples a track (stsz in moov) or a fragment (trun in moof). Both can give all samples one size in a few bytes,
so that a file of a kilobyte claims billions.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from vos_zoo.errors import VideoError
from vos_zoo.system.limits import limit

_SAMPLES = 10  # times the limit of frames: sound has more samples than a video has frames
_INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")  # boxes that hold boxes
_MOST_BOXES, _DEEPEST = 200_000, 8
_TOP = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"pnot", b"uuid", b"junk")


def check_samples(path: Path) -> None:
    """Refuses an MP4 or QuickTime file whose index claims more samples than it can hold. Does nothing for other files.

    Raises:
        VideoError: with the claim.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _TOP:
            _Walk(file, os.fstat(file.fileno()).st_size).boxes(0, None, 0)


class _Track:
    """What a track's tables say."""

    def __init__(self) -> None:
        self.handlers: set[bytes] = set()
        self.tables: list[tuple[int, int]] = []  # size of each sample, 0 where each has its own; their number
        self.times: list[tuple[int, int]] = []  # entries, and how long the samples of the first one last

    @property
    def listed(self) -> bool:
        """Whether FFmpeg keeps an entry a sample: not of sound whose samples last one tick each (PCM)."""
        return not (b"soun" in self.handlers and b"vide" not in self.handlers and self.times[-1:] == [(1, 1)])


class _Walk:
    """One pass over the boxes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._boxes = self._in_fragments = 0
        self._most = _SAMPLES * limit("frames")
        self._track = _Track()

    def boxes(self, at: int, end: int | None, depth: int) -> None:
        end = self._size if end is None else min(end, self._size)
        while at + 8 <= end and self._boxes < _MOST_BOXES:
            self._boxes += 1
            size, kind, begin = self._header(at)
            if size != 0 and size < begin - at:
                return  # no box
            stop = end if size == 0 else at + size
            if kind == b"trak":
                self._track = _Track()
            if kind in _INSIDE and depth < _DEEPEST:
                self.boxes(begin, stop, depth + 1)
            else:
                self._note(kind, begin)
            if kind == b"trak":
                self._check_track()
            at = stop

    def _note(self, kind: bytes, begin: int) -> None:
        if kind == b"hdlr":
            self._track.handlers.add(struct.pack(">I", self._numbers(begin + 8, 1)[0]))
        elif kind == b"stts":
            entries, _, lasts = self._numbers(begin + 4, 3)
            self._track.times.append((entries, lasts))
        elif kind in (b"stsz", b"stz2"):
            size, count = self._numbers(begin + 4, 2)
            self._track.tables.append((size if kind == b"stsz" else 0, count))
        elif kind == b"trun":
            self._in_fragments += self._numbers(begin + 4, 1)[0]
            self._check(self._in_fragments)

    def _check_track(self) -> None:
        for size, count in self._track.tables if self._track.listed else []:
            if size * count > self._size:
                raise VideoError(
                    f"its index says that it holds {count} samples of {size} bytes, more than the whole file has: it is damaged, get a "
                    "whole copy"
                )
            self._check(count)

    def _check(self, count: int) -> None:
        if count > self._most:
            raise VideoError(
                f"its index says that it holds {count} samples, more than the limit of {self._most}, so it was not read: if that is right, "
                f"raise the limit with VOS_ZOO_MAX_FRAMES={-(-count // _SAMPLES)}"
            )

    def _header(self, at: int) -> tuple[int, bytes, int]:
        """(size, kind, where its content begins) of a box."""
        self._file.seek(at)
        head = self._file.read(16).ljust(16, b"\0")
        size, kind = struct.unpack(">I4s", head[:8])
        return (struct.unpack(">Q", head[8:])[0], kind, at + 16) if size == 1 else (size, kind, at + 8)

    def _numbers(self, at: int, count: int) -> tuple[int, ...]:
        self._file.seek(at)
        return struct.unpack(f">{count}I", self._file.read(4 * count).ljust(4 * count, b"\0"))
