"""Short clips drawn by numpy, with exact masks: a koi over sand meets another and swims on below a leaf; or a pond of your making.

    example = render_example()
    example.frames, example.masks       # (T, H, W, 3) uint8 RGB, (T, H, W) uint8: 1 on the visible koi
    render_example(seed=3, pond=Pond(followed=2, passing=4, camouflage=0.8))        # 1 and 2 on those that are followed

Lengths are shares of the frame's height, so that every size shows the same scene. From below: the bottom,
shadows, the koi one above the other, lily pads. A koi is painted once, straight, in coordinates u from nose to
tail and v across, and bent by looking every pixel up in that painting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vos_zoo.errors import VideoError
from vos_zoo.example.painting import (
    SAND,
    STONES,
    WATER,
    WEED,
    Floats,
    Layer,
    Look,
    Packed,
    Pose,
    noise,
    paint_ground,
    paint_koi,
    paint_pad,
    place,
    swim,
    window,
)

KOI = 0.74  # its length
BEAT = 22  # frames a stroke of the tail takes
PAN = 0.45  # how far the camera drifts
LEAD = 0.6 * PAN  # of that, by how much more a leaf is to the right in the first frame than half-way
COLOURS = np.array([[97, 93, 86], [87, 33, 9], [86, 70, 36], [33, 32, 30], [93, 62, 16], [62, 66, 70]]) / 100  # koi have two of them
OVERLAY = {1: "#2f9bff"}  # the koi is red, as object 1 is in the palette: in an overlay it is blue, as on the page
BOTTOM = np.array([SAND, 0.6 * SAND, *STONES, WEED])  # two of these hide a koi


@dataclass(frozen=True)
class Example:
    """A clip: `frames` (T, H, W, 3) uint8 RGB, `masks` (T, H, W) uint8, 1, 2 ... on the objects, frames a second."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    fps: float = 25.0


@dataclass(frozen=True)
class Pond:
    """What a clip shows instead of the bundled story; the seed says where everything is and which way it goes."""

    followed: int = 1  # koi with a mask, 1 to 8
    passing: int = 3  # koi of the same looks without one, 0 to 24
    leaves: int = 3  # lily pads, 0 to 24
    camouflage: float = 0.0  # 0: the colours of koi ... 1: those of the bottom
    murk: float = 0.0  # 0: clear water ... 1: nothing of the koi to be seen
    dusk: float = 0.0  # 0: daylight ... 1: half of it, and the grain of a camera at its limit

    def __post_init__(self) -> None:
        for name, least, most in (
            ("followed", 1, 8),
            ("passing", 0, 24),
            ("leaves", 0, 24),
            *((name, 0, 1) for name in ("camouflage", "murk", "dusk")),
        ):
            if not least <= getattr(self, name) <= most:
                raise VideoError(f"a pond's {name} is {getattr(self, name)}; give {least} to {most}")


def render_example(*, frames: int = 60, size: tuple[int, int] = (240, 432), seed: int = 0, pond: Pond | None = None) -> Example:
    """Renders the clip; the same arguments give the same pixels.

    Args:
        frames: 1 or more; what happens is slowed down or sped up to fit.
        size: (H, W), 48 pixels or more each.
        seed: which stones, patterns and leaves, and a pond's paths.
        pond: what there is in it, None: the story.

    Raises:
        VideoError: if frames or size are too small.
    """
    height, width = size
    if frames < 1:
        raise VideoError(f"frames is {frames}; an example has 1 or more")
    if min(height, width) < 48:
        raise VideoError(f"size is {height} x {width}; give a height and a width of 48 pixels or more")
    scene = _Scene(seed, height, width, pond)
    clip = Example(np.empty((frames, height, width, 3), np.uint8), np.empty((frames, height, width), np.uint8))
    for index in range(frames):
        clip.frames[index], clip.masks[index] = scene.render(index, index / max(frames - 1, 1))
    return clip


class _Koi(NamedTuple):
    """A koi: its painting, where it is in frame `index` at `phase` of the clip, its height over the ground, haze over it, label or 0."""

    painting: Packed
    pose: Callable[[int, float], Pose]
    height: float
    murk: float
    label: int


class _Pad(NamedTuple):
    """A leaf, and where its middle is half-way through the clip, in heights of the frame."""

    painting: Floats
    x: float
    y: float


class _Scene:
    """What stays the same from frame to frame, and `render` for one of them."""

    def __init__(self, seed: int, height: int, width: int, pond: Pond | None) -> None:
        chance = [np.random.default_rng([seed, k]) for k in range(9)]
        self.seed, self.height, self.width = seed, height, width
        self.dusk = pond.dusk if pond else 0.0
        self.pan = PAN * height
        self.ground = paint_ground(chance[0], round(1.2 * height) + 2, width + round(self.pan) + 2, height)
        wide = (height, width + height)
        self.waves = [noise(chance[1], wide, 2.6, height / 11) for _ in range(2)]
        self.glare = noise(chance[2], wide, 3.2, height / 4)
        self.grain = chance[3].normal(0, 0.008, (height + 32, width + 32, 1)).astype(np.float32)
        draw = _story if pond is None else partial(_by_chance, pond)
        self.koi, self.pads = draw(chance[4:], height, width / height)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        self.vignette = (1 - 0.13 * (x * x + y * y))[..., None]

    def render(self, index: int, phase: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `index`, at `phase` 0..1 of the clip: image (H, W, 3) and mask (H, W)."""
        height, width = self.height, self.width
        across, down = self.pan * phase, height * (0.1 + 0.06 * np.sin(2.2 * phase + 0.4))
        image = window(self.ground, across, down, height, width)
        light = self._caustics(index)[..., None]
        image *= 0.94 + 0.34 * light

        layers = [swim(koi.painting, koi.pose(index, phase), height, width) for koi in self.koi]
        for koi, layer in zip(self.koi, layers, strict=True):
            self._cast_shadow(image, layer, koi.height, 0.45)
        visible = np.zeros((height, width, 1 + max(koi.label for koi in self.koi)), dtype=np.float32)
        for koi, layer in zip(self.koi, layers, strict=True):
            colour = layer.paint[..., :3]
            colour *= 0.88 + 0.26 * light[layer.box]
            colour += koi.murk * (layer.paint[..., 3:] * WATER - colour)
            layer.over(image)
            visible[layer.box] *= 1 - layer.paint[..., 3:]
            visible[layer.box][..., koi.label] += layer.cover

        image += 0.05 * np.clip(self._slide(self.glare, 0.3 * index) - 0.2, 0, 2)[..., None]
        for number, pad in enumerate(self.pads):
            sway = 0.012 * np.sin(0.09 * index + 2 * number)
            x = (pad.x + sway) * height - 1.2 * self.pan * (phase - 0.5)
            y = (pad.y + 0.6 * sway) * height - 1.2 * (down - 0.13 * height)
            leaf = place(pad.painting, x, y, height, width)
            self._cast_shadow(image, leaf, 0.035, 0.5)
            leaf.over(image)
            visible[leaf.box] *= 1 - leaf.paint[..., 3:]

        image *= self.vignette
        dy, dx = np.random.default_rng(index).integers(0, 33, 2)
        image += self.grain[dy : dy + height, dx : dx + width]
        if self.dusk:
            image *= 1 - 0.5 * self.dusk
            image += 0.12 * self.dusk * np.random.default_rng([self.seed, index]).standard_normal(image.shape, dtype=np.float32)
        np.clip(image, 0, 1, out=image)
        visible[..., 0] = 0.5
        return (image * 255 + 0.5).astype(np.uint8), visible.argmax(axis=2).astype(np.uint8)

    def _cast_shadow(self, image: Floats, layer: Layer, depth: float, strength: float) -> None:
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


def _story(chance: Sequence[np.random.Generator], height: int, aspect: float) -> tuple[list[_Koi], list[_Pad]]:
    """The bundled clip: what swims, from below, and leaves."""

    def koi(index: int, phase: float) -> Pose:
        share = 0.215 + 0.57 * phase
        y = 0.46 - 0.08 * np.sin(5.2 * share - 0.2)
        slope = -0.08 * 5.2 * np.cos(5.2 * share - 0.2) / aspect
        return Pose(share * aspect, y, np.arctan(slope), KOI, 2 * np.pi * index / BEAT, 0.10 * np.sin(5 * phase))

    def other(index: int, phase: float) -> Pose:
        x, y = (0.82 - 0.78 * phase) * aspect, 0.81 - 0.07 * np.sin(np.pi * phase)
        return Pose(x, y, np.pi + 0.16 * np.cos(np.pi * phase), 0.88 * KOI, 7 * index / BEAT + 2, 0.06)

    texels = round(2.2 * KOI * height)
    followed = paint_koi(chance[0], texels, Look((0.97, 0.93, 0.86), (0.87, 0.33, 0.09), 9))
    stranger = paint_koi(chance[1], texels, Look((0.86, 0.70, 0.36), (0.33, 0.32, 0.30), 3))
    places = (
        (0.67 * aspect, 0.295, 0.185),  # the one that hides a part of the koi
        (1.02 * aspect, 0.95, 0.20),
        (0.13 * aspect, 0.02, 0.17),
        (0.90 * aspect, 0.05, 0.12),
    )
    pads = [_Pad(paint_pad(chance[2], round(radius * height)), x, y) for x, y, radius in places]
    return [_Koi(stranger, other, 0.09, 0.18, 0), _Koi(followed, koi, 0.12, 0.04, 1)], pads


def _by_chance(pond: Pond, chance: Sequence[np.random.Generator], height: int, aspect: float) -> tuple[list[_Koi], list[_Pad]]:
    """A pond's koi, from below, and leaves. Those that are followed begin in sight."""
    paint_chance, colour_chance, leaf_chance, path_chance, other_chance = chance
    koi: list[_Koi] = []
    begun: list[Floats] = []
    for number in range(pond.followed + pond.passing):
        length = paint_chance.uniform(0.42, 0.6)
        path = _path(path_chance, aspect, begun)
        begun.append(path[0, :2])
        painting = paint_koi(paint_chance, round(2.2 * length * height), _look(colour_chance, pond.camouflage))
        stroke, beat, bend = other_chance.uniform((0, 0.8, -0.1), (2 * np.pi, 1.2, 0.1))
        above, haze = other_chance.uniform((0.07, 0.04), (0.13, 0.15))
        murk = haze + (1 - haze) * pond.murk
        pose = partial(_along, path, length, stroke, beat, bend)
        koi.append(_Koi(painting, pose, above, murk, number + 1 if number < pond.followed else 0))
    pads = []
    for _ in range(pond.leaves):
        radius = leaf_chance.uniform(0.1, 0.16)
        tried = leaf_chance.random((20, 2)) * (aspect, 1)
        seen = [_distance(place + (LEAD, 0), begun[: pond.followed]) for place in tried]  # where it is in the first frame
        pads.append(_Pad(paint_pad(leaf_chance, round(radius * height)), *tried[int(np.argmax(np.minimum(seen, 0.3 + radius)))]))
    return [koi[n] for n in other_chance.permutation(len(koi))], pads


def _look(chance: np.random.Generator, camouflage: float) -> Look:
    """Colours between those of koi and those of the bottom."""
    shown, hidden = (colours[chance.permutation(len(colours))[:2]] for colours in (COLOURS, BOTTOM))
    mixed = (1 - camouflage) * shown + camouflage * hidden
    base, patch = np.clip(mixed * chance.uniform(0.9, 1.1, (2, 1)), 0, 1).tolist()
    return Look(tuple(base), tuple(patch), int(chance.integers(0, 10)))


def _path(chance: np.random.Generator, aspect: float, others: Sequence[Floats]) -> Floats:
    """x, y and heading at 65 phases (65, 3): of 50 curves through the frame's middle the first that begins apart and stays in sight."""
    phase, margin = np.linspace(0, 1, 65), 0.2 * min(1, aspect)
    best, least = np.zeros((65, 3)), -1.0
    for _ in range(50):
        heading, turn, wave, beginning, reach = chance.uniform((0, -1.2, 0.2, 0, 0.4), (2 * np.pi, 1.2, 0.6, 2 * np.pi, 1.0))
        angle = heading + turn * phase + wave * np.sin(2 * np.pi * phase + beginning)
        line = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1) * (reach / 64), axis=0)
        line += chance.uniform((0.2 * aspect, 0.2), (0.8 * aspect, 0.8)) - line[32]
        inside = np.maximum(margin - line, line + margin - (aspect, 1)).max(axis=1) < 0
        good = float(inside[0]) + min(inside.mean() / 0.85, 1) + min(_distance(line[0], others) / 0.4, 1)
        if good > least:
            best, least = np.concatenate([line, angle[:, None]], axis=1), good
    return best


def _distance(place: Floats, others: Sequence[Floats]) -> float:
    """To the nearest of the others; 1 where there are none."""
    return min((float(np.hypot(*(place - other))) for other in others), default=1.0)


def _along(path: Floats, length: float, stroke: float, beat: float, bend: float, index: int, phase: float) -> Pose:
    """On the path at that phase, the tail at that frame's stroke."""
    x, y, angle = (float(np.interp(64 * phase, np.arange(65), values)) for values in path.T)
    return Pose(x, y, angle, length, stroke + beat * 2 * np.pi * index / BEAT, bend)
