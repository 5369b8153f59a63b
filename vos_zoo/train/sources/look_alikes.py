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
    copied = _shifted(torch.cat([frames, masks[:, :1]], 1).flip(3), round(along), round(across if side < 0.5 else -across))
    here, there = masks[:, :1], (copied[:, 3:] > 0.5).float()
    shown = there if front < 0.5 else there * (1 - here)
    masks = masks.clone()
    masks[:, :1], masks[:, 1:2] = here * (1 - shown), shown
    return torch.where(shown > 0, copied[:, :3], frames), masks


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
    source = torch.cat([frames, masks[:, own : own + 1]], 1)
    height, width = frames.shape[2:]
    for _ in range(int(torch.randint(1, MOST_BYSTANDERS + 1, (), generator=rng))):
        mirrored, front, down, right = torch.rand(4, generator=rng).tolist()
        copied = source.flip(3) if mirrored < 0.5 else source
        columns = copied[:, 3].sum((0, 1))
        middle = float((columns * torch.arange(width, device=columns.device)).sum() / columns.sum())
        across = (0.1 + 0.4 * right) * width
        copied = _shifted(copied, round((down - 0.5) * 0.3 * height), round(across if middle < width / 2 else -across))
        shown = (copied[:, 3:] > 0.5).float()
        if front < 0.5 and _hides_at_most_half(shown[0], masks[0]):
            masks = masks * (1 - shown)
        else:
            shown = shown * (1 - masks.amax(1, keepdim=True))
        frames = torch.where(shown > 0, copied[:, :3], frames)
    return frames, masks


def _hides_at_most_half(shown: Tensor, masks: Tensor) -> bool:
    """Whether of each object, masks (K, H, W), half is left where `shown` (1, H, W) lies in front."""
    return bool(((masks * shown).sum((1, 2)) * 2 <= masks.sum((1, 2))).all())


def _shifted(maps: Tensor, down: int, right: int) -> Tensor:
    """(T, C, H, W) moved by so many pixels, zeros behind it."""
    h, w = maps.shape[-2:]
    return F.pad(maps, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))[
        ..., max(-down, 0) : max(-down, 0) + h, max(-right, 0) : max(-right, 0) + w
    ]
