"""What the annotated objects of a video look like, and where in a frame something looks like them.

Each cell of a frame (a position of a trunk's map at stride 16) is asked which cells of the annotated frames it resembles most, by
cosine, and whose those are: matching with the first frame by the most similar (VideoMatch, Hu, Huang and Schwing, ECCV 2018), here with
their owners weighed by a softmax. The map that comes of it does not depend on what was followed since, and so can't drift. What looks like
several objects, or no longer as it did, gets a poor one.

A cell that such a map gives to nobody may be something new, or a side of the object that was not seen before. It surely is background only
where it resembles the annotated background well, and much better than it resembles the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.engine.grid import Grid, resize
from vos_zoo.engine.views import Branch
from vos_zoo.models.base import Features

NEIGHBOURS = 20  # the most similar cells that a cell is compared with
TEMPERATURE = 0.02  # of the softmax over their similarities
MIN_KNOWN_SHARE = 0.5  # the share of a cell whose owner must be known for it to be remembered
BACKGROUND_SIMILARITY = 0.3  # cosine with the background, above which a cell may surely be background
BACKGROUND_MARGIN = 0.25  # by which it exceeds that with the object; chosen on true masks, docs/trials.md
CLOSEST = 5  # cells over whose similarities both are means
CLEARLY = 0.95  # the background's share of a cell that is taken for background
MAX_SIMILARITIES = 1 << 24  # in memory at once (64 MB)
MAX_FRAMES = 4  # annotated frames that are kept, beside those on which an object was annotated last


class AnnotatedCells(NamedTuple):
    """Cells of an annotated frame."""

    cells: Tensor  # (N, C) of length 1
    owners: Tensor  # (1 + K, N) shares of each cell in [0, 1], background first; K may have grown since
    annotated: frozenset[int]  # slots annotated there


class Likeness(NamedTuple):
    """A frame against the annotated ones, cell by cell at stride 16 of the describer's grid."""

    maps: Tensor  # (K, h, w) in [0, 1]: how much of what each cell resembles is each object's
    background: Tensor  # (K, h, w) bool: what surely is background, and not that object


class AppearanceMemory(NamedTuple):
    """What is remembered of one video, as large however long the video is."""

    frames: tuple[AnnotatedCells, ...] = ()
    mean: Tensor | None = None  # (C, 1), of the first annotated frame

    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for frame in self.frames for tensor in (frame.cells, frame.owners))


class Appearance:
    """Compares frames of one video with its annotated ones. The memory of these is an argument and a result.

    describer: the model that tells things apart, and how the video lies on its grid; shared: number of the branch whose features it can
    take as they are, None if it has to look at frames itself.
    """

    def __init__(self, describer: Branch, shared: int | None = None):
        self.grid, self.shared, self._describer = describer.grid, shared, describer

    def remember(
        self, memory: AppearanceMemory, frame: np.ndarray, features: Sequence[Features], layers: np.ndarray, annotated: Sequence[bool]
    ) -> AppearanceMemory:
        """With one more annotated frame.

        features: of each branch; layers: (K, h, w) bool, the masks of all objects; annotated: which of them were annotated here. Cells of
        the others are nobody's: their masks may be wrong.
        """
        described = self.described(frame, features)
        shares = self.cells_of(self.grid.masks(layers, self._describer.device)[0])
        theirs = shares * torch.tensor(list(annotated), dtype=torch.bool, device=shares.device)[:, None, None]
        owners = torch.cat([(1 - shares.sum(0, keepdim=True)).clamp(min=0), theirs]).flatten(1)
        known = owners.sum(0) > MIN_KNOWN_SHARE
        mean = described.mean((1, 2))[:, None] if memory.mean is None else memory.mean
        cells = AnnotatedCells(directions(described, mean)[known], owners[:, known], frozenset(np.flatnonzero(annotated).tolist()))
        return AppearanceMemory(_without_outdated((*memory.frames, cells)), mean)

    def compare(self, memory: AppearanceMemory, frame: np.ndarray, features: Sequence[Features], slots: int) -> Likeness:
        """Where the objects in so many slots may be in a frame, and where they surely are not."""
        assert memory.mean is not None
        described = self.described(frame, features)
        remembered = torch.cat([each.cells for each in memory.frames])
        owners = torch.cat([_with_slots(each.owners, slots) for each in memory.frames], 1)
        maps, background = [], []
        for cells in directions(described, memory.mean).split(max(1, MAX_SIMILARITIES // max(1, len(remembered)))):
            similar = cells @ remembered.T
            closest, which = similar.topk(min(NEIGHBOURS, len(remembered)), 1)
            maps.append((owners[:, which] * (closest / TEMPERATURE).softmax(1)).sum(-1)[1:])
            background.append(is_background(*similarities(similar, owners)))
        at = tuple(described.shape[-2:])
        return Likeness(torch.cat(maps, 1).unflatten(1, at), torch.cat(background, 1).unflatten(1, at))

    def cells_of(self, layers: Tensor) -> Tensor:
        """(K, H, W) on the describer's grid -> (K, h, w): each layer's share of every cell."""
        return F.avg_pool2d(layers, self._describer.model.cell, ceil_mode=True)

    def cells_of_masks(self, probs: Tensor, grid: Grid) -> Tensor:
        """Probabilities (1, 1 + K, H, W) on another grid of this video -> (K, h, w): the share of every cell in which each object wins."""
        best = grid.unpadded(probs)[0].max(0).indices  # argmax(0) takes fifteen times as long on a CPU
        layers = torch.stack([best == k for k in range(1, probs.shape[1])]).float()
        return self.cells_of(self.grid.pad(resize(layers[None], self.grid.inner))[0])

    def over_frame(self, maps: Tensor) -> Tensor:
        """(K, h, w) of `maps` -> (K, H, W) bool on the describer's grid: where they exceed one half."""
        height, width = self.grid.size
        finer = F.interpolate(maps[None], scale_factor=self._describer.model.cell, mode="bilinear", align_corners=False)
        return finer[0, :, :height, :width] > 0.5

    def described(self, frame: np.ndarray, features: Sequence[Features]) -> Tensor:
        """(C, h, w) of a frame."""
        model = self._describer.model
        seen = model.encode(self._describer.images([frame])) if self.shared is None else features[self.shared]
        return model.describe(seen)[0].float()


def keep_slots(memory: AppearanceMemory, slots: Sequence[int]) -> AppearanceMemory:
    """Only these slots go on, in this order; what was another's counts as background from now on."""
    frames = []
    for cells, owners, annotated in memory.frames:
        owners = _with_slots(owners, 1 + max(slots, default=-1))
        left = owners[[1 + slot for slot in slots]]
        rest = owners.sum(0, keepdim=True) - left.sum(0, keepdim=True)
        moved = frozenset(n for n, slot in enumerate(slots) if slot in annotated)
        frames.append(AnnotatedCells(cells, torch.cat([rest, left]), moved))
    return memory._replace(frames=tuple(frames))


def directions(described: Tensor, mean: Tensor) -> Tensor:
    """(C, h, w) -> (N, C) of length 1, seen from the mean."""
    return F.normalize(described.flatten(1) - mean, dim=0).T


def similarities(similar: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """How much cells resemble background, (n,), and objects, (K, n); from their cosines (n, N) with remembered ones of owners (1 + K, N).

    Where no background is remembered: -1, least of all. An object that fills no remembered cell: 1, most of all.
    """
    of_objects = [_closest(similar[:, own > MIN_KNOWN_SHARE], nobody=1.0) for own in owners[1:]]
    together = torch.stack(of_objects) if of_objects else similar.new_ones(0, len(similar))
    return _closest(similar[:, owners[0] > CLEARLY], nobody=-1.0), together


def is_background(
    of_background: Tensor, of_objects: Tensor, similarity: float = BACKGROUND_SIMILARITY, margin: float = BACKGROUND_MARGIN
) -> Tensor:
    """Which cells surely are background and not the object, from their `similarities`."""
    return (of_background > similarity) & (of_background - of_objects > margin)


def _closest(similar: Tensor, nobody: float) -> Tensor:
    """(n, M) -> (n,): the mean of the largest CLOSEST, or `nobody` where M is 0."""
    count = min(CLOSEST, similar.shape[1])
    return similar.topk(count, 1).values.mean(1) if count else similar.new_full((len(similar),), nobody)


def _without_outdated(frames: Sequence[AnnotatedCells]) -> tuple[AnnotatedCells, ...]:
    """Without those beyond MAX_FRAMES whose objects were all annotated again later, the oldest first."""
    kept = list(frames)
    n = 0
    while len(kept) > MAX_FRAMES and n < len(kept) - 1:
        later: frozenset[int] = frozenset().union(*(each.annotated for each in kept[n + 1 :]))
        if kept[n].annotated <= later:
            del kept[n]
        else:
            n += 1
    return tuple(kept)


def _with_slots(owners: Tensor, slots: int) -> Tensor:
    """(1 + k, N) -> (1 + slots, N) at least: slots that came later own nothing."""
    return F.pad(owners, (0, 0, 0, max(0, 1 + slots - len(owners))))
