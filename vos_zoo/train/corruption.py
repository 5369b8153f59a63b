"""Masks as a model's own mistakes would have left them: what the first frame of a training clip is told."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.patches import Look, coloured_patch


def corrupt(
    masks: Tensor,
    rng: torch.Generator,
    strength: float = 1.0,
    leaks: float = 0.0,
    look: Look | None = None,
    ghosts: Tensor | None = None,
) -> Tensor:
    """What a model's own previous mask looks like when it went wrong: shifted, scaled, warped, grown or shrunk, with a part
    missing or a spill onto its surroundings or onto another object.

    masks (B, K, H, W) in [0, 1], H and W multiples of 4 -> the same shape, soft, in [0, 1]. strength scales all that goes
    wrong. A few slots come back untouched, a few nearly empty; a slot without a pixel stays without.
    leaks: share of the slots that take in large patches anywhere in the frame, as masks do that leaked onto the background long ago.
    look: patches, spills and missing parts follow the picture, in a share of the slots. ghosts (B, K) bool: slots that leak for sure,
    even if nothing of the object is there, as masks do that stayed behind when their object left.
    """
    full = masks.shape[-2:]
    masks = F.avg_pool2d(masks, 4)  # shapes only: a quarter of the resolution is plenty
    b, k, h, w = masks.shape
    flat = masks.reshape(b * k, 1, h, w)
    n, device, ratio = b * k, masks.device, w / h
    mass = flat.mean((1, 2, 3)).cpu()
    size = (mass.clamp(min=1e-4) * ratio * 4).sqrt() * strength  # typical extent, half frame heights
    shift = torch.randn(n, 2, generator=rng) * 0.14 * size[:, None]
    scale = torch.exp(torch.randn(n, 2, generator=rng) * 0.1 * strength)
    turn = torch.randn(n, generator=rng) * 0.15 * strength

    ys = ((torch.arange(h) + 0.5) / h * 2 - 1)[:, None].expand(h, w).to(device)
    xs = (((torch.arange(w) + 0.5) / w * 2 - 1) * ratio)[None, :].expand(h, w).to(device)
    weight = flat[:, 0] / flat[:, 0].sum((1, 2), keepdim=True).clamp(min=1e-6)
    cx, cy = (weight * xs).sum((1, 2)), (weight * ys).sum((1, 2))
    nodes = torch.randn(n, 2, 4, 6, generator=rng) * 0.16 * size[:, None, None, None]
    field = F.interpolate(nodes, (h, w), mode="bicubic", align_corners=True).to(device)
    cos, sin, scale, shift = torch.cos(turn).to(device), torch.sin(turn).to(device), scale.to(device), shift.to(device)

    def per(v: Tensor) -> Tensor:
        return v[:, None, None]

    dx = xs - per(cx + shift[:, 0]) + field[:, 0]
    dy = ys - per(cy + shift[:, 1]) + field[:, 1]
    x = (per(cos) * dx + per(sin) * dy) * per(scale[:, 0]) + per(cx)
    y = (-per(sin) * dx + per(cos) * dy) * per(scale[:, 1]) + per(cy)
    grid = torch.stack([x / ratio, y], -1)
    source = flat
    if k > 1:  # a spill onto the neighbour in the next slot
        other = masks.roll(1, 1).reshape(n, 1, h, w)
        spill = (torch.rand(n, 1, 1, 1, generator=rng) < 0.15 * strength).to(device)
        source = torch.where(spill, torch.maximum(flat, other * (torch.rand(n, 1, 1, 1, generator=rng)).to(device)), flat)
    out = F.grid_sample(source, grid, align_corners=False)

    blob = F.interpolate(torch.rand(n, 1, 5, 7, generator=rng), (h, w), mode="bicubic", align_corners=True).to(device)
    near = F.interpolate(F.avg_pool2d(out, 8, ceil_mode=True), (h, w), mode="bilinear") > 0.03
    draw = torch.rand(n, 1, 1, 1, generator=rng).to(device)
    missing, spilt = blob > 0.62, (blob > 0.7) & near
    if look is not None:
        picture, reference = (F.avg_pool2d(each, 4).repeat_interleave(k, 0) for each in look[1:])
        followed = (torch.rand(n, 1, 1, 1, generator=rng) < look.share).to(device)
        missing = torch.where(followed, coloured_patch(picture, picture, out, rng), missing)
        spilt = torch.where(followed, coloured_patch(picture, reference, near * (1 - out).clamp(min=0), rng), spilt)
    out = torch.where((draw < 0.22 * strength) & missing, torch.zeros_like(out), out)
    out = torch.where((draw > 1 - 0.22 * strength) & spilt, torch.ones_like(out), out)
    if leaks or ghosts is not None:
        patches = F.interpolate(torch.rand(n, 1, 4, 6, generator=rng), (h, w), mode="bicubic", align_corners=True).to(device) > 0.75
        leaking = (torch.rand(n, 1, 1, 1, generator=rng) < leaks).to(device)
        if look is not None:
            anywhere = torch.ones_like(out)
            coloured = coloured_patch(picture, reference, anywhere, rng)
            twice = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(device)
            coloured = coloured | twice & coloured_patch(picture, reference, anywhere, rng)
            patches = torch.where(followed, coloured, patches)
        if ghosts is not None:
            leaking = leaking | ghosts.reshape(n, 1, 1, 1)
        out = torch.where(leaking & patches, torch.ones_like(out), out)
    soft = F.avg_pool2d(F.pad(out, [2, 2, 2, 2], mode="replicate"), 5, 1)
    level = (0.5 + torch.randn(n, 1, 1, 1, generator=rng) * 0.2 * strength).clamp(0.1, 0.9).to(device)
    grown = torch.sigmoid((soft - level) * 20)
    out = torch.where((torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(device), grown, out)
    fade = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.2, torch.rand(n, 1, 1, 1, generator=rng), torch.ones(1)).to(device)
    intact = (torch.rand(n, 1, 1, 1, generator=rng) < 0.1).to(device)
    out = torch.where(intact, flat, out * fade)
    there = flat.amax((2, 3), keepdim=True) > 0
    if ghosts is not None:
        there = there | ghosts.reshape(n, 1, 1, 1)
    out = (out * there).reshape(b, k, h, w)
    return F.interpolate(out, full, mode="bilinear")
