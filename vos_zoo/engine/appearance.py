"""What the annotated objects of a video look like, and where in a frame something looks like them.

Each cell of a frame (a position of a trunk's map at stride 16) is asked which cells of the annotated frames it resembles most, by
cosine, and whose those are: matching with the first frame by the most similar (VideoMatch, Hu, Huang and Schwing, ECCV 2018), here with
their owners weighed by a softmax. The map that comes of it does not depend on what was followed since, and so can't drift. What looks like
several objects, or no longer as it did, gets a poor one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.engine.grid import Grid, resize
from vos_zoo.engine.views import Branch

NEIGHBOURS, TEMPERATURE = 20, 0.02  # the most similar cells that are asked, and of what in their similarity makes one count for more
KNOWN = 0.5  # the share of a cell whose owner must be known for it to be remembered
AT_ONCE = 1 << 24  # similarities in memory (64 MB)
FRAMES = 4  # annotated frames that are kept, beside those on which an object was annotated last


class Remembered(NamedTuple):
    """Cells of an annotated frame."""

    cells: Tensor  # (N, C) of length 1
    owners: Tensor  # (1 + K, N) shares of each cell in [0, 1], background first; K may have grown since
    given: frozenset[int]  # slots annotated there


class Appearance:
    """The annotated objects of one video: cells of the annotated frames and whose they are. As large however long the video is.

    describer: the model that tells things apart, and how the video lies on its grid; shared: number of the branch whose features it can
    take as they are, None if it has to look at frames itself.
    """

    def __init__(self, describer: Branch, shared: int | None = None):
        self.grid, self.shared, self._describer = describer.grid, shared, describer
        self._mean: Tensor | None = None
        self._frames: list[Remembered] = []

    def remember(self, frame: np.ndarray, features: Sequence[Any], layers: np.ndarray, given: Sequence[bool]) -> None:
        """A frame with annotations. features: of each branch; layers: (K, h, w) bool, the masks of all objects; given: which of them were
        annotated here. Cells of the others are nobody's: their masks may be wrong.
        """
        described = self._described(frame, features)
        shares = self.cells_of(self.grid.masks(layers, self._describer.device)[0])
        theirs = shares * torch.tensor(list(given), device=shares.device)[:, None, None]
        owners = torch.cat([(1 - shares.sum(0, keepdim=True)).clamp(min=0), theirs]).flatten(1)
        known = owners.sum(0) > KNOWN
        if self._mean is None:
            self._mean = described.mean((1, 2))[:, None]
        here = frozenset(np.flatnonzero(given).tolist())
        self._frames.append(Remembered(self._directions(described)[known], owners[:, known], here))
        self._forget()

    def keep(self, slots: Sequence[int]) -> None:
        """Only these slots go on, in this order; what was another's counts as background from now on."""
        frames = []
        for cells, owners, given in self._frames:
            owners = _with_slots(owners, 1 + max(slots, default=-1))
            left = owners[[1 + slot for slot in slots]]
            rest = owners.sum(0, keepdim=True) - left.sum(0, keepdim=True)
            frames.append(Remembered(cells, torch.cat([rest, left]), frozenset(n for n, slot in enumerate(slots) if slot in given)))
        self._frames = frames

    def maps(self, frame: np.ndarray, features: Sequence[Any], slots: int) -> Tensor:
        """(K, h, w) in [0, 1], at stride 16 of the describer's grid: how much of what each cell resembles is each object's."""
        described = self._described(frame, features)
        remembered = torch.cat([each.cells for each in self._frames])
        owners = torch.cat([_with_slots(each.owners, slots) for each in self._frames], 1)
        parts = []
        for cells in self._directions(described).split(max(1, AT_ONCE // max(1, len(remembered)))):
            closest, which = (cells @ remembered.T).topk(min(NEIGHBOURS, len(remembered)), 1)
            parts.append((owners[:, which] * (closest / TEMPERATURE).softmax(1)).sum(-1))
        return torch.cat(parts, 1)[1:].unflatten(1, tuple(described.shape[-2:]))

    def cells_of(self, layers: Tensor) -> Tensor:
        """(K, H, W) on the describer's grid -> (K, h, w): each layer's share of every cell."""
        return F.avg_pool2d(layers, self._describer.model.stride)

    def cells_of_masks(self, probs: Tensor, grid: Grid) -> Tensor:
        """Probabilities (1, 1 + K, H, W) on another grid of this video -> (K, h, w): the share of every cell in which each object wins."""
        best = grid.unpadded(probs)[0].argmax(0)
        layers = torch.stack([best == k for k in range(1, probs.shape[1])]).float()
        return self.cells_of(self.grid.pad(resize(layers[None], self.grid.inner))[0])

    def over_frame(self, maps: Tensor) -> Tensor:
        """(K, h, w) of `maps` -> (K, H, W) bool on the describer's grid: where they exceed one half."""
        return F.interpolate(maps[None], self.grid.size, mode="bilinear", align_corners=False)[0] > 0.5

    def bytes(self) -> int:
        return sum(each.numel() * each.element_size() for frame in self._frames for each in frame[:2])

    def _described(self, frame: np.ndarray, features: Sequence[Any]) -> Tensor:
        """(C, h, w) of a frame."""
        model = self._describer.model
        seen = model.encode(self._describer.images([frame])) if self.shared is None else features[self.shared]
        return model.describe(seen)[0].float()

    def _directions(self, described: Tensor) -> Tensor:
        """(C, h, w) -> (N, C) of length 1, seen from the mean of the first annotated frame."""
        assert self._mean is not None
        return F.normalize(described.flatten(1) - self._mean, dim=0).T

    def _forget(self) -> None:
        """Frames beyond FRAMES whose objects were all annotated again later, the oldest first."""
        n = 0
        while len(self._frames) > FRAMES and n < len(self._frames) - 1:
            later: frozenset[int] = frozenset().union(*(each.given for each in self._frames[n + 1 :]))
            if self._frames[n].given <= later:
                del self._frames[n]
            else:
                n += 1


def _with_slots(owners: Tensor, slots: int) -> Tensor:
    """(1 + k, N) -> (1 + slots, N) at least: slots that came later own nothing."""
    return F.pad(owners, (0, 0, 0, max(0, 1 + slots - len(owners))))
