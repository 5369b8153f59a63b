"""A model small enough to see through: an object is every pixel of the colour that it had in the annotated frame.

It proves that the engine knows the contract and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.models.base import Prediction, VOSModel
from vos_zoo.models.parts.ops import aggregate
from vos_zoo.segmenter import Segmenter


class State(NamedTuple):
    masks: Tensor  # (B, K, H, W)
    active: Tensor  # (B, K) bool
    colours: Tensor  # (B, K, 3)


@dataclass(frozen=True)
class Config:
    tolerance: float = 0.1


class Toy(VOSModel):
    Config = Config
    stride = 8
    padding = "reflect"
    needs_first_frame = True

    def __init__(self, config: Config | None = None):
        super().__init__()
        self.config = config or Config()
        self.scale = torch.nn.Parameter(torch.tensor(60.0))
        self.encoded = 0

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded += len(frames)
        return frames

    def start(self, features: Tensor, masks: Tensor, active: Tensor | None = None) -> State:
        if active is None:
            active = torch.ones(masks.shape[:2], dtype=torch.bool, device=masks.device)
        weight = masks / masks.sum((2, 3), keepdim=True).clamp(min=1e-6)
        return State(masks, active, torch.einsum("bkhw,bchw->bkc", weight, features))

    def predict(self, features: Tensor, state: State) -> Prediction:
        distance = (features[:, None] - state.colours[..., None, None]).abs().amax(2)
        return Prediction((self.config.tolerance - distance) * self.scale.float())

    def advance(self, features: Tensor, prediction: Prediction, state: State) -> tuple[Tensor, State]:
        probs = aggregate(prediction.logits, state.active)
        return probs, State(probs[:, 1:], state.active, state.colours)

    def replace_masks(self, state: State, masks: Tensor) -> State:
        return state._replace(masks=masks)

    def annotate(self, features: Tensor, masks: Tensor, given: Tensor, state: State) -> State:
        fresh = self.start(features, masks)
        k = state.masks.shape[1]
        seen = given & (masks.sum((2, 3)) > 0)
        old_masks = torch.cat([state.masks, masks[:, k:]], 1)
        old_colours = torch.cat([state.colours, fresh.colours[:, k:]], 1)
        masks = torch.where(given[..., None, None], masks, old_masks)
        return State(masks, torch.cat([state.active, given[:, k:]], 1), torch.where(seen[..., None], fresh.colours, old_colours))


def toy_segmenter(short_side: int | None = None, **options: object) -> Segmenter:
    config = ModelConfig(name="toy", architecture="Toy", preprocess=Preprocess(short_side))
    return Segmenter(Toy(), config, **{"device": "cpu", "dtype": "float32", **options})  # type: ignore[arg-type]


COLOURS = {1: (220, 40, 40), 2: (40, 200, 60), 3: (50, 60, 230), 300: (230, 220, 40)}


def squares_clip(
    frames: int = 12, size: tuple[int, int] = (44, 60), ids: tuple[int, ...] = (1, 2), appear: dict[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Coloured squares that drift over grey: (T, H, W, 3) uint8 frames and their exact (T, H, W) int32 ids."""
    height, width = size
    video = np.full((frames, height, width, 3), 120, np.uint8)
    truth = np.zeros((frames, height, width), np.int32)
    for n, k in enumerate(ids):
        for t in range((appear or {}).get(k, 0), frames):
            y, x = 4 + 12 * n, 4 + (t * (2 + n)) % (width - 16)
            video[t, y : y + 8, x : x + 10] = COLOURS[k]
            truth[t, y : y + 8, x : x + 10] = k
    return video, truth
