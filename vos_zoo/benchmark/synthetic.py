"""Frames to measure with: cheap to make, one at a time, always the same. What they show is of no interest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vos_zoo.errors import EvaluationError

Size = tuple[int, int]  # (height, width)
_BLOCK = 16  # pixels a side of the texture's squares


class SyntheticClip:
    """Frames (H, W, 3) uint8: discs that sway over a drifting texture, made one at a time, always the same ones.

    EvaluationError if there is less than one frame or object, or no room for the discs.
    """

    def __init__(self, frames: int, size: Size, objects: int = 1):
        if frames < 1 or objects < 1:
            raise EvaluationError(f"{frames} frames with {objects} objects: give at least one of each")
        self.frames, self.size, self.objects = frames, size, objects
        cells = int(np.ceil(np.sqrt(objects)))
        self._cell = (size[0] / cells, size[1] / cells)
        self._radius = 0.3 * min(self._cell)
        if self._radius < 2:
            raise EvaluationError(f"{objects} objects do not fit on {size[0]}x{size[1]} pixels: take fewer, or a larger size")
        random = np.random.default_rng(0)
        coarse = random.integers(64, 192, (-(-size[0] // _BLOCK), -(-size[1] // _BLOCK), 3), dtype=np.uint8)
        self._texture = coarse.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[: size[0], : size[1]].copy()
        self._colours = random.integers(0, 256, (objects, 3), dtype=np.uint8)
        side = np.arange(-int(self._radius), int(self._radius) + 1)
        self._disc = side[:, None] ** 2 + side**2 <= self._radius**2
        self._columns = cells

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[np.ndarray]:
        for t in range(self.frames):
            frame = np.roll(self._texture, (t, 2 * t), (0, 1))
            self._draw(frame, t, self._colours)
            yield frame

    @property
    def first_mask(self) -> np.ndarray:
        """(H, W) int32 ids 1 ... objects of frame 0."""
        mask = np.zeros(self.size, np.int32)
        self._draw(mask, 0, np.arange(1, self.objects + 1))
        return mask

    def _draw(self, canvas: np.ndarray, t: int, values: np.ndarray) -> None:
        n = len(self._disc)
        for k, value in enumerate(values):
            row, column = divmod(k, self._columns)
            sway = 0.15 * np.sin(0.1 * t + k)
            top = int((row + 0.5) * self._cell[0]) - n // 2
            left = int((column + 0.5 + sway) * self._cell[1]) - n // 2
            canvas[top : top + n, left : left + n][self._disc] = value
