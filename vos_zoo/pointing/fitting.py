"""A loose mask is fitted to the object in it, by the propagation model itself: the picture is stepped as its own next frame.

A propagation model finds in a frame what a coarse mask of the frame before covers, so a mask that takes in some background comes back as
the object in it. What lies outside of a box or a loose mask is background: places inside that look like it, by the features of the trunk,
are left out first (GrabCut's idea, Rother et al. 2004). Neither RITM nor SimpleClick has these: their networks know no frame before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.models.base import VOSModel

if TYPE_CHECKING:
    from vos_zoo.pointing.pointer import Look

FITTED_LOOK = 320 * 320  # pixels of the model's grid
STEPS = 2  # by which the answer to a first click is fitted
SPREAD = 0.05  # of its size, by which that answer is made wider in the first of them: one that holds a part of the object can grow
NEIGHBOURS, FEWEST_OUTSIDE = 3, 8  # cells outside that a cell is compared with; fewer than these tell nothing
OUTSIDE = 0.05  # the share inside below which a cell is outside
ALIKE, SOFTNESS = 0.65, 0.04  # cosine above which a cell is rather background, and how sharply: chosen on DAVIS-2016's training clips
LEAST = 0.02  # of a loose mask: less than this is no object, and the mask stays as it was


def fitted(encoder: VOSModel, look: Look, mask: Tensor, spread: float = 0.0) -> Tensor:
    """How likely each pixel of a look's window is of the object that a mask covers: (h, w) in [0, 1] -> (h, w) in [0, 1].

    spread: of the mask's size, the root of its area, by which it is made wider first; half sure there.
    """
    small = resize(mask[None, None].float(), look.grid)
    if spread:
        reach = math.ceil(spread * float((small > 0.5).sum()) ** 0.5)
        small = torch.maximum(small, F.max_pool2d(small, 2 * reach + 1, 1, reach) / 2)
    probs, _ = encoder.step(look.features, encoder.start(look.features, small.to(look.image.s16.dtype)))
    return resize(probs[:, 1:2].float(), look.window.size)[0, 0]


def found_in(encoder: VOSModel, look: Look, pointed: Tensor, likely: Tensor, inside: Tensor) -> Tensor:
    """What the pointer finds in a box or a loose mask, but for what looks like its surroundings, fitted twice; nothing outside of it.

    Args:
        encoder: the propagation model.
        look: a window that holds the box or the mask, encoded.
        pointed: (h, w) in [0, 1], the pointer's answer.
        likely: (h, w) in [0, 1], where the object is by the shape of what was drawn alone.
        inside: (h, w) bool, where it can be.
    """
    apart = unlike_surroundings(encoder, look, inside) * inside
    return fitted(encoder, look, fitted(encoder, look, pointed * likely * apart) * apart) * inside


def unlike_surroundings(encoder: VOSModel, look: Look, inside: Tensor) -> Tensor:
    """(h, w) in [0, 1]: how little each place of a window looks like what lies outside of `inside`, (h, w) bool, which is background.

    A cell of the trunk's map is compared with the cells outside that it resembles most. 1 everywhere if too little lies outside.
    """
    described = encoder.describe(look.features)
    height, width = described.shape[-2:]
    cells = F.normalize(described[0].float().flatten(1).T, dim=1)  # (N, C)
    outside = resize(inside[None, None].float(), (height, width)).flatten() < OUTSIDE
    if outside.sum() < FEWEST_OUTSIDE:
        return torch.ones_like(inside, dtype=torch.float32)
    alike = (cells @ cells[outside].T).topk(NEIGHBOURS, 1).values.mean(1)
    unlike = ((ALIKE - alike) / SOFTNESS).sigmoid()
    return resize(unlike.view(1, 1, height, width), look.window.size)[0, 0]


def ellipse(height: int, width: int, box: tuple[float, float, float, float], like: Tensor) -> Tensor:
    """(height, width) of 0 and 1: the ellipse in a box, x0, y0, x1, y1."""
    x0, y0, x1, y1 = box
    y = (torch.arange(height, device=like.device) + 0.5 - (y0 + y1) / 2) / (y1 - y0)
    x = (torch.arange(width, device=like.device) + 0.5 - (x0 + x1) / 2) / (x1 - x0)
    return (y[:, None] ** 2 + x[None] ** 2 <= 0.25).float()


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear; antialiased where it gets smaller."""
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=shrinks)
