"""One model's view of a video, and several views of it that decide together: test-time augmentation and ensembles.

Each branch has a model, a grid and a state of its own. In every frame all branches predict each object by itself; the probabilities are
averaged over the branches before objects compete; and the average goes on into every branch's `advance`, so that all their
memories hold what was decided. (SCM 3.3: flip and multi-scale testing, ensembles; the paper gives neither scales nor the place of the
average.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vos_zoo.engine.grid import Grid, resize
from vos_zoo.engine.states import join, signature, split
from vos_zoo.errors import VosZooError

SMALLEST = 1e-12  # probability, before its logarithm is taken


@dataclass(frozen=True)
class TTA:
    """Test-time augmentation: the views of a frame whose predictions are averaged.

    flip: each view also mirrored left to right. scales: factors of the size inside the model, from 0.1 to 10. VosZooError if they are not.
    The cost is one pass a view, and a state a view: six by default.
    """

    flip: bool = True
    scales: tuple[float, ...] = (1.0, 1.2, 1.4)

    def __post_init__(self) -> None:
        numbers = isinstance(self.scales, (tuple, list)) and all(
            isinstance(s, (int, float)) and not isinstance(s, bool) and 0.1 <= s <= 10 for s in self.scales
        )
        if not numbers or not self.scales or len(set(self.scales)) < len(self.scales):
            raise VosZooError(f"scales are different factors from 0.1 to 10, for instance (1.0, 1.2, 1.4), not {self.scales!r}")
        if not isinstance(self.flip, bool):
            raise VosZooError(f"flip is True or False, not {self.flip!r}")
        object.__setattr__(self, "scales", tuple(map(float, self.scales)))

    @classmethod
    def of(cls, given: Any) -> TTA:
        """From what `tta=` takes: None, False, True, "flip", "scales" or a TTA. VosZooError for anything else."""
        if isinstance(given, TTA):
            return given
        named = {None: cls(False, (1.0,)), False: cls(False, (1.0,)), True: cls(), "flip": cls(True, (1.0,)), "scales": cls(False)}
        if (given is None or isinstance(given, (bool, str))) and given in named:
            return named[given]
        raise VosZooError(f"tta is True, 'flip', 'scales', TTA(flip=..., scales=...) or None, not {given!r}")

    @property
    def views(self) -> list[tuple[float, bool]]:
        """(scale, flipped) of each."""
        return [(scale, flipped) for flipped in (False, True)[: 1 + self.flip] for scale in self.scales]


@dataclass
class Branch:
    """A model, how the video lies on its grid, and the state it has come to. Knows one frame at a time."""

    model: Any
    device: torch.device
    grid: Grid
    flipped: bool = False
    weight: float = 1.0  # in the average; those of a video's branches sum to 1
    state: Any = None

    def images(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Several (h, w, 3) uint8 -> (B, 3, H, W), as this branch looks at them."""
        return self.grid.frames([frame[:, ::-1] for frame in frames] if self.flipped else frames, self.device)

    def turned(self, x: Tensor) -> Tensor:
        """(..., h, w) over the frame: from the video's side to the branch's, and back."""
        return x.flip(-1) if self.flipped else x

    def give(self, frame: np.ndarray, layers: np.ndarray, given: Sequence[bool], features: Any = None) -> Any:
        """The State with masks (K, h, w) bool for the slots in `given`: the first one, or after an annotation.

        features: of the frame, if they are known already.
        """
        masks = self.grid.masks(layers[..., ::-1] if self.flipped else layers, self.device)
        if features is None and self.model.needs_first_frame:
            features = self.model.encode(self.images([frame]))
        if self.state is None:
            return self.model.start(features, masks, None)
        return self.model.annotate(features, masks, torch.tensor([list(given)], device=self.device), self.state)

    def told(self, features: Any, masks: Tensor, given: Tensor) -> Any:
        """The State after the frame it stands at gets masks (1, K, h, w) over the frame for the slots in `given` (1, K)."""
        return self.model.annotate(features, self.grid.pad(self.turned(resize(masks, self.grid.inner))), given, self.state)

    def find(self, frame: np.ndarray) -> Any:
        """The State before the first frame of a model that finds the objects itself."""
        features = self.model.encode(self.images([frame])) if self.model.needs_first_frame else None
        return self.model.start(features, None, None)

    def key(self) -> Any:
        """Equal for branches of several videos that can be stepped together."""
        return id(self.model), self.grid.inner, self.grid.pads, self.flipped, self.weight, signature(self.state)


def branches_of(model: Any, device: torch.device, grid: Grid, tta: TTA) -> list[Branch]:
    weight = 1 / len(tta.views)
    return [Branch(model, device, grid.scaled(scale, model.stride), flipped, weight) for scale, flipped in tta.views]


def leader(branches: Sequence[Branch]) -> int:
    """The branch whose grid the average is taken on, and whose competition of objects is shown: the finest that is not flipped."""
    return max(range(len(branches)), key=lambda n: (not branches[n].flipped, math.prod(branches[n].grid.inner), -n))


def encode(videos: Sequence[Sequence[Branch]], frames: Sequence[np.ndarray]) -> list[Any]:
    """Features of one frame of each video, in one batch: an entry a view, frames first. videos: alike by `key`, their states apart."""
    return [view[0].model.encode(_images(view, frames)) for view in zip(*videos, strict=True)]


def apart(encoded: Sequence[Any], count: int) -> list[list[Any]]:
    """What `encode` gave for `count` frames, frame by frame, each as `encode` gives it for one."""
    if count == 1:
        return [list(encoded)]
    return [[_row(features, n) for features in encoded] for n in range(count)]


def advance(videos: Sequence[Sequence[Branch]], encoded: Sequence[Any]) -> list[tuple[Tensor, list[Any]]]:
    """The next frame of each video: the leader's probabilities (1, 1 + K, H, W), and each branch's next State.

    videos: the branches of each, alike by `key`; encoded: what `encode` made of their next frames. They are computed as one batch. Their
    states are left as they are.
    """
    views = list(zip(*videos, strict=True))
    lead = leader(videos[0])
    states = [join([branch.state for branch in view]) for view in views]
    if len(views) == 1:
        stepped = [views[0][0].model.step(encoded[0], states[0])]
    else:
        own = [view[0].model.predict_in_chunks(*inputs) for view, *inputs in zip(views, encoded, states, strict=True)]
        agreed = _agree([view[0] for view in views], [prediction.logits for prediction in own], lead)
        stepped = [
            view[0].model.advance(features, prediction._replace(logits=logits), state)
            for view, features, prediction, logits, state in zip(views, encoded, own, agreed, states, strict=True)
        ]
    slots = [video[0].state.masks.shape[1] for video in videos]
    shown, _ = stepped[lead]
    next_states = zip(*(split(state, slots) for _, state in stepped), strict=True)
    return [(shown[n : n + 1, : 1 + k], list(each)) for n, (k, each) in enumerate(zip(slots, next_states, strict=True))]


def _agree(branches: Sequence[Branch], logits: Sequence[Tensor], lead: int) -> list[Tensor]:
    """Log odds (B, K, H, W) of every branch on its own grid -> the same with their common average over the frame; pads keep their own."""
    size, k = branches[lead].grid.inner, logits[lead].shape[1]
    mean = torch.zeros((), device=logits[lead].device)
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


def _row(features: Any, n: int) -> Any:
    if isinstance(features, Tensor):
        return features[n : n + 1]
    return type(features)(*(each[n : n + 1] for each in features))


def _images(view: Sequence[Branch], frames: Sequence[np.ndarray]) -> Tensor:
    """(B, 3, H, W): one frame of each video; they may be of several sizes, which are one inside the model."""
    if all(branch.grid == view[0].grid for branch in view):
        return view[0].images(frames)
    return torch.cat([branch.images([frame]) for branch, frame in zip(view, frames, strict=True)])
