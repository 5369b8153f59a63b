"""Stills become clips: layers of textures that move like things in a video (scene.py: which; motion.py: how), seen from the front.

Cutouts are targets, distractors and occluders at once: whatever lies in front hides what lies behind, and what moves out of the
frame is gone. One draw of each transform a clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.sources.photometry import clip_photometry, layer_photometry
from vos_zoo.train.sources.stills import StillBank
from vos_zoo.train.synthesis.bars import lay_bars
from vos_zoo.train.synthesis.inpainting import fill_in
from vos_zoo.train.synthesis.motion import sampling_grids
from vos_zoo.train.synthesis.scene import Layer, SynthesisConfig, plan_scene

EXPOSURES = 5  # moments that make a motion-blurred frame


class Scenes(NamedTuple):
    """What is in a batch of clips."""

    layers: list[Layer]  # of all clips, one clip after another
    owner: list[int]  # of each layer: its clip
    textures: Tensor  # (n, 4, S, S) uint8, of each layer
    aspects: Tensor  # (n,) width / height of its still


@dataclass
class Synthesizer:
    """Draws clips of height x width pixels with up to `slots` targets from the stills of a bank."""

    bank: StillBank
    height: int
    width: int
    slots: int = 2
    config: SynthesisConfig = field(default_factory=SynthesisConfig)

    def batch(
        self, clips: int, frames: int, rng: torch.Generator, device: torch.device | str = "cpu", skip: int | None = None
    ) -> ClipBatch:
        """A batch of clips; rng decides everything. skip: each gap between frames is drawn by itself, 1 ... skip; `before` is filled."""
        return self.render(self.plan(clips, rng), frames, rng, device, skip)

    def plan(self, clips: int, rng: torch.Generator) -> Scenes:
        """What is in the clips: the part of the work that reads the bank."""
        layers: list[Layer] = []
        owner: list[int] = []
        for b in range(clips):
            scene = plan_scene(self.bank, self.config, self.width / self.height, self.slots, rng)
            layers += scene
            owner += [b] * len(scene)
        stills = [layer.texture for layer in layers]
        return Scenes(layers, owner, self.bank.textures[stills], self.bank.aspects[stills])

    def render(
        self, scenes: Scenes, frames: int, rng: torch.Generator, device: torch.device | str = "cpu", skip: int | None = None
    ) -> ClipBatch:
        """The clips of a plan, drawn on `device`; rng goes on from where the plan left it."""
        layers, owner = scenes.layers, scenes.owner
        clips = max(owner) + 1
        if skip is None or skip == 1:
            pictures, masks, active = self._composite(layers, owner, self._warp(scenes, frames, rng, device))
            if self.config.bars:
                lay_bars(pictures, masks, torch.arange(frames).expand(clips, frames), self.config.bars, rng)
            return ClipBatch(clip_photometry(pictures, rng), masks, active)
        gaps = torch.randint(1, skip + 1, (clips, frames - 1), generator=rng)
        times = F.pad(gaps.cumsum(1), (1, 0))
        times = torch.stack([times - 1, times], 2).flatten(
            1
        )  # every frame behind the one just before it, but the first: nothing was before
        seen = self._warp(scenes, 2 * frames, rng, device, times.clamp(min=0))
        pictures, masks, active = self._composite(layers, owner, seen)
        if self.config.bars:
            lay_bars(pictures, masks, times, self.config.bars, rng)
        return ClipBatch(clip_photometry(pictures[:, 1::2], rng), masks[:, 1::2].contiguous(), active, masks[:, ::2].contiguous())

    def _warp(
        self,
        scenes: Scenes,
        frames: int,
        rng: torch.Generator,
        device: torch.device | str,
        times: Tensor | None = None,
    ) -> list[Tensor]:
        """Every layer as it is seen by itself: n times (5, T, H, W), the channels of _textures."""
        layers = scenes.layers
        shape = (frames, self.height, self.width)
        grids = sampling_grids(layers, scenes.owner, scenes.aspects, self.config, shape, rng, device, times)
        textures = self._textures(layers, scenes.textures.to(device), rng)
        blurred = torch.rand(max(scenes.owner) + 1, generator=rng) < self.config.motion_blur if self.config.motion_blur else None
        seen = []
        for k, layer in enumerate(layers):
            border = "reflection" if layer.number == 0 else "zeros"
            if blurred is not None and blurred[scenes.owner[k]]:
                passed = None if times is None else times[scenes.owner[k]].diff().to(device)
                seen.append(_smeared(textures[k], grids[k], border, passed))
            else:
                seen.append(_sampled(textures[k], grids[k], border))
        if self.config.vanishing:
            _hide(seen, layers, self.config.vanishing, 1 if times is None else 2, rng)
        return seen

    def _textures(self, layers: list[Layer], raw: Tensor, rng: torch.Generator) -> Tensor:
        """(n, 5, S, S): RGB, opacity, the target that moves with a base. raw (n, 4, S, S) as in the bank."""
        device = raw.device
        rgb, ids = raw[:, :3].float() / 255, raw[:, 3]
        index = torch.tensor([layer.number for layer in layers], device=device)[:, None, None]
        own = torch.tensor([layer.own for layer in layers], device=device)[:, None, None]
        opaque = torch.where(index == 0, torch.ones_like(rgb[:, 0]), (ids == index).float())
        with_base = ((ids == own) & (own > 0)).float()
        for n, layer in enumerate(layers):
            if layer.fill:
                rgb[n] = fill_in(rgb[n], ids[n] == layer.fill)
        rgb = layer_photometry(rgb, rng)
        return torch.cat([rgb, opaque[:, None], with_base[:, None]], 1)

    def _composite(self, layers: list[Layer], owner: list[int], seen: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Lay the layers of each clip over one another, in their order: frames, masks and active as in ClipBatch."""
        clips = max(owner) + 1
        _, t, h, w = seen[0].shape
        frames = seen[0].new_zeros(clips, 3, t, h, w)
        masks = seen[0].new_zeros(clips, self.slots, t, h, w)
        active = torch.zeros(clips, self.slots, dtype=torch.bool)
        for layer, b, (colour, opacity, own) in zip(layers, owner, (s.split([3, 1, 1]) for s in seen), strict=True):
            if layer.number == 0 and not layer.rider:
                frames[b] = colour
            elif not layer.rider:
                frames[b] += (colour - frames[b]) * opacity
                masks[b] *= 1 - opacity
            if layer.slot >= 0:
                masks[b, layer.slot] += own[0] if layer.own else opacity[0]
                active[b, layer.slot] = True
        return frames.transpose(1, 2), (masks > 0.5).float().transpose(1, 2).contiguous(), active.to(frames.device)


def _hide(seen: list[Tensor], layers: list[Layer], share: float, since: int, rng: torch.Generator) -> None:
    """A share of the cutouts lose their opacity for a stretch of frames, `since` the earliest and the fewest."""
    for layer, pictures in zip(layers, seen, strict=True):
        chosen, start, length = torch.rand(3, generator=rng).tolist()
        if layer.number == 0 or layer.rider or chosen >= share:
            continue
        frames = pictures.shape[1]
        first = since + int(start * (frames - since))
        pictures[3, first : first + since + int(length * (frames - first))] = 0


def _sampled(texture: Tensor, grid: Tensor, border: str) -> Tensor:
    """texture (C, S, S), grid (T, H, W, 2) -> (C, T, H, W)."""
    warped = F.grid_sample(texture[None], grid.flatten(0, 1)[None], padding_mode=border, align_corners=False)
    return warped[0].unflatten(1, grid.shape[:2])


def _smeared(texture: Tensor, grid: Tensor, border: str, passed: Tensor | None = None) -> Tensor:
    """As _sampled, with the shutter open for half a frame's time: the mean of what passes a pixel meanwhile.

    passed (T - 1,): frames between those of the grid, default 1.
    """
    motion = grid[1:] - grid[:-1]
    if passed is not None:
        motion = motion / passed.clamp(min=1)[:, None, None, None]
    motion = torch.cat([motion, motion[-1:]])
    total = torch.zeros(())
    for moment in torch.linspace(-0.25, 0.25, EXPOSURES).tolist():
        seen = _sampled(texture, grid + moment * motion, border)
        total = total.to(seen) + torch.cat([seen[:3] * seen[3:4], seen[3:]])
    mean = total / EXPOSURES
    return torch.cat([mean[:3] / mean[3:4].clamp(min=1e-6), mean[3:]])
