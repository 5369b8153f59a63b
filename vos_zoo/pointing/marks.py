"""What a user says of an object, as maps that a network reads: (4, H, W) in [0, 1] on its grid.

0  positive disks and strokes      2  the inside of the box
1  negative ones                   3  the previous mask, zero where there is none
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

DISK = 5.0  # radius of a click's disk, pixels of the grid (RITM, Sofiiuk et al. 2021, 3.3)
STROKE = 3.0  # of a stroke


def blank(count: int, height: int, width: int, like: Tensor) -> Tensor:
    """(count, 4, height, width): nothing said yet."""
    return like.new_zeros(count, 4, height, width)


def add_disk(marks: Tensor, x: float, y: float, positive: bool, radius: float) -> None:
    """Draw a disk into marks (4, H, W). x, y: pixels of the grid, centres at whole numbers."""
    height, width = marks.shape[-2:]
    x0, x1 = max(0, math.ceil(x - radius)), min(width, math.floor(x + radius) + 1)
    y0, y1 = max(0, math.ceil(y - radius)), min(height, math.floor(y + radius) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    ys, xs = torch.arange(y0, y1, device=marks.device), torch.arange(x0, x1, device=marks.device)
    inside = ((ys[:, None] - y) ** 2 + (xs[None] - x) ** 2 <= radius**2).to(marks.dtype)
    part = marks[0 if positive else 1, y0:y1, x0:x1]
    torch.maximum(part, inside, out=part)


def add_box(marks: Tensor, box: tuple[float, float, float, float]) -> None:
    """Fill the inside of a box, x0, y0, x1, y1 in pixels of the grid, edges included in part."""
    height, width = marks.shape[-2:]
    x0, y0, x1, y1 = box
    across = _covered(width, x0, x1, marks)
    down = _covered(height, y0, y1, marks)
    torch.maximum(marks[2], down[:, None] * across[None], out=marks[2])


def _covered(length: int, start: float, stop: float, like: Tensor) -> Tensor:
    """How much of each of `length` pixels lies between start and stop."""
    left = torch.arange(length, device=like.device, dtype=like.dtype)
    return (torch.clamp(left + 1, max=stop) - torch.clamp(left, min=start)).clamp(0, 1)
