"""One model's view of a video, and several views of it that decide together: test-time augmentation and ensembles.

Each branch has a model and a grid; its state is an argument and a result, as the model's is. In every frame all branches predict each
object by itself. The probabilities are averaged over the branches before objects compete. The average goes on into every branch's
`advance`, so that all their memories hold what was decided. (SCM 3.3: flip and multi-scale testing, ensembles; the paper gives neither
scales nor the place of the average.)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine.grid import Grid, resize
from vos_zoo.engine.inputs import TTA
from vos_zoo.engine.states import join, signature, split
from vos_zoo.models.base import Features, State, VOSModel

SMALLEST = 1e-12  # probability, before its logarithm is taken


@dataclass(frozen=True)
class Branch:
    """A model, and how the video lies on its grid."""

    model: VOSModel
    device: torch.device
    grid: Grid
    flipped: bool = False
    weight: float = 1.0  # in the average; those of a video's branches sum to 1

    def images(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Several (h, w, 3) uint8 -> (B, 3, H, W), as this branch looks at them."""
        return self.grid.frames([frame[:, ::-1] for frame in frames] if self.flipped else frames, self.device)

    def turned(self, x: Tensor) -> Tensor:
        """(..., h, w) over the frame: from the video's side to the branch's, and back."""
        return x.flip(-1) if self.flipped else x

    def annotate(
        self, state: State | None, frame: np.ndarray, layers: np.ndarray, annotated: Sequence[bool], features: Features | None = None
    ) -> State:
        """The State after masks (K, h, w) bool are given for the annotated slots of a frame; state None: the first State.

        features: of the frame, if they are known already.
        """
        masks = self.grid.masks(layers[..., ::-1] if self.flipped else layers, self.device)
        if features is None and self.model.needs_first_frame:
            features = self.model.encode(self.images([frame]))
        if state is None:
            first: State = self.model.start(features, masks, None)
            return first
        given = torch.tensor([list(annotated)], dtype=torch.bool, device=self.device)
        corrected: State = self.model.annotate(features, masks, given, state)
        return corrected

    def annotate_softly(self, state: State, features: Features, masks: Tensor, given: Tensor) -> State:
        """The State after the frame that it stands at gets soft masks (1, K, h, w) over the frame, for the slots in `given` (1, K)."""
        on_grid = self.grid.pad(self.turned(resize(masks, self.grid.inner)))
        corrected: State = self.model.annotate(features, on_grid, given, state)
        return corrected

    def find(self, frame: np.ndarray) -> State:
        """The State before the first frame of a model that finds the objects itself."""
        features = self.model.encode(self.images([frame])) if self.model.needs_first_frame else None
        state: State = self.model.start(features, None, None)
        return state

    def batch_key(self, state: State) -> Hashable:
        """Equal for branches of several videos that can be stepped together."""
        return id(self.model), self.grid.inner, self.grid.pads, self.flipped, self.weight, signature(state)


def branches_of(model: VOSModel, device: torch.device, grid: Grid, tta: TTA) -> list[Branch]:
    """A branch for each view."""
    weight = 1 / len(tta.views)
    return [Branch(model, device, grid.scaled(scale, model.stride), flipped, weight) for scale, flipped in tta.views]


def leader(branches: Sequence[Branch]) -> int:
    """The branch whose grid the average is taken on, and whose competition of objects is shown: the finest that is not flipped."""
    return max(range(len(branches)), key=lambda n: (not branches[n].flipped, math.prod(branches[n].grid.inner), -n))


def encode(videos: Sequence[Sequence[Branch]], frames: Sequence[np.ndarray]) -> list[Features]:
    """Features of one frame of each video, in one batch: an entry a view, frames first. videos: alike by `batch_key`."""
    return [view[0].model.encode(_images(view, frames)) for view in zip(*videos, strict=True)]


def apart(encoded: Sequence[Features], count: int) -> list[list[Features]]:
    """What `encode` gave for `count` frames, frame by frame, each as `encode` gives it for one."""
    if count == 1:
        return [list(encoded)]
    return [[_row(features, n) for features in encoded] for n in range(count)]


def advance(
    videos: Sequence[Sequence[Branch]], states: Sequence[Sequence[State]], encoded: Sequence[Features]
) -> list[tuple[Tensor, tuple[State, ...]]]:
    """The next frame of each video: the leader's probabilities (1, 1 + K, H, W), and each branch's next State.

    videos: the branches of each, alike by `batch_key`; states: theirs; encoded: what `encode` made of their next frames. They are
    computed as one batch.
    """
    views = list(zip(*videos, strict=True))
    lead = leader(videos[0])
    joined = [join(of_view) for of_view in zip(*states, strict=True)]
    if len(views) == 1:
        stepped = [views[0][0].model.step(encoded[0], joined[0])]
    else:
        own = [view[0].model.predict_in_chunks(*inputs) for view, *inputs in zip(views, encoded, joined, strict=True)]
        agreed = _agree([view[0] for view in views], [prediction.logits for prediction in own], lead)
        stepped = [
            view[0].model.advance(features, prediction._replace(logits=logits), state)
            for view, features, prediction, logits, state in zip(views, encoded, own, agreed, joined, strict=True)
        ]
    slots = [of_video[0].masks.shape[1] for of_video in states]
    shown, _ = stepped[lead]
    next_states = zip(*(split(state, slots) for _, state in stepped), strict=True)
    return [(shown[n : n + 1, : 1 + k], each) for n, (k, each) in enumerate(zip(slots, next_states, strict=True))]


def _agree(branches: Sequence[Branch], logits: Sequence[Tensor], lead: int) -> list[Tensor]:
    """Log odds (B, K, H, W) of every branch on its own grid -> the same with their common average over the frame; pads keep their own."""
    size, k = branches[lead].grid.inner, logits[lead].shape[1]
    mean = torch.zeros((), dtype=torch.float32, device=logits[lead].device)
    for branch, each in zip(branches, logits, strict=True):
        own = branch.turned(branch.grid.unpadded(each).float())
        mean = mean + branch.weight * resize(torch.cat([own, -own], 1).sigmoid(), size)  # for and against: 1 - p would lose digits
    agreed = []
    for branch, each in zip(branches, logits, strict=True):
        odds = resize(mean, branch.grid.inner).clamp(min=SMALLEST).log()
        whole = each.clone()
        branch.grid.unpadded(whole).copy_(branch.turned(odds[:, :k] - odds[:, k:]))
        agreed.append(whole)
    return agreed


def _row(features: Features, n: int) -> Features:
    """Frame n's share."""
    if isinstance(features, Tensor):
        return features[n : n + 1]
    make: type[tuple[Tensor, ...]] = type(features)
    return make(*(each[n : n + 1] for each in features))


def _images(view: Sequence[Branch], frames: Sequence[np.ndarray]) -> Tensor:
    """(B, 3, H, W): one frame of each video; they may be of several sizes, which are one inside the model."""
    if all(branch.grid == view[0].grid for branch in view):
        return view[0].images(frames)
    return torch.cat([branch.images([frame]) for branch, frame in zip(view, frames, strict=True)])
