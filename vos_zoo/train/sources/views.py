"""What part of a real clip's frames is seen, and how it is turned: one affine map a window, as a sampling grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_zoo.errors import DataError

VIEWS = ("object", "frame", "objects")


@dataclass(frozen=True)
class ViewConfig:
    view: str = "object"  # a crop around one object (ours); the whole "frame"; a crop of random scale around all "objects"
    rotate: float = 0.0  # of frame and objects: largest angle, degrees
    shear: float = 0.0  # degrees
    scale: tuple[float, float] = (1.0, 1.0)  # zoom, from and to
    translate: float = 0.0  # largest shift, share of the frame
    short_edge: tuple[int, int] = (384, 384)  # of objects: the frame's short edge before cropping, pixels, from and to
    flip: float = 0.5  # share of windows mirrored
    reverse: float = 0.5  # share of windows played backwards
    twins: float = 0.0  # share of windows of one object in which a mirrored copy of it, elsewhere in the frame, is a second one
    bystanders: float = 0.0  # share of windows with copies of an object that belong to the background
    photometry: bool = True  # change of light and colour, blur, grain

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise DataError(f"windows: view is {self.view!r}, not one of {', '.join(VIEWS)}")
        for name in ("flip", "reverse", "twins", "bystanders"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"windows: {name} {getattr(self, name)} is a share, between 0 and 1")
        for name in ("scale", "short_edge"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise DataError(f"windows: {name} {low}, {high} must be two numbers above 0, the smaller first")


def view_grid(masks: Tensor, size: tuple[int, int], config: ViewConfig, rng: torch.Generator) -> Tensor:
    """(1, height, width, 2) sampling grid in [-1, 1] of a window's frames. masks (T, K, H, W); size: of the crop, height and width."""
    height, width = size
    h, w = masks.shape[-2:]
    if config.view == "object":
        theta = _around_one(masks[:, 0], size, rng)
    else:
        u = torch.rand(7, generator=rng).tolist()
        centre, half = ((0.0, 0.0), (1.0, 1.0)) if config.view == "frame" else _around_all(masks, size, config, u[:2])
        zoom = config.scale[0] + (config.scale[1] - config.scale[0]) * u[6]
        shift = [(v * 2 - 1) * 2 * config.translate for v in u[4:6]]
        turn, shear = (math.radians(limit) * (v * 2 - 1) for limit, v in zip((config.rotate, config.shear), u[2:4], strict=True))
        flip = -1.0 if float(torch.rand((), generator=rng)) < config.flip else 1.0
        a, b = half[0] * w / h / zoom, half[1] / zoom  # half sizes in half frame heights, in which angles are angles
        cos, sin, slant = math.cos(turn), math.sin(turn), math.tan(shear)
        theta = [
            [flip * a * cos * h / w, b * (sin + slant) * h / w, centre[0] + shift[0]],
            [-flip * a * sin, b * cos, centre[1] + shift[1]],
        ]
    return F.affine_grid(torch.tensor([theta], device=masks.device), [1, 1, height, width], align_corners=False)


def _around_one(mask: Tensor, size: tuple[int, int], rng: torch.Generator) -> list[list[float]]:
    """A crop that keeps the object's first place in sight. mask (T, H, W)."""
    height, width = size
    h, w = mask.shape[-2:]
    ys, xs = mask[0].nonzero(as_tuple=True)
    cx, cy = (float(xs.float().mean()) / w * 2 - 1, float(ys.float().mean()) / h * 2 - 1) if len(xs) else (0.0, 0.0)
    u = torch.rand(6, generator=rng).tolist()
    zoom = 0.45 + 0.6 * u[0]  # share of the frame's height that is seen
    half_h, half_w = zoom, zoom * (width / height) / (w / h)
    shrink = min(1.0, 1.05 / half_w)
    half_h, half_w = half_h * shrink, half_w * shrink
    centre_x = _within(cx + (u[1] * 2 - 1) * 0.6 * half_w, 1 - half_w)
    centre_y = _within(cy + (u[2] * 2 - 1) * 0.6 * half_h, 1 - half_h)
    turn, shear = (u[3] * 2 - 1) * 0.2, (u[4] * 2 - 1) * 0.15
    flip = -1.0 if u[5] < 0.5 else 1.0
    ratio = w / h
    a = half_w * ratio  # turned in isotropic units (half frame heights), then back to the frame's own [-1, 1]
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        [flip * a * cos / ratio, half_h * (sin + shear) / ratio, centre_x],
        [-flip * a * sin, half_h * cos, centre_y],
    ]


def _around_all(
    masks: Tensor, size: tuple[int, int], config: ViewConfig, u: list[float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and half size (x, y in [-1, 1]) of a crop at a random scale that keeps as much of all objects' common box as it can."""
    h, w = masks.shape[-2:]
    low, high = (math.log(edge) for edge in config.short_edge)
    scale = math.exp(low + (high - low) * u[0]) / min(h, w)
    half = (size[1] / scale / w, size[0] / scale / h)
    ys, xs = masks.amax((0, 1)).nonzero(as_tuple=True)
    centre = []
    for places, extent, share in ((xs, w, half[0]), (ys, h, half[1])):
        if len(places) == 0:
            centre.append(0.0)
            continue
        first, last = (float(place) / extent * 2 - 1 for place in (places.min(), places.max() + 1))
        ends = sorted((last - share, first + share))  # between these the crop holds the box, or lies within it
        centre.append(_within(ends[0] + (ends[1] - ends[0]) * u[1], 1 - share))
    return (centre[0], centre[1]), half


def _within(v: float, limit: float) -> float:
    limit = max(limit, 0.0)
    return max(-limit, min(limit, v))
