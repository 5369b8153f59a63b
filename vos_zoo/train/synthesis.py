"""Stills become clips: layers of textures that move like things in a video (scene.py: which; motion.py: how), seen from the front.

Cutouts are targets, distractors and occluders at once: whatever lies in front hides what lies behind, and what moves out of the
frame is gone. One draw of each transform a clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.train.batch import ClipBatch
from vos_zoo.train.inpainting import fill_in
from vos_zoo.train.motion import sampling_grids
from vos_zoo.train.photometry import clip_photometry, layer_photometry
from vos_zoo.train.scene import Layer, SynthesisConfig, plan_scene
from vos_zoo.train.stills import StillBank


@dataclass
class Synthesizer:
    """Draws clips of height x width pixels with up to `slots` targets from the stills of a bank."""

    bank: StillBank
    height: int
    width: int
    slots: int = 2
    config: SynthesisConfig = field(default_factory=SynthesisConfig)

    def batch(self, clips: int, frames: int, rng: torch.Generator, device: torch.device | str = "cpu") -> ClipBatch:
        """A batch of clips; rng decides everything."""
        layers: list[Layer] = []
        owner: list[int] = []
        for b in range(clips):
            scene = plan_scene(self.bank, self.config, self.width / self.height, self.slots, rng)
            layers += scene
            owner += [b] * len(scene)
        return self._composite(layers, owner, self._warp(layers, owner, frames, rng, device), rng)

    def _warp(self, layers: list[Layer], owner: list[int], frames: int, rng: torch.Generator, device: torch.device | str) -> list[Tensor]:
        """Every layer as it is seen by itself: n times (5, T, H, W), the channels of _textures."""
        aspects = self.bank.aspects[[layer.texture for layer in layers]]
        shape = (frames, self.height, self.width)
        grids = sampling_grids(layers, owner, aspects, self.config, shape, rng, device)
        textures = self._textures(layers, rng, device)
        seen = []
        for k, layer in enumerate(layers):
            border = "reflection" if layer.number == 0 else "zeros"
            warped = F.grid_sample(textures[k : k + 1], grids[k].flatten(0, 1)[None], padding_mode=border, align_corners=False)
            seen.append(warped[0].unflatten(1, (frames, self.height)))
        return seen

    def _textures(self, layers: list[Layer], rng: torch.Generator, device: torch.device | str) -> Tensor:
        """(n, 5, S, S): RGB, opacity, the target that moves with a base."""
        raw = self.bank.textures[[layer.texture for layer in layers]].to(device)
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

    def _composite(self, layers: list[Layer], owner: list[int], seen: list[Tensor], rng: torch.Generator) -> ClipBatch:
        """Lay the layers of each clip over one another, in their order."""
        clips = max(owner) + 1
        _, t, h, w = seen[0].shape
        frames = seen[0].new_zeros(clips, 3, t, h, w)
        masks = seen[0].new_zeros(clips, self.slots, t, h, w)
        active = torch.zeros(clips, self.slots, dtype=torch.bool)
        for layer, b, (colour, opacity, own) in zip(layers, owner, (s.split([3, 1, 1]) for s in seen), strict=True):
            if layer.number == 0:
                frames[b] = colour
            else:
                frames[b] += (colour - frames[b]) * opacity
                masks[b] *= 1 - opacity
            if layer.slot >= 0:
                masks[b, layer.slot] += own[0] if layer.own else opacity[0]
                active[b, layer.slot] = True
        frames = clip_photometry(frames.transpose(1, 2), rng)
        return ClipBatch(frames, (masks > 0.5).float().transpose(1, 2).contiguous(), active.to(frames.device))
