"""A pointer of random weights over a toy encoder, and one that finds what has the colour of the click."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.pointing.model import PointingModel
from vos_zoo.pointing.network import PointingConfig, PointingNetwork

SMALL = PointingConfig(features=(8, 8, 8, 8), widths=(8, 8, 8), relations=1, blocks=(1, 1))


class Maps(NamedTuple):
    s16: Tensor
    s8: Tensor
    s4: Tensor
    trunk: Tensor


class ToyEncoder(nn.Module):
    """Colours, averaged; counts how often it is asked."""

    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def encode(self, frames: Tensor) -> Maps:
        self.asked += 1
        wide = frames.repeat(1, 3, 1, 1)[:, :8]
        return Maps(F.avg_pool2d(wide, 16), F.avg_pool2d(wide, 8), F.avg_pool2d(wide, 4), F.avg_pool2d(wide, 16))

    def describe(self, features: Maps) -> Tensor:
        return features.trunk - features.trunk.mean((2, 3), keepdim=True)

    def start(self, features: Maps, masks: Tensor) -> Tensor:
        return masks

    def step(self, features: Maps, state: Tensor) -> tuple[Tensor, Tensor]:
        """What has the mean colour of the mask."""
        colours = F.interpolate(features.s4, scale_factor=4.0)[:, :3]
        object_ = (8 - 60 * _distance(colours, state)).sigmoid()[:, None]
        return torch.cat([1 - object_, object_], 1), state


class ByColour(PointingNetwork):
    """The object is whatever has the mean colour under the positive marks, and not that under the negative ones."""

    def prepare(self, features: Any) -> Any:
        return features

    def forward(self, image: Any, marks: Tensor) -> Any:
        colours = F.interpolate(image.s4, scale_factor=2.0)[:, :3]
        told = F.avg_pool2d(marks, 2)
        positive = told[:, :1] if told[:, :1].sum() > 0 else told[:, 2:3]
        logits = 8 - 60 * _distance(colours, positive)
        if told[:, 1:2].sum() > 0:
            logits = torch.minimum(logits, 60 * _distance(colours, told[:, 1:2]) - 8)
        return logits, ()


def _distance(colours: Tensor, where: Tensor) -> Tensor:
    mean = (colours * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True).clamp(min=1e-6)
    return (colours - mean).abs().mean(1)


def toy_pointer(kind: type[PointingNetwork] = ByColour) -> PointingModel:
    torch.manual_seed(0)
    encoder: Any = ToyEncoder()
    config = ModelConfig(name="toy", architecture="PointingNetwork")
    return PointingModel(kind(SMALL), encoder, config, device="cpu", dtype="float32")


def scene(height: int = 96, width: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a red and a green square, and the masks of both."""
    picture = np.full((height, width, 3), 90, np.uint8)
    red, green = np.zeros((height, width), bool), np.zeros((height, width), bool)
    red[16:64, 16:64], green[32:80, 96:144] = True, True
    picture[red], picture[green] = (220, 40, 40), (40, 200, 60)
    return picture, red, green


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())
