"""Masks as a model's own mistakes would have left them: what the first frame of a training clip is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.patches import Look, coloured_patch

COARSE = 4  # pixels a cell: shapes alone matter here, and a quarter of the resolution is plenty


@dataclass(frozen=True)
class Mistakes:
    """How often, and how far, masks go wrong. Lengths are in extents of the object, shares are of the slots (clip, object)."""

    shift: float = 0.14  # standard deviation
    scale: float = 0.1  # standard deviation of its logarithm
    turn: float = 0.15  # standard deviation, radians
    warp: float = 0.16  # standard deviation of the nodes of a smooth field
    warp_nodes: tuple[int, int] = (4, 6)
    onto_neighbour: float = 0.15  # share that takes in some of the object in the next slot
    missing: float = 0.22  # share that loses parts
    missing_above: float = 0.62  # of smooth noise in [0, 1]: the higher, the smaller the parts
    spilt: float = 0.22  # share that takes in parts of its surroundings
    spilt_above: float = 0.7
    leak_above: float = 0.75
    regrown: float = 0.5  # share whose edge moves out or in
    edge: float = 0.2  # standard deviation of the level at which the smoothed mask is cut again
    faded: float = 0.2  # share that is multiplied by a factor in [0, 1]
    intact: float = 0.1  # share that stays right


MISTAKES = Mistakes()


def corrupt(
    masks: Tensor,
    rng: torch.Generator,
    strength: float = 1.0,
    leaks: float = 0.0,
    look: Look | None = None,
    ghosts: Tensor | None = None,
) -> Tensor:
    """What a model's own previous mask looks like when it went wrong.

    It is shifted, scaled, turned, warped, grown or shrunk, with a part missing or a spill onto its surroundings or onto another
    object. A few slots come back untouched, a few nearly empty; a slot without a pixel stays without.

    Args:
        masks: (B, K, H, W) in [0, 1], H and W multiples of 4.
        rng: decides everything.
        strength: scales all that goes wrong.
        leaks: share of the slots that take in large patches anywhere in the frame, as masks do that leaked onto the background long ago.
        look: patches, spills and missing parts follow the picture, in a share of the slots.
        ghosts: (B, K) bool, slots that leak for sure, even if nothing of the object is there, as masks do that stayed behind when their
            object left.

    Returns:
        The same shape, soft, in [0, 1].
    """
    k = masks.shape[1]
    coarse = F.avg_pool2d(masks, COARSE)
    slots = coarse.flatten(0, 1)[:, None]  # (N, 1, h, w)
    small = None if look is None else _small(look, k)
    haunted = None if ghosts is None else ghosts.reshape(-1, 1, 1, 1)

    wrong = _moved(slots, coarse.roll(1, 1).reshape(slots.shape), k > 1, rng, strength)
    wrong, followed = _torn(wrong, small, rng, strength)
    if leaks or haunted is not None:
        wrong = _leaked(wrong, leaks, small, followed, haunted, rng)
    wrong = _regrown(wrong, rng, strength)
    wrong = _faded(wrong, slots, rng)

    there = slots.amax((2, 3), keepdim=True) > 0
    if haunted is not None:
        there = there | haunted
    return F.interpolate((wrong * there).reshape(coarse.shape), masks.shape[-2:], mode="bilinear")


def _moved(slots: Tensor, neighbours: Tensor, several: bool, rng: torch.Generator, strength: float) -> Tensor:
    """Shifted, scaled, turned and warped about their middle; some hold a part of the object in the next slot too."""
    n, _, h, w = slots.shape
    device, ratio = slots.device, w / h
    mass = slots.mean((1, 2, 3)).cpu()
    extent = (mass.clamp(min=1e-4) * ratio * 4).sqrt() * strength  # in half frame heights
    shift = (torch.randn(n, 2, generator=rng) * MISTAKES.shift * extent[:, None]).to(device)
    scale = torch.exp(torch.randn(n, 2, generator=rng) * MISTAKES.scale * strength).to(device)
    turn = torch.randn(n, generator=rng) * MISTAKES.turn * strength
    cos, sin = torch.cos(turn).to(device), torch.sin(turn).to(device)
    nodes = torch.randn(n, 2, *MISTAKES.warp_nodes, generator=rng) * MISTAKES.warp * extent[:, None, None, None]
    field = F.interpolate(nodes, (h, w), mode="bicubic", align_corners=True).to(device)

    ys = ((torch.arange(h) + 0.5) / h * 2 - 1)[:, None].expand(h, w).to(device)
    xs = (((torch.arange(w) + 0.5) / w * 2 - 1) * ratio)[None, :].expand(h, w).to(device)
    weight = slots[:, 0] / slots[:, 0].sum((1, 2), keepdim=True).clamp(min=1e-6)
    middle_x, middle_y = (weight * xs).sum((1, 2)), (weight * ys).sum((1, 2))

    def per(v: Tensor) -> Tensor:
        return v[:, None, None]

    dx = xs - per(middle_x + shift[:, 0]) + field[:, 0]
    dy = ys - per(middle_y + shift[:, 1]) + field[:, 1]
    x = (per(cos) * dx + per(sin) * dy) * per(scale[:, 0]) + per(middle_x)
    y = (-per(sin) * dx + per(cos) * dy) * per(scale[:, 1]) + per(middle_y)
    source = slots
    if several:
        spill = _drawn(n, rng, device) < MISTAKES.onto_neighbour * strength
        source = torch.where(spill, torch.maximum(slots, neighbours * _drawn(n, rng, device)), slots)
    return F.grid_sample(source, torch.stack([x / ratio, y], -1), align_corners=False)


def _torn(masks: Tensor, look: Look | None, rng: torch.Generator, strength: float) -> tuple[Tensor, Tensor | None]:
    """Parts are missing, others are spilt onto what is near. With a look: also which slots follow it."""
    n, device = len(masks), masks.device
    noise = _smooth_noise(masks, (5, 7), rng)
    near = F.interpolate(F.avg_pool2d(masks, 8, ceil_mode=True), masks.shape[-2:], mode="bilinear") > 0.03
    draw = _drawn(n, rng, device)
    missing, spilt = noise > MISTAKES.missing_above, (noise > MISTAKES.spilt_above) & near
    followed = None
    if look is not None:
        followed = _drawn(n, rng, device) < look.share
        missing = torch.where(followed, coloured_patch(look.picture, look.picture, masks, rng), missing)
        spilt = torch.where(followed, coloured_patch(look.picture, look.reference, near * (1 - masks).clamp(min=0), rng), spilt)
    masks = torch.where((draw < MISTAKES.missing * strength) & missing, torch.zeros_like(masks), masks)
    return torch.where((draw > 1 - MISTAKES.spilt * strength) & spilt, torch.ones_like(masks), masks), followed


def _leaked(
    masks: Tensor, share: float, look: Look | None, followed: Tensor | None, haunted: Tensor | None, rng: torch.Generator
) -> Tensor:
    """Large patches anywhere in the frame are taken in, by a share of the slots and by those that are haunted."""
    n, device = len(masks), masks.device
    patches = _smooth_noise(masks, (4, 6), rng) > MISTAKES.leak_above
    leaking = _drawn(n, rng, device) < share
    if look is not None and followed is not None:
        anywhere = torch.ones_like(masks)
        coloured = coloured_patch(look.picture, look.reference, anywhere, rng)
        twice = _drawn(n, rng, device) < 0.5
        coloured = coloured | twice & coloured_patch(look.picture, look.reference, anywhere, rng)
        patches = torch.where(followed, coloured, patches)
    if haunted is not None:
        leaking = leaking | haunted
    return torch.where(leaking & patches, torch.ones_like(masks), masks)


def _regrown(masks: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Some are smoothed and cut again at another level: their edge moves out or in."""
    n, device = len(masks), masks.device
    soft = F.avg_pool2d(F.pad(masks, [2, 2, 2, 2], mode="replicate"), 5, 1)
    level = (0.5 + torch.randn(n, 1, 1, 1, generator=rng) * MISTAKES.edge * strength).clamp(0.1, 0.9).to(device)
    grown = torch.sigmoid((soft - level) * 20)
    return torch.where(_drawn(n, rng, device) < MISTAKES.regrown, grown, masks)


def _faded(masks: Tensor, right: Tensor, rng: torch.Generator) -> Tensor:
    """Some lose their certainty, some are right after all."""
    n, device = len(masks), masks.device
    fades = torch.rand(n, 1, 1, 1, generator=rng) < MISTAKES.faded
    factor = torch.where(fades, torch.rand(n, 1, 1, 1, generator=rng), torch.ones(1)).to(device)
    return torch.where(_drawn(n, rng, device) < MISTAKES.intact, right, masks * factor)


def _small(look: Look, slots: int) -> Look:
    """The pictures of a look, coarse and once for every slot."""
    picture, reference = (F.avg_pool2d(each, COARSE).repeat_interleave(slots, 0) for each in (look.picture, look.reference))
    return Look(look.share, picture, reference)


def _drawn(n: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """(n, 1, 1, 1), uniform in [0, 1)."""
    return torch.rand(n, 1, 1, 1, generator=rng).to(device)


def _smooth_noise(masks: Tensor, nodes: Sequence[int], rng: torch.Generator) -> Tensor:
    """(N, 1, h, w) between nodes that are uniform in [0, 1)."""
    n, _, h, w = masks.shape
    return F.interpolate(torch.rand(n, 1, *nodes, generator=rng), (h, w), mode="bicubic", align_corners=True).to(masks.device)
