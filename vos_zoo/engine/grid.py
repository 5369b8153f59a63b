"""Between a video's pixels and a model's grid: resize, pad, and back.

The cost of a frame has a ceiling. A frame whose longer side is more than LONGEST times the shorter one would cost far more than another of
the same shorter side: a 1500x24 clip at a shorter side of 480 has 35 times the pixels of an 854x480 one. So it is made smaller, until it
has no more pixels than a frame LONGEST times as long as it is high. "native" and an exact size are taken at their word, up to MAX_PIXELS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.errors import VosZooError

LONGEST = 3  # the longer side of a frame, in shorter ones, from which on it is made smaller inside the model
COARSEST = 32  # pixels of the coarsest cells that a model has: a frame costs what its sides, rounded up to these, cost
MAX_PIXELS = 1 << 26  # of a frame inside the model; an 8K frame has half of them
# Maps of many objects are resized between the video's size and the model's a few objects at a time: about this many values at the video's
# size (64 MB).
STRIP = 16_000_000


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
        return self.frames([frame], device)

    def frames(self, frames: Sequence[np.ndarray], device: torch.device) -> Tensor:
        """Several (h, w, 3) uint8 -> (B, 3, H, W) float32 in [0, 1]: one copy to the device, as bytes."""
        stack = frames[0][None] if len(frames) == 1 else np.stack(frames)
        pixels = torch.from_numpy(np.require(stack, requirements=("C", "W")))
        if device.type == "cuda":
            pixels = pixels.pin_memory()  # so that the copy need not be waited for
        pixels = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        if device.type != "cpu":  # whose kernel for whole numbers takes a sixth of the time
            pixels = pixels.float()
        return self.pad(resize(pixels, self.inner).float().clamp_(0, 255).div_(255))

    def masks(self, masks: np.ndarray, device: torch.device) -> Tensor:
        """(K, h, w) bool -> (1, K, H, W) float32 in [0, 1]; soft at edges where the size changes."""
        layers = torch.from_numpy(np.ascontiguousarray(masks)).to(device)[None]
        return self.pad(torch.cat([resize(few.float(), self.inner) for few in layers.split(self._few, 1)], 1))

    def slots(self, probs: Tensor) -> Tensor:
        """(1, 1 + K, H, W) probabilities, background first -> (h, w) slot numbers, 0 background, uint8 if there are not too many.

        The probabilities are resized, not the labels: edges keep the video's resolution.
        """
        inner = self.unpadded(probs)[0].float()
        if self.inner == self.video:
            return likeliest(inner)[1]
        few = inner.split(self._few)
        best, slot = likeliest(resize(few[0][None], self.video)[0])
        for n, part in enumerate(few[1:], 1):
            value, which = likeliest(resize(part[None], self.video)[0])
            better = value > best
            best = torch.where(better, value, best)
            slot = torch.where(better, which.to(torch.int32) + n * self._few, slot.to(torch.int32))
        return slot.to(_smallest(len(inner)))

    def scaled(self, factor: float, stride: int) -> Grid:
        """The same video, its frames larger or smaller inside the model."""
        inner = (max(1, round(self.inner[0] * factor)), max(1, round(self.inner[1] * factor)))
        return self if factor == 1 else make_grid(self.video, short_side=None, stride=stride, padding=self.mode, inner=inner)

    def unpadded(self, x: Tensor) -> Tensor:
        """(..., H, W) -> (..., h, w): what lies over the frame."""
        left, _, top, _ = self.pads
        return x[..., top : top + self.inner[0], left : left + self.inner[1]]

    def pad(self, x: Tensor) -> Tensor:
        """(..., h, w) -> (..., H, W): the frame's surroundings put on."""
        if not any(self.pads):
            return x
        if self.mode == "zeros":
            return F.pad(x, self.pads)
        left, right, top, bottom = self.pads
        fits = max(left, right) < x.shape[-1] and max(top, bottom) < x.shape[-2]
        return F.pad(x, self.pads, mode="reflect" if fits else "replicate")

    @property
    def _few(self) -> int:
        """Objects that are resized at once."""
        return max(1, STRIP // (self.video[0] * self.video[1]))


def make_grid(video: tuple[int, int], *, short_side: int | None, stride: int, padding: str, inner: tuple[int, int] | None = None) -> Grid:
    """The grid for a video of (height, width).

    short_side: the frame is resized so that its shorter side has this many pixels, or fewer if it is very long; None keeps its size.
    inner: exactly this size instead. padding: "reflect" puts the larger half of an odd number first (left, top), as CRVOS does; "zeros"
    last, as STM does. VosZooError for a size inside the model of more than MAX_PIXELS.
    """
    if inner is None:
        inner = video if short_side is None else _bounded(video, short_side)
    if inner[0] * inner[1] > MAX_PIXELS:
        raise VosZooError(
            f"a frame of {inner[1]}x{inner[0]} pixels inside the model is too large, {MAX_PIXELS:,} pixels are the limit: pass a smaller "
            "size, for instance size=480"
        )
    extra_h, extra_w = -inner[0] % stride, -inner[1] % stride
    halves = [(extra + 1) // 2 if padding == "reflect" else extra // 2 for extra in (extra_w, extra_h)]
    pads = (halves[0], extra_w - halves[0], halves[1], extra_h - halves[1])
    return Grid(video, inner, pads, padding)


def _bounded(video: tuple[int, int], short_side: int) -> tuple[int, int]:
    """The size at which the shorter side has `short_side` pixels; smaller where that would cost more than a frame of LONGEST."""

    def sized(factor: float) -> tuple[int, int]:
        return max(1, round(video[0] * factor)), max(1, round(video[1] * factor))

    low, high = 0.0, short_side / min(video)
    most = _cost((short_side, LONGEST * short_side))
    if _cost(sized(high)) <= most:
        return sized(high)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _cost(sized(middle)) <= most else (low, middle)
    return sized(low)


def _cost(size: tuple[int, int]) -> int:
    """Pixels of a frame whose sides are rounded up to whole cells."""
    return (size[0] + -size[0] % COARSEST) * (size[1] + -size[1] % COARSEST)


def likeliest(layers: Tensor) -> tuple[Tensor, Tensor]:
    """(C, h, w) -> the largest value of every pixel, and the number of its layer, the first of equals: each (h, w).

    What max(0) gives, as uint8 where that will do. On a CPU max(0) is twenty times slower: it walks through memory by columns.
    """
    if layers.device.type != "cpu":
        best, slot = layers.max(0)
        return best, slot.to(_smallest(len(layers)))
    best, slot = layers[0], torch.zeros(layers.shape[1:], dtype=_smallest(len(layers)))
    for n, layer in enumerate(layers[1:], 1):
        slot = torch.maximum(slot, (layer > best).to(slot.dtype) * n)  # n grows; masked_fill takes five times as long
        best = torch.maximum(best, layer)
    return best, slot


def _smallest(slots: int) -> torch.dtype:
    return torch.uint8 if slots <= 256 else torch.int32


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., C, h, w) -> (..., C, *size), bilinear; antialiased where it gets smaller."""
    if tuple(x.shape[-2:]) == size:
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=shrinks)
