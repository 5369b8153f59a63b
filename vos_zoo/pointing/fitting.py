"""A loose mask is fitted to the object in it, by the propagation model itself: the picture is stepped as its own next frame.

A propagation model finds in a frame what a coarse mask of the frame before covers, so a mask that takes in some background comes back as
the object in it. Neither RITM nor SimpleClick has this: their networks know no frame before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.models.base import VOSModel

if TYPE_CHECKING:
    from vos_zoo.pointing.pointer import Look

FITTED_LOOK = 320 * 320  # pixels of the model's grid
STEPS = 2  # by which the answer to a first click is fitted
LEAST = 0.02  # of a loose mask: less than this is no object, and the mask stays as it was


def fitted(encoder: VOSModel, look: Look, mask: Tensor) -> Tensor:
    """How likely each pixel of a look's window is of the object that a mask covers: (h, w) in [0, 1] -> (h, w) in [0, 1]."""
    small = resize(mask[None, None].float(), look.grid).to(look.image.s16.dtype)
    probs, _ = encoder.step(look.features, encoder.start(look.features, small))
    return resize(probs[:, 1:2].float(), look.window.size)[0, 0]


def agreed(encoder: VOSModel, look: Look, pointed: Tensor, loose: Tensor, inside: Tensor) -> Tensor:
    """What the pointer and the propagation model find in a loose mask, taken together and fitted once more; nothing outside of it.

    Args:
        encoder: the propagation model.
        look: a window that holds the mask, encoded.
        pointed: (h, w) in [0, 1], the pointer's answer.
        loose: (h, w) in [0, 1], the mask, or what stands for it.
        inside: (h, w) bool, where the object can be.
    """
    both = (pointed + fitted(encoder, look, loose)) / 2
    return fitted(encoder, look, both * inside) * inside


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
