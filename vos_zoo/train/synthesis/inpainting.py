"""Filling the hole that a cut-out object leaves in its still."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_in(rgb: Tensor, hole: Tensor) -> Tensor:
    """Fill a hole from its surroundings: averages over ever larger neighbourhoods, the smallest that sees anything wins.

    rgb (3, S, S), hole (S, S) bool -> (3, S, S). The hole is filled with a margin of 4 pixels, the rest is left as it is.
    """
    grown = F.max_pool2d(hole[None, None].float(), 9, 1, 4)
    known = 1 - grown
    colour, weight = rgb[None] * known, known
    pyramid = [(colour, weight)]
    while min(colour.shape[-2:]) > 4:
        colour, weight = F.avg_pool2d(colour, 2), F.avg_pool2d(weight, 2)
        pyramid.append((colour, weight))
    colour, weight = pyramid[-1]
    filled = colour.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6) * torch.ones_like(weight)
    for colour, weight in reversed(pyramid):
        below = F.interpolate(filled, colour.shape[-2:], mode="bilinear", align_corners=False)
        trust = weight.clamp(max=1)
        filled = below * (1 - trust) + colour / weight.clamp(min=1e-6) * trust
    return torch.where(grown[0] > 0, filled[0], rgb)
