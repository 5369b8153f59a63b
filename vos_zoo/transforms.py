"""Between a video's pixels and a model's grid: resize, pad, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Probabilities of many objects at full size are turned into labels in strips of about this many values.
STRIP = 64_000_000


@dataclass(frozen=True)
class Grid:
    """How a video of one size lies on the model's grid."""

    video: tuple[int, int]  # (height, width) of the frames and of the masks that come out
    inner: tuple[int, int]  # the frame inside the model
    pads: tuple[int, int, int, int]  # left, right, top, bottom: up to multiples of the stride
    mode: str  # "reflect" or "zeros"

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the padded grid."""
        left, right, top, bottom = self.pads
        return self.inner[0] + top + bottom, self.inner[1] + left + right

    def frame(self, frame: np.ndarray, device: torch.device) -> Tensor:
        """(h, w, 3) uint8 -> (1, 3, H, W) float32 in [0, 1]."""
        pixels = torch.from_numpy(np.require(frame, requirements=("C", "W"))).to(device).permute(2, 0, 1)[None].float() / 255
        return self._pad(_resize(pixels, self.inner).clamp_(0, 1))

    def masks(self, masks: np.ndarray, device: torch.device) -> Tensor:
        """(K, h, w) bool -> (1, K, H, W) float32 in [0, 1]; soft at edges where the size changes."""
        layers = torch.from_numpy(np.ascontiguousarray(masks)).to(device)[None].float()
        return self._pad(_resize(layers, self.inner))

    def labels(self, probs: Tensor) -> np.ndarray:
        """(1, 1 + K, H, W) probabilities, background first -> (h, w) slot numbers, 0 background.

        The probabilities are resized, not the labels: edges keep the video's resolution.
        """
        inner = self.unpadded(probs)[0]
        small = torch.uint8 if len(inner) <= 256 else torch.int32
        if self.inner == self.video:
            return inner.argmax(0).to(small).cpu().numpy()
        height, width = self.video
        if len(inner) * height * width <= STRIP:
            return _resize(inner[None], self.video)[0].argmax(0).to(small).cpu().numpy()
        best = torch.full(self.video, -1.0, device=probs.device)
        slot = torch.zeros(self.video, dtype=small, device=probs.device)
        for k in range(len(inner)):
            layer = _resize(inner[None, k : k + 1], self.video)[0, 0]
            better = layer > best
            best = torch.where(better, layer, best)
            slot[better] = k
        return slot.cpu().numpy()

    def unpadded(self, x: Tensor) -> Tensor:
        """(..., H, W) -> (..., h, w): what lies over the frame."""
        left, _, top, _ = self.pads
        return x[..., top : top + self.inner[0], left : left + self.inner[1]]

    def _pad(self, x: Tensor) -> Tensor:
        if not any(self.pads):
            return x
        if self.mode == "zeros":
            return F.pad(x, self.pads)
        left, right, top, bottom = self.pads
        fits = max(left, right) < x.shape[-1] and max(top, bottom) < x.shape[-2]
        return F.pad(x, self.pads, mode="reflect" if fits else "replicate")


def make_grid(video: tuple[int, int], *, short_side: int | None, stride: int, padding: str, inner: tuple[int, int] | None = None) -> Grid:
    """The grid for a video of (height, width).

    short_side: the frame is resized so that its shorter side has this many pixels; None keeps its size. inner: exactly this size
    instead. padding: "reflect" puts the larger half of an odd number first (left, top), as CRVOS does; "zeros" last, as STM does.
    """
    height, width = video
    if inner is None:
        factor = 1.0 if short_side is None else short_side / min(video)
        inner = (max(1, round(height * factor)), max(1, round(width * factor)))
    extra_h, extra_w = -inner[0] % stride, -inner[1] % stride
    halves = [(extra + 1) // 2 if padding == "reflect" else extra // 2 for extra in (extra_w, extra_h)]
    pads = (halves[0], extra_w - halves[0], halves[1], extra_h - halves[1])
    return Grid(video, inner, pads, padding)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=shrinks)
