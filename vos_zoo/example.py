"""A short clip drawn by numpy, with exact masks: a koi over sand meets another and swims on below a leaf.

    example = render_example()
    example.frames, example.masks       # (T, H, W, 3) uint8 RGB, (T, H, W) uint8: 1 on the visible koi

Lengths are shares of the frame's height, so that every size shows the same scene. From below: the bottom,
shadows, the other koi, the koi, lily pads. A koi is painted once, straight, in coordinates u from nose to
tail and v across, and bent by looking every pixel up in that painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vos_zoo.errors import VideoError
from vos_zoo.example_painting import WATER, Floats, Look, Packed, noise, paint_ground, paint_koi, paint_pad

KOI = 0.74  # its length
BEAT = 22  # frames a stroke of the tail takes


@dataclass(frozen=True)
class Example:
    """A clip: `frames` (T, H, W, 3) uint8 RGB, `masks` (T, H, W) uint8, 1 on the object, frames a second."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    fps: float = 25.0


def render_example(*, frames: int = 60, size: tuple[int, int] = (240, 432), seed: int = 0) -> Example:
    """Renders the clip; the same arguments give the same pixels.

    Args: frames: 1 or more; the story is slowed down or sped up to fit; size: (H, W), 48 pixels or more each;
        seed: which stones, patterns and leaves.
    Raises: VideoError if frames or size are too small.
    """
    height, width = size
    if frames < 1:
        raise VideoError(f"frames is {frames}; an example has 1 or more")
    if min(height, width) < 48:
        raise VideoError(f"size is {height} x {width}; give a height and a width of 48 pixels or more")
    scene = _Scene(seed, height, width)
    clip = Example(np.empty((frames, height, width, 3), np.uint8), np.empty((frames, height, width), np.uint8))
    for index in range(frames):
        clip.frames[index], clip.masks[index] = scene.render(index, index / max(frames - 1, 1))
    return clip


class _Layer(NamedTuple):
    """Something in front of the rest: its box in the frame, and colour times cover, then cover (h, w, 4)."""

    box: tuple[slice, slice]
    paint: Floats

    @property
    def cover(self) -> Floats:
        return self.paint[..., 3]


class _Scene:
    """What stays the same from frame to frame, and `render` for one of them."""

    def __init__(self, seed: int, height: int, width: int) -> None:
        chance = [np.random.default_rng([seed, k]) for k in range(9)]
        self.height, self.width = height, width
        self.pan = 0.45 * height  # how far the camera drifts
        self.ground = paint_ground(chance[0], round(1.2 * height) + 2, width + round(self.pan) + 2, height)
        wide = (height, width + height)
        self.waves = [noise(chance[1], wide, 2.6, height / 11) for _ in range(2)]
        self.glare = noise(chance[2], wide, 3.2, height / 4)
        self.grain = chance[3].normal(0, 0.008, (height + 32, width + 32, 1)).astype(np.float32)
        texels = round(2.2 * KOI * height)
        self.koi = paint_koi(chance[4], texels, Look((0.97, 0.93, 0.86), (0.87, 0.33, 0.09), 9))
        self.other = paint_koi(chance[5], texels, Look((0.86, 0.70, 0.36), (0.33, 0.32, 0.30), 3))
        aspect = width / height
        self.pads = [  # painting, and where its middle is half-way through the clip
            (paint_pad(chance[6], round(radius * height)), x, y)
            for x, y, radius in (
                (0.67 * aspect, 0.295, 0.185),  # the one that hides a part of the koi
                (1.02 * aspect, 0.95, 0.20),
                (0.13 * aspect, 0.02, 0.17),
                (0.90 * aspect, 0.05, 0.12),
            )
        ]
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        self.vignette = (1 - 0.13 * (x * x + y * y))[..., None]

    def render(self, index: int, phase: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `index`, at `phase` 0..1 of the story: image (H, W, 3) and mask (H, W)."""
        height, width = self.height, self.width
        across, down = self.pan * phase, height * (0.1 + 0.06 * np.sin(2.2 * phase + 0.4))
        image = _window(self.ground, across, down, height, width)
        light = self._caustics(index)[..., None]
        image *= 0.94 + 0.34 * light

        koi, other = self._koi(index, phase), self._other(index, phase)
        for fish, depth in ((other, 0.09), (koi, 0.12)):
            self._cast_shadow(image, fish, depth, 0.45)
        for fish, murk in ((other, 0.18), (koi, 0.04)):
            colour = fish.paint[..., :3]
            colour *= 0.88 + 0.26 * light[fish.box]
            colour += murk * (fish.paint[..., 3:] * WATER - colour)
            _lay(image, fish)
        visible = np.zeros((height, width), dtype=np.float32)
        visible[koi.box] = koi.cover

        image += 0.05 * np.clip(self._slide(self.glare, 0.3 * index) - 0.2, 0, 2)[..., None]
        for number, (pad, pad_x, pad_y) in enumerate(self.pads):
            sway = 0.012 * np.sin(0.09 * index + 2 * number)
            x = (pad_x + sway) * height - 1.2 * self.pan * (phase - 0.5)
            y = (pad_y + 0.6 * sway) * height - 1.2 * (down - 0.13 * height)
            leaf = _place(pad, x, y, height, width)
            self._cast_shadow(image, leaf, 0.035, 0.5)
            _lay(image, leaf)
            visible[leaf.box] *= 1 - leaf.cover

        image *= self.vignette
        dy, dx = np.random.default_rng(index).integers(0, 33, 2)
        image += self.grain[dy : dy + height, dx : dx + width]
        np.clip(image, 0, 1, out=image)
        return (image * 255 + 0.5).astype(np.uint8), (visible > 0.5).astype(np.uint8)

    def _koi(self, index: int, phase: float) -> _Layer:
        aspect, share = self.width / self.height, 0.215 + 0.57 * phase
        y = 0.46 - 0.08 * np.sin(5.2 * share - 0.2)
        slope = -0.08 * 5.2 * np.cos(5.2 * share - 0.2) / aspect
        stroke = 2 * np.pi * index / BEAT
        return self._swim(self.koi, share * aspect, y, np.arctan(slope), KOI, stroke, 0.10 * np.sin(5 * phase))

    def _other(self, index: int, phase: float) -> _Layer:
        x, y = (0.82 - 0.78 * phase) * self.width / self.height, 0.81 - 0.07 * np.sin(np.pi * phase)
        angle = np.pi + 0.16 * np.cos(np.pi * phase)
        return self._swim(self.other, x, y, angle, 0.88 * KOI, 7 * index / BEAT + 2, 0.06)

    def _swim(self, painting: Packed, x: float, y: float, angle: float, length: float, stroke: float, bend: float) -> _Layer:
        """The koi with its middle at (x, y), heading by `angle`, its tail at `stroke` radians of the beat."""
        reach = 0.62 * length
        left, right = (min(max(int(c * self.height), 0), self.width) for c in (x - reach, x + reach))
        top, bottom = (min(max(int(c * self.height), 0), self.height) for c in (y - reach, y + reach))
        half = np.float32(0.5 / self.height)  # two samples a pixel, each way
        xs = ((np.arange(2 * left, 2 * right, dtype=np.float32) + 0.5) * half - x) / length
        ys = ((np.arange(2 * top, 2 * bottom, dtype=np.float32) + 0.5) * half - y)[:, None] / length
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u, v = 0.5 - xs * cos - ys * sin, ys * cos - xs * sin

        spine = np.linspace(-0.5, 1.5, 512, dtype=np.float32)
        line = (0.012 + 0.075 * np.clip(spine, 0, 1.2) ** 2) * np.sin(5.2 * spine - stroke)
        line += bend * (spine - 0.35) ** 2 + 0.012 * np.sin(stroke)
        narrow = 1 / np.sqrt(1 + np.gradient(line, spine) ** 2)
        station = np.clip((u + 0.5) * 255.5, 0, 511).astype(np.int32)
        v = (v - line[station]) * narrow[station]
        rows, columns = painting.shape
        i, j = (v + 0.35) * (rows / 0.7), u * columns
        inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
        texel = np.where(inside, i.astype(np.int32) * columns + j.astype(np.int32), 0)
        samples = np.where(inside, painting.ravel()[texel], 0).view(np.uint8).reshape(*inside.shape, 4)
        total = samples[::2].astype(np.uint16) + samples[1::2]
        paint = (total[:, ::2] + total[:, 1::2]) * np.float32(1 / 1020)
        return _Layer((slice(top, bottom), slice(left, right)), paint)

    def _cast_shadow(self, image: Floats, layer: _Layer, depth: float, strength: float) -> None:
        """Darkens what lies below and to the right of a layer that hovers `depth` above it."""
        rows, columns = layer.box
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        shift = round(depth * self.height)
        soft = max(shift // 2, 1)
        shade = Image.fromarray((np.pad(layer.cover, soft) * 255).astype(np.uint8))
        shade = shade.filter(ImageFilter.BoxBlur(soft / 2)).filter(ImageFilter.BoxBlur(soft / 2))
        y, x = rows.start + shift - soft, columns.start + shift - soft
        cut_y, cut_x = max(-y, 0), max(-x, 0)
        below = image[y + cut_y : y + shade.height, x + cut_x : x + shade.width]
        cast = np.asarray(shade, dtype=np.float32)[cut_y:, cut_x:][: below.shape[0], : below.shape[1]]
        below *= 1 - (strength / 255) * cast[..., None]

    def _caustics(self, index: int) -> Floats:
        """(H, W) from 0 to 1: the bright net that waves throw on what lies below."""
        meet = self._slide(self.waves[0], 0.5 * index) + self._slide(self.waves[1], 300 - 0.35 * index)
        return np.exp(-0.9 * meet * meet)

    def _slide(self, field: Floats, shift: float) -> Floats:
        """The periodic field, moved by `shift` 240ths of the frame's height."""
        shift = shift * self.height / 240 % field.shape[1]
        columns = np.arange(int(shift), int(shift) + self.width + 1) % field.shape[1]
        taken, share = field[:, columns], np.float32(shift % 1)
        return (1 - share) * taken[:, :-1] + share * taken[:, 1:]


def _lay(image: Floats, layer: _Layer) -> None:
    image[layer.box] *= 1 - layer.paint[..., 3:]
    image[layer.box] += layer.paint[..., :3]


def _window(texture: Floats, left: float, top: float, height: int, width: int) -> Floats:
    """The texture from a place between pixels on, (H, W, C), interpolated."""
    x, y = int(left), int(top)
    dx, dy = np.float32(left - x), np.float32(top - y)
    strip = texture[y : y + height + 1, x : x + width + 1]
    strip = strip[:-1] * (1 - dy) + strip[1:] * dy
    return strip[:, :-1] * (1 - dx) + strip[:, 1:] * dx


def _place(sprite: Floats, x: float, y: float, height: int, width: int) -> _Layer:
    """The sprite (h, w, 4), which is empty along its border, with its middle at (x, y) of the frame."""
    left, top = x - sprite.shape[1] / 2, y - sprite.shape[0] / 2
    column, row = int(np.ceil(left)), int(np.ceil(top))
    shifted = _window(sprite, column - left, row - top, sprite.shape[0] - 1, sprite.shape[1] - 1)
    rows = slice(min(max(row, 0), height), min(max(row + shifted.shape[0], 0), height))
    columns = slice(min(max(column, 0), width), min(max(column + shifted.shape[1], 0), width))
    seen = shifted[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
    return _Layer((rows, columns), seen)
