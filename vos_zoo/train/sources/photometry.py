"""Change of light and colour, blur and grain. One draw a clip, unless video itself flickers; all on the data's device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def layer_photometry(rgb: Tensor, rng: torch.Generator) -> Tensor:
    """Tint and contrast of each texture by itself, (n, 3, H, W) in [0, 1]: a pasted copy must not be told by its exact colours."""
    n = len(rgb)
    gain = torch.exp(torch.randn(n, 3, 1, 1, generator=rng) * 0.08 + torch.randn(n, 1, 1, 1, generator=rng) * 0.15)
    mean = rgb.mean((2, 3), keepdim=True)
    contrast = torch.exp(torch.randn(n, 1, 1, 1, generator=rng) * 0.15).to(rgb.device)
    return ((rgb - mean) * contrast + mean * gain.to(rgb.device)).clamp(0, 1)


def clip_photometry(frames: Tensor, rng: torch.Generator) -> Tensor:
    """Exposure, saturation, hue mixing, light that drifts, blur and noise. frames (B, T, 3, H, W) in [0, 1]."""
    b, t, _, h, w = frames.shape
    device = frames.device
    light = torch.exp(torch.randn(b, 1, 1, 1, 1, generator=rng) * 0.18)
    light = light * torch.exp(torch.randn(b, 1, 1, 1, 1, generator=rng) * 0.02 * torch.arange(t).view(1, t, 1, 1, 1))
    grey = frames.mean(2, keepdim=True)
    saturation = (torch.rand(b, 1, 1, 1, 1, generator=rng) * 1.2 + 0.3) * (torch.rand(b, 1, 1, 1, 1, generator=rng) > 0.08)
    frames = grey + (frames - grey) * saturation.to(device)
    mix = torch.eye(3) + torch.randn(b, 3, 3, generator=rng) * 0.06
    frames = torch.einsum("bij,btjhw->btihw", mix.to(device), frames) * light.to(device)
    gamma = torch.exp(torch.randn(b, 1, 1, 1, 1, generator=rng) * 0.15).to(device)
    frames = frames.clamp(1e-4, 1)
    for i in (torch.rand(b, generator=rng) < 0.5).nonzero()[:, 0].tolist():
        frames[i] = frames[i] ** gamma[i]
    for i in (torch.rand(b, generator=rng) < 0.25).nonzero()[:, 0].tolist():
        frames[i] = _streak(frames[i], rng) if float(torch.rand((), generator=rng)) < 0.5 else _soften(frames[i], rng)
    for i in (torch.rand(b, generator=rng) < 0.5).nonzero()[:, 0].tolist():
        noise = float(torch.rand((), generator=rng)) ** 2 * 0.06
        grain = _noise((t, 1, h, w), rng, device)
        frames[i] = frames[i] + grain * noise
    return frames.clamp(0, 1)


def _noise(shape: tuple[int, ...], rng: torch.Generator, device: torch.device) -> Tensor:
    """Normal noise. On a GPU it is drawn there, from a number that rng gives: other noise than on a CPU, as repeatable."""
    if device.type == "cpu":
        return torch.randn(shape, generator=rng)
    there = torch.Generator(device).manual_seed(int(torch.randint(1 << 62, (), generator=rng)))
    return torch.randn(shape, generator=there, device=device)


def _streak(frames: Tensor, rng: torch.Generator) -> Tensor:
    """Motion blur of a whole frame: a line of 3 to 9 pixels in one direction."""
    length = int(torch.randint(1, 5, (), generator=rng)) * 2 + 1
    angle = float(torch.rand((), generator=rng)) * 3.14159
    kernel = torch.zeros(length, length)
    for s in torch.linspace(-1, 1, 4 * length).tolist():
        half = length // 2
        y = round(half + s * half * float(torch.sin(torch.tensor(angle))))
        x = round(half + s * half * float(torch.cos(torch.tensor(angle))))
        kernel[y, x] += 1
    kernel = (kernel / kernel.sum()).to(frames.device).expand(3, 1, length, length)
    return F.conv2d(F.pad(frames, [length // 2] * 4, mode="replicate"), kernel, groups=3)


def _soften(frames: Tensor, rng: torch.Generator) -> Tensor:
    """A low-resolution or badly compressed source: down and up again."""
    factor = 0.3 + 0.5 * float(torch.rand((), generator=rng))
    small = F.interpolate(frames, scale_factor=factor, mode="bilinear", antialias=True)
    return F.interpolate(small, frames.shape[-2:], mode="bilinear")
