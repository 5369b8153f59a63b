"""Patches that follow a picture: parts of it of one colour, as a model takes in or loses them when its mask goes wrong."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Look(NamedTuple):
    """What the frame of some masks looks like, and how much of what goes wrong follows that."""

    share: float  # of the leaks, spills and missing parts
    picture: Tensor  # (B, 3, H, W) in [0, 1]: the masks' frame
    reference: Tensor  # (B, 3, H, W): where the colours of leaks are taken from, so that two frames' masks leak onto the same thing


def coloured_patch(picture: Tensor, reference: Tensor, where: Tensor, rng: torch.Generator) -> Tensor:
    """(N, 1, h, w) bool: around a point drawn from `where`, in an ellipse drawn too, what has the colour of the point in the reference.

    picture and reference (N, 3, h, w) in [0, 1]; where (N, 1, h, w) >= 0, shares of the points. Nothing where `where` is nothing.
    """
    n, _, h, w = picture.shape
    device = picture.device
    draws = torch.rand(n, 4, generator=rng).to(device)
    reached = where.flatten(1).cumsum(1)
    total = reached[:, -1:]
    place = torch.searchsorted(reached, draws[:, :1] * total).clamp(max=h * w - 1)
    row, column = place // w, place % w
    colour = reference.flatten(2).gather(2, place[:, None].expand(-1, 3, -1))[..., None]  # (N, 3, 1, 1)
    near = (picture - colour).square().sum(1).sqrt() < (0.08 + 0.22 * draws[:, 1])[:, None, None]
    radius = h * (0.06 + 0.34 * draws[:, 2:].square())
    y = (torch.arange(h, device=device) - row) / radius[:, :1]
    x = (torch.arange(w, device=device) - column) / radius[:, 1:]
    inside = y.square()[:, :, None] + x.square()[:, None] < 1
    patch = (near & inside)[:, None].float()
    return (F.avg_pool2d(patch, 3, 1, padding=1) > 0.4) & (total[..., None, None] > 0)
