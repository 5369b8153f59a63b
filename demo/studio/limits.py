"""What the page takes, in numbers and in words that stand on it before anything is uploaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    megabytes: int = 200  # of an uploaded file
    frames: int = 600  # of a clip; what comes after them is left out
    side: int = 4096  # pixels, of a clip's longer side
    objects: int = 12  # in all marks together
    marked: int = 24  # frames with marks
    work: float = 12_000  # of a run: megapixels of a frame times frames times objects
    preview: int = 640  # pixels, longer side of what the browser is shown
    waiting: int = 12  # runs in the queue; more are turned away
    keep: int = 3600  # seconds after which files are deleted
    sessions: int = 1000  # that are remembered, each some hundred kilobytes; of more, those that were longest idle are forgotten
    cutout_megapixels: int = 400  # of all frames together, up to which cut-outs are also given at full size

    def words(self) -> str:
        return (
            f"Up to {self.megabytes} MB and {self.side} pixels a side. The first {self.frames} frames are used, "
            f"{self.frames // 30} seconds of a phone's video. Files are deleted after {self._kept()}."
        )

    def _kept(self) -> str:
        minutes = max(1, round(self.keep / 60))
        return "an hour" if minutes == 60 else f"{minutes} minute{'s' * (minutes != 1)}"
