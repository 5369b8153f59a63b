"""Thin things in front of a clip: poles, fences, twigs. What they hide is not part of any mask."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.synthesis.scene import uniform

MOST = 7  # bars of a clip


def lay_bars(frames: Tensor, masks: Tensor, times: Tensor, share: float, rng: torch.Generator) -> None:
    """Draw bars over a share of the clips, in place: single ones, or a fence of them side by side.

    frames (B, T, 3, H, W) in [0, 1]; masks (B, T, K, H, W), 0 or 1, lose what is hidden; times (B, T): when each frame was taken. A bar is
    straight or bent, up to an eighth of the frame's height wide, has one of the picture's colours or any, and moves past at a steady pace.
    """
    for b in torch.nonzero(torch.rand(len(frames), generator=rng) < share).flatten().tolist():
        fence = uniform(rng) < 0.35
        count = 2 + int(uniform(rng) * (MOST - 1)) if fence else 1 + int(uniform(rng) * 3)
        turn = uniform(rng) - 0.5 if uniform(rng) < 0.75 else math.pi * uniform(rng)  # from upright, radians
        half_width = 0.008 * 15 ** uniform(rng) / (2 if fence else 1)  # half frame heights
        velocity = torch.randn(2, generator=rng) * 0.04
        start = (torch.rand(2, generator=rng) * 2 - 1) * torch.tensor([frames.shape[-1] / frames.shape[-2], 1.0]) * 0.9
        spacing = half_width * (3 + 8 * uniform(rng))
        for n in range(count):
            if not fence:
                turn = turn + 0.3 * float(torch.randn((), generator=rng))
            place = start + (n - count // 2) * spacing * torch.tensor([math.cos(turn), math.sin(turn)]) if fence else start
            _lay(frames[b], masks[b], times[b], place, velocity, turn, half_width, rng)
            if not fence:
                start = start + torch.randn(2, generator=rng) * 0.5
                half_width = min(0.12, half_width * math.exp(0.5 * float(torch.randn((), generator=rng))))


def _lay(
    frames: Tensor, masks: Tensor, times: Tensor, place: Tensor, velocity: Tensor, turn: float, half_width: float, rng: torch.Generator
) -> None:
    """One bar through the point `place`, `turn` radians from upright. frames (T, 3, H, W), masks (T, K, H, W), times (T,)."""
    h, w = frames.shape[-2:]
    device = frames.device
    point = (place + velocity * times[:, None].float()).to(device)  # (T, 2)
    y = torch.linspace(-1 + 1 / h, 1 - 1 / h, h, device=device)[:, None] - point[:, 1, None, None]
    x = torch.linspace(-1 + 1 / w, 1 - 1 / w, w, device=device) * (w / h) - point[:, 0, None, None]
    across = x * math.cos(turn) + y * math.sin(turn)
    along = y * math.cos(turn) - x * math.sin(turn)
    bend, taper = 0.08 * torch.randn(2, generator=rng)
    across = across - float(bend) * along.square()
    width = half_width * (1 + float(taper) * along).clamp(min=0.3)
    opacity = ((width - across.abs()) * h / 2 + 0.5).clamp(0, 1)
    if uniform(rng) < 0.3:  # a twig has an end
        opacity = opacity * (along < uniform(rng)).float()
    row, column = int(uniform(rng) * h), int(uniform(rng) * w)
    colour = frames[0, :, row, column].clone() if uniform(rng) < 0.6 else torch.rand(3, generator=rng).to(device) ** 1.5
    grain = F.interpolate(torch.randn(1, 1, 40, 5, generator=rng).to(device), (160, 20), mode="bicubic")
    seen = torch.stack([across / width, along / 3], -1).clamp(-1, 1)
    light = F.grid_sample(grain.expand(len(seen), 1, 160, 20), seen, align_corners=False)[:, 0]
    round_off = 0.75 + 0.25 * (1 - (across / width).square()).clamp(min=0).sqrt()
    look = (colour[:, None, None] * (round_off * (1 + 0.15 * light))[:, None]).clamp(0, 1)
    frames += (look - frames) * opacity[:, None]
    masks *= (opacity < 0.5)[:, None]
