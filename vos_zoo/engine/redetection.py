"""Finding a lost object again: does a mask lie on what was annotated, and if not, where is that?

A model whose memory is its last mask, or a recurrent state, can't know that it has begun to follow something else, and never looks for
what it has lost. So every few frames its masks are compared with a map of where each object may be by its looks (appearance.py), by soft
IoU: the sum of the smaller over the sum of the larger.

- A mask that agrees too little with its map is doubted. The model is then given the map as that object's mask, as if somebody had annotated
  this frame, and steps the frame again. What comes of it takes the mask's place if it agrees better, by the more the less the mask was
  doubted (DOUBTS), and by LEAST at all.
- A mask that is not replaced and lies on what does not look like the object at all (the map has less than STRANGE there of what the mask
  has), and is no smaller than SMALLEST, is taken away; the object has no pixel, and is lost, until a later look finds it.

None of the four papers has this. An object that has changed its looks gets a poor map; hence nothing is done to a mask that agrees halfway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine.appearance import Appearance
from vos_zoo.engine.views import Branch, advance, leader

EVERY = 4  # frames from one look to the next
DOUBTS = ((0.3, 0.1), (0.5, 0.25))  # a mask that agrees less than this is replaced if another agrees better by that
LEAST, STRANGE = 0.3, 0.05
SMALLEST = 2  # cells of a mask that is taken away: what smaller things look like, their cells can't tell
# how all these were chosen: docs/trials.md


class Redetector:
    """Looks after the objects of one video. `gone`: slots that have no pixel until they are found."""

    def __init__(self, appearance: Appearance):
        self.appearance = appearance
        self.gone: frozenset[int] = frozenset()

    def remember(self, frame: np.ndarray, features: Sequence[Any], layers: np.ndarray, given: Sequence[bool]) -> None:
        """As `Appearance.remember`; what is annotated is there."""
        self.appearance.remember(frame, features, layers, given)
        self.gone -= set(np.flatnonzero(given).tolist())

    def keep(self, slots: Sequence[int]) -> None:
        """As `Appearance.keep`."""
        self.appearance.keep(slots)
        self.gone = frozenset(n for n, slot in enumerate(slots) if slot in self.gone)

    def checked(self, number: int, frame: np.ndarray, features: Sequence[Any], branches: Sequence[Branch], probs: Tensor) -> Tensor:
        """The probabilities (1, 1 + K, H, W) that stand: those given, or others where an object was found again or is not there.

        number: of the frame, from the one that the video was begun with; features: of each branch. The branches have been advanced to this
        frame already; where something is replaced their states are too.
        """
        if number % EVERY == 0:
            probs = self._look(frame, features, branches, probs)
        if not self.gone:
            return probs
        layers = list(probs[0])
        for slot in self.gone:
            layers[0] = layers[0] + layers[1 + slot]
            layers[1 + slot] = torch.zeros_like(layers[0])
        return torch.stack(layers)[None]

    def _look(self, frame: np.ndarray, features: Sequence[Any], branches: Sequence[Branch], probs: Tensor) -> Tensor:
        slots, grid = range(probs.shape[1] - 1), branches[leader(branches)].grid
        maps = self.appearance.maps(frame, features, len(slots))
        masks, proposed = self.appearance.cells_of_masks(probs, grid), self.appearance.over_frame(maps).float()
        promise = agreement(self.appearance.cells_of(proposed), maps)
        # one where mask and map are the same, be their cells full or not
        alike = (masks * maps).sum((1, 2)) / (masks * masks).sum((1, 2)).clamp(min=1e-6)
        # all at once: a GPU is waited for once
        agree, promised, like, area = torch.stack([agreement(masks, maps), promise, alike, masks.sum((1, 2))]).tolist()
        wanted = [max(each + _gain(each), LEAST) for each in agree]
        found = [k for k in slots if promised[k] > wanted[k]]
        while found:
            again, states = self._told(branches, features, proposed, found)
            now = agreement(self.appearance.cells_of_masks(again, grid), maps).tolist()
            better = [k for k in found if now[k] > wanted[k]]
            if better == found:
                probs = again
                _take(branches, states)
                break
            found = better
        strange = {k for k in slots if k not in found and like[k] < STRANGE and (area[k] >= SMALLEST or k in self.gone)}
        if strange:
            nothing, given = torch.zeros_like(proposed), _given(strange, len(slots), probs)
            _take(branches, [branch.told(seen, self._over(nothing), given) for branch, seen in zip(branches, features, strict=True)])
        self.gone = frozenset(strange)
        return probs

    def _told(
        self, branches: Sequence[Branch], features: Sequence[Any], proposed: Tensor, slots: Sequence[int]
    ) -> tuple[Tensor, list[Any]]:
        """This frame once more, after these slots were given the masks proposed for them: probabilities and states."""
        given = _given(slots, len(proposed), proposed)
        masks = self._over(proposed * given[0][:, None, None])
        told = [replace(branch, state=branch.told(seen, masks, given)) for branch, seen in zip(branches, features, strict=True)]
        ((probs, states),) = advance([told], features)
        return probs, states

    def _over(self, layers: Tensor) -> Tensor:
        """(K, H, W) on the describer's grid -> (1, K, h, w) over the frame."""
        return self.appearance.grid.unpadded(layers)[None]


def agreement(masks: Tensor, maps: Tensor) -> Tensor:
    """Soft IoU of (K, h, w) in [0, 1] with each other, (K,); 0 where both are empty."""
    return torch.minimum(masks, maps).sum((1, 2)) / torch.maximum(masks, maps).sum((1, 2)).clamp(min=1e-6)


def _gain(agreed: float) -> float:
    """By how much more another mask has to agree than one that agrees so much."""
    return next((gain for under, gain in DOUBTS if agreed < under), math.inf)


def _given(slots: Sequence[int] | set[int], count: int, like: Tensor) -> Tensor:
    return torch.tensor([[k in slots for k in range(count)]], device=like.device)


def _take(branches: Sequence[Branch], states: Sequence[Any]) -> None:
    for branch, state in zip(branches, states, strict=True):
        branch.state = state
