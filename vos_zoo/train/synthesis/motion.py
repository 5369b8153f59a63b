"""How the layers of synthetic clips move: for every pixel of every frame, the point of the layer's texture that is seen there.

Each layer has a smooth affine trajectory with velocity and acceleration, and an elastic field that grows with time; camera motion
is shared by the layers of a clip. One draw of each a clip or layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.synthesis.scene import Layer, SynthesisConfig

COARSE = 8  # the map is smooth: it is computed on every eighth pixel, from the first to the last, and interpolated


def sampling_grids(
    layers: list[Layer],
    owner: list[int],
    aspects: Tensor,
    config: SynthesisConfig,
    shape: tuple[int, int, int],
    rng: torch.Generator,
    device: torch.device | str,
    times: Tensor | None = None,
) -> Tensor:
    """(n, T, H, W, 2) texture coordinates in [-1, 1] as grid_sample takes them; shape is (T, H, W).

    Args:
        owner: the clip of each of the n layers, 0 ... clips - 1.
        aspects: (n,), width / height of the layers' stills.
        times: (clips, T), when each frame is taken, rising; default 0, 1, 2 ...
    """
    t, height, width = shape
    n, ratio = len(layers), width / height
    time = torch.arange(t, dtype=torch.float32).expand(n, t) if times is None else times[owner].float()
    shift, inverse, bend, sway = _trajectories(layers, owner, config, time, rng)

    rows, columns = height // COARSE + 1, width // COARSE + 1
    y = torch.linspace(-1 + 1 / height, 1 - 1 / height, rows)
    x = torch.linspace(-1 + 1 / width, 1 - 1 / width, columns) * ratio
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (rows, columns, 2)
    elastic = (bend[:, None] + sway[:, None] * time[:, :, None, None, None]).flatten(0, 1).to(device)
    elastic = F.interpolate(elastic, (rows, columns), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    moved = grid.to(device) - shift.flatten(0, 1).to(device)[:, None, None] + elastic
    local = moved.flatten(1, 2) @ inverse.flatten(0, 1).to(device).transpose(1, 2)
    local = local + torch.tensor([layer.centre for layer in layers]).repeat_interleave(t, 0).to(device)[:, None]
    aspect = aspects.repeat_interleave(t).to(device)
    local = torch.stack([local[..., 0] / aspect[:, None], local[..., 1]], 1).view(n * t, 2, rows, columns)
    local = F.interpolate(local, (height, width), mode="bilinear", align_corners=True)
    grids = local.permute(0, 2, 3, 1).reshape(n, t, height, width, 2)
    for k, layer in enumerate(layers):
        if layer.rider:  # riders come right behind their base
            grids[k] = grids[k - 1]
    return grids


def _trajectories(
    layers: list[Layer], owner: list[int], config: SynthesisConfig, time: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """shift (n, T, 2), frame to texture (n, T, 2, 2), elastic field in the first frame and its growth a frame (n, 2, 5, 7)."""
    n, clips, t = len(layers), max(owner) + 1, time.shape[1]
    clip = torch.tensor(owner)
    is_base = torch.tensor([layer.number == 0 for layer in layers])
    speeds = torch.tensor(config.speed)[torch.randint(len(config.speed), (clips,), generator=rng)]
    moving = (torch.rand(clips, generator=rng) > config.freeze).float()
    camera = torch.randn(clips, 2, generator=rng) * config.camera * (torch.rand(clips, 1, generator=rng) < 0.7)
    own_speed = torch.where(is_base, 0.3 * speeds[clip], speeds[clip])[:, None]
    velocity = (camera[clip] + torch.randn(n, 2, generator=rng) * own_speed) * moving[clip, None]
    acceleration = torch.randn(n, 2, generator=rng) * 0.25 * own_speed * moving[clip, None]
    calm = torch.where(is_base, 0.4, 1.0) * moving[clip]
    place = torch.tensor([layer.place for layer in layers])
    travelled = _travelled(is_base, config, time, rng)[..., None]
    shift = place[:, None] + velocity[:, None] * travelled + 0.5 * acceleration[:, None] * travelled**2
    if config.shake:
        shaken = (torch.rand(clips, 1, 1, generator=rng) < 1 / 3).float() * moving[:, None, None]
        shift = shift + (torch.randn(clips, t, 2, generator=rng) * config.shake * shaken)[clip]
    turn0 = torch.randn(n, generator=rng) * torch.where(is_base, 0.08, 0.25)
    turn = turn0[:, None] + (torch.randn(n, generator=rng) * config.spin * calm)[:, None] * time
    shear = (torch.randn(n, generator=rng) * 0.1)[:, None] + (torch.randn(n, generator=rng) * 0.02 * calm)[:, None] * time
    scale0 = torch.tensor([layer.scale for layer in layers])
    scale = scale0[:, None] * torch.exp((torch.randn(n, generator=rng) * config.zoom * calm)[:, None] * time)
    flip = torch.tensor([-1.0 if layer.flip else 1.0 for layer in layers])
    cos, sin = torch.cos(turn), torch.sin(turn)
    inverse = torch.stack([torch.stack([cos, sin + shear], -1), torch.stack([-sin, cos], -1)], -2) / scale[..., None, None]
    inverse[..., 0, :] *= flip[:, None, None]
    amplitude = config.elastic * torch.where(is_base, 0.5, 1.0)[:, None, None, None]
    bend = torch.randn(n, 2, 5, 7, generator=rng) * amplitude
    sway = torch.randn(n, 2, 5, 7, generator=rng) * amplitude * 0.35 * calm[:, None, None, None]
    return shift, inverse, bend, sway


def _travelled(is_base: Tensor, config: SynthesisConfig, time: Tensor, rng: torch.Generator) -> Tensor:
    """(n, T): how long each layer has moved along its path at a time (n, T); one that turns back goes there twice as fast."""
    if not config.returning:
        return time
    n = len(is_base)
    turns = (torch.rand(n, generator=rng) < config.returning) & ~is_base
    peak = time[:, -1:] * (0.35 + 0.3 * torch.rand(n, 1, generator=rng))
    there_and_back = 2 * (peak - (time - peak).abs()).clamp(min=-peak)
    return torch.where(turns[:, None], there_and_back, time)
