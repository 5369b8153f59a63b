"""What a training step is given, wherever it came from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, device


class ClipBatch(NamedTuple):
    """B clips of T frames with K object slots."""

    frames: Tensor  # (B, T, 3, H, W) float in [0, 1]
    masks: Tensor  # (B, T, K, H, W) float 0 or 1
    active: Tensor  # (B, K) bool: slots that hold an object
    before: Tensor | None = None  # (B, T, K, H, W): truth of the video's frame just before each, where frames are skipped
    remembered: Tensor | None = None  # (B, T, K, H, W) in [0, 1]: masks to remember of each frame if the next is fed the truth, not the own


class Sample(NamedTuple):
    """A batch and how it is to be unrolled."""

    clip: ClipBatch
    first: Tensor  # (B, K, H, W) in [0, 1]: what the model is told of the first frame, corrupted or true
    own: Tensor | None = None  # (T,) bool: frames that are predicted from the model's own previous masks, not from the truth; None: all
    rehearsal: int = 0  # frames that are predicted first, to and fro, without gradient and without loss

    def rows(self, index: Tensor | slice) -> Sample:
        """Some of its clips."""
        clip = ClipBatch(*(None if each is None else each[index] for each in self.clip))  # type: ignore[arg-type]
        return self._replace(clip=clip, first=self.first[index])

    def to(self, where: device | str) -> Sample:
        clip = ClipBatch(*(None if each is None else each.to(where, non_blocking=True) for each in self.clip))  # type: ignore[arg-type]
        return self._replace(clip=clip, first=self.first.to(where, non_blocking=True))
