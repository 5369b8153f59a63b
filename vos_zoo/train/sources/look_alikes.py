"""Copies of an object elsewhere in a real clip's window: a second object to follow, or some that nobody follows."""

from __future__ import annotations

import zlib

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_BYSTANDERS = 3


def twin(frames: Tensor, masks: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """A look-alike: the first slot's object once more, mirrored and shifted, in the second slot, in front of the first or behind it.

    Where it goes is the clip's by its name, so that its frames come again as they were. frames (T, 3, H, W), masks (T, K, H, W), of which
    the first is in use -> the same.
    """
    rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    down, right, side, front = torch.rand(4, generator=rng).tolist()
    along, across = (down - 0.5) * 0.2 * frames.shape[2], (0.2 + 0.3 * right) * frames.shape[3]
    here = masks[:, :1]
    pictures, there = _copied(frames.flip(3), here.flip(3), along, across if side < 0.5 else -across)
    shown = there if front < 0.5 else there * (1 - here)
    masks = masks.clone()
    masks[:, :1], masks[:, 1:2] = here * (1 - shown), shown
    return torch.where(shown > 0, pictures, frames), masks


def bystanders(frames: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Look-alikes that nobody follows: up to `MOST_BYSTANDERS` copies of one object, each mirrored or not, somewhere else.

    A copy lies behind all objects or, if half of each is left to be seen at first, in front. A model that follows by looks alone goes over
    to one. rng decides everything.
    frames (T, 3, H, W), masks (T, K, H, W), of which some are in use -> the same; no mask grows.
    """
    used = masks.any(3).any(2).any(0).nonzero()[:, 0]
    if not len(used):
        return frames, masks
    own = int(used[int(torch.randint(len(used), (), generator=rng))])
    plain = frames, masks[:, own : own + 1]
    height, width = frames.shape[2:]
    for _ in range(int(torch.randint(1, MOST_BYSTANDERS + 1, (), generator=rng))):
        mirrored, front, down, right = torch.rand(4, generator=rng).tolist()
        seen, there = [each.flip(3) for each in plain] if mirrored < 0.5 else plain
        columns = there.sum((0, 1, 2))
        middle = float((columns * torch.arange(width, device=columns.device)).sum() / columns.sum())
        across = (0.1 + 0.4 * right) * width
        pictures, shown = _copied(seen, there, (down - 0.5) * 0.3 * height, across if middle < width / 2 else -across)
        if front < 0.5 and _hides_at_most_half(shown[0], masks[0]):
            masks = masks * (1 - shown)
        else:
            shown = shown * (1 - masks.amax(1, keepdim=True))
        frames = torch.where(shown > 0, pictures, frames)
    return frames, masks


def _hides_at_most_half(shown: Tensor, masks: Tensor) -> bool:
    """Whether of each object, masks (K, H, W), half is left where `shown` (1, H, W) lies in front."""
    return bool(((masks * shown).sum((1, 2)) * 2 <= masks.sum((1, 2))).all())


def _copied(frames: Tensor, mask: Tensor, down: float, right: float) -> tuple[Tensor, Tensor]:
    """frames (T, 3, H, W) and an object's mask (T, 1, H, W) moved by so many pixels, rounded, zeros behind them; the mask of 0 and 1."""
    maps = torch.cat([frames, mask], 1)
    (h, w), down, right = maps.shape[-2:], round(down), round(right)
    moved = F.pad(maps, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))[
        ..., max(-down, 0) : max(-down, 0) + h, max(-right, 0) : max(-right, 0) + w
    ]
    return moved[:, :3], (moved[:, 3:] > 0.5).float()
