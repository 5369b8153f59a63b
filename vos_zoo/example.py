"""A short clip drawn by numpy, with exact masks: a koi over pebbles, another below it, leaves above it.

    example = render_example()
    example.frames, example.masks       # (T, H, W, 3) uint8 RGB, (T, H, W) uint8: 1 on the visible koi

Lengths are shares of the frame's height, so that every size shows the same scene. From below: pebbles,
shadows, the other koi, the koi, lily pads. A koi is painted once, straight, in coordinates u from nose to
tail and v across, and bent by looking every pixel up in that painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vos_zoo.errors import VideoError

Floats = NDArray[np.floating[Any]]
Packed = NDArray[np.uint32]  # a texel's four bytes: red, green, blue, cover

WATER = np.array([0.20, 0.27, 0.20], dtype=np.float32)
KOI = 0.74  # its length
STONES = np.array([[46, 42, 36], [38, 37, 35], [52, 46, 36], [38, 31, 24], [56, 54, 50], [35, 38, 32]]) / 100
OUTLINE = (  # u, and half the body's width there
    [0, 0.006, 0.02, 0.05, 0.10, 0.18, 0.28, 0.40, 0.55, 0.68, 0.78, 0.84, 1],
    [0.004, 0.018, 0.033, 0.053, 0.074, 0.094, 0.104, 0.102, 0.081, 0.053, 0.032, 0.022, 0.012],
)
FINS = (  # root u and v, direction, length, half opening: a pair each, the last is the tail
    (0.215, 0.075, 0.95, 0.185, 0.50),
    (0.47, 0.075, 0.55, 0.10, 0.42),
    (0.80, 0.0, 0.20, 0.235, 0.32),
)
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
        seed: which pebbles, patterns and leaves.
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


class _Look(NamedTuple):
    """A koi's skin: its ground colour, that of its patches, the number of its dark spots."""

    base: tuple[float, float, float]
    patch: tuple[float, float, float]
    spots: int


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
        self.ground = _ground(chance[0], round(1.2 * height) + 2, width + round(self.pan) + 2, height)
        wide = (height, width + height)
        self.waves = [_noise(chance[1], wide, 2.4, height / 14) for _ in range(2)]
        self.glare = _noise(chance[2], wide, 3.2, height / 4)
        self.grain = chance[3].normal(0, 0.008, (height + 32, width + 32, 1)).astype(np.float32)
        texels = round(2.2 * KOI * height)
        self.koi = _paint_koi(chance[4], texels, _Look((0.97, 0.93, 0.86), (0.87, 0.33, 0.09), 9))
        self.other = _paint_koi(chance[5], texels, _Look((0.86, 0.70, 0.36), (0.33, 0.32, 0.30), 3))
        aspect = width / height
        self.pads = [  # painting, and where its middle is half-way through the clip
            (_paint_pad(chance[6], round(radius * height)), x, y)
            for x, y, radius in (
                (0.56 * aspect, 0.40, 0.19),
                (0.86 * aspect, 0.93, 0.21),
                (0.13 * aspect, 0.06, 0.17),
                (0.71 * aspect, 0.03, 0.12),
            )
        ]
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        self.vignette = (1 - 0.16 * (x * x + y * y))[..., None]

    def render(self, index: int, phase: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `index`, at `phase` 0..1 of the story: image (H, W, 3) and mask (H, W)."""
        height, width = self.height, self.width
        across, down = self.pan * phase, height * (0.1 + 0.06 * np.sin(2.2 * phase + 0.4))
        image = _window(self.ground, across, down, height, width)
        light = self._caustics(index)[..., None]
        image *= 0.86 + 0.5 * light

        koi, other = self._koi(index, phase), self._other(index, phase)
        for fish, depth in ((other, 0.05), (koi, 0.09)):
            self._cast_shadow(image, fish, depth, 0.55)
        for fish, murk in ((other, 0.16), (koi, 0.04)):
            colour = fish.paint[..., :3]
            colour *= 0.86 + 0.34 * light[fish.box]
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
        y = 0.56 - 0.17 * np.sin(5.2 * share - 0.2)
        slope = -0.17 * 5.2 * np.cos(5.2 * share - 0.2) / aspect
        stroke = 2 * np.pi * index / BEAT
        return self._swim(self.koi, share * aspect, y, np.arctan(slope), KOI, stroke, 0.10 * np.sin(5 * phase))

    def _other(self, index: int, phase: float) -> _Layer:
        x, y = (1.02 - 1.15 * phase) * self.width / self.height, 0.30 + 0.42 * phase
        return self._swim(self.other, x, y, np.pi - 0.42, 0.88 * KOI, 7 * index / BEAT + 2, 0.06)

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
        soft = max(shift // 3, 1)
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
        return np.exp(-1.6 * np.abs(meet))

    def _slide(self, field: Floats, shift: float) -> Floats:
        """The periodic field, moved by `shift` 240ths of the frame's height."""
        shift = shift * self.height / 240 % field.shape[1]
        columns = np.arange(int(shift), int(shift) + self.width + 1) % field.shape[1]
        taken, share = field[:, columns], np.float32(shift % 1)
        return (1 - share) * taken[:, :-1] + share * taken[:, 1:]


def _lay(image: Floats, layer: _Layer) -> None:
    image[layer.box] *= 1 - layer.paint[..., 3:]
    image[layer.box] += layer.paint[..., :3]


def _noise(rng: np.random.Generator, size: tuple[int, int], slope: float, coarsest: float) -> Floats:
    """A random field (H, W), mean 0, deviation 1; amplitudes fall as frequency^-slope below `coarsest`."""
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    amplitude = (fy * fy + fx * fx + (1 / (6.3 * coarsest)) ** 2) ** (-slope / 2)
    spectrum = np.fft.rfft2(rng.standard_normal(size)) * amplitude
    field = np.fft.irfft2(spectrum, size)
    return ((field - field.mean()) / field.std()).astype(np.float32)


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


def _blotches(rng: np.random.Generator, size: tuple[int, int], slope: float, coarsest: float) -> Floats:
    """Noise that is the same at every size but for its sharpness; `coarsest` is a share of the width."""
    small = Image.fromarray(_noise(rng, (96, 128), slope, 128 * coarsest))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _ground(rng: np.random.Generator, height: int, width: int, scale: int) -> Floats:
    """Pebbles (H, W, 3) fallen on each other, seen through water."""
    stain = _blotches(rng, (height, width), 3.0, scale / (2 * width))
    count = round(1500 * width / height)
    places, looks = rng.random((count, 2)), rng.random((count, 4))
    radii = 0.018 + 0.085 * rng.random(count) ** 5
    radii[count // 2 :] = np.sort(radii[count // 2 :])[::-1]
    grain = _noise(rng, (height, width), 1.8, scale / 8)
    fine = _noise(rng, (height, width), 0.9, scale / 40)
    image = (np.array([0.36, 0.33, 0.25]) + 0.05 * grain[..., None] + 0.03 * fine[..., None]).astype(np.float32)
    for radius, (x, y), look in zip(radii, places, looks, strict=True):
        _drop_pebble(image, grain, fine, x * width, y * height, radius * scale, look)
    image *= (1 + 0.10 * stain)[..., None]
    mossy = np.clip(0.5 * stain + 0.25 * grain - 0.1, 0, 0.6)[..., None]
    image += mossy * (np.array([0.22, 0.29, 0.13], dtype=np.float32) - image)
    image += 0.16 * (WATER - image)
    return image


def _drop_pebble(image: Floats, grain: Floats, fine: Floats, x: float, y: float, radius: float, look: NDArray[np.float64]) -> None:
    """Paints a pebble and its shade; `look`: four numbers in 0..1 for turn, flatness, colour, brightness."""
    height, width = image.shape[:2]
    reach = int(1.6 * radius) + 2
    rows = slice(max(int(y) - reach, 0), min(int(y) + reach + 1, height))
    columns = slice(max(int(x) - reach, 0), min(int(x) + reach + 1, width))
    ground, grain, fine = image[rows, columns], grain[rows, columns], fine[rows, columns]
    dx = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)) / np.float32(radius)
    dy = ((np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(y)) / np.float32(radius))[:, None]
    turn, flat = np.float32(np.pi * look[0]), np.float32(0.62 + 0.33 * look[1])
    along, over = dx * np.cos(turn) + dy * np.sin(turn), (dy * np.cos(turn) - dx * np.sin(turn)) / flat
    rho = np.sqrt(along * along + over * over) * (1 + 0.06 * grain)
    ground *= 1 - 0.5 * np.clip(1.45 - rho, 0, 0.9)[..., None]
    light = 0.52 + 0.48 * np.sqrt(np.clip(1 - rho * rho, 0, 1))
    light -= 0.22 * np.clip(dx + 1.3 * dy, -1, 1) * np.minimum(rho, 1)
    light *= 1 + 0.09 * grain + 0.05 * fine
    tint = (STONES[int(look[2] * len(STONES))] * (0.85 + 0.45 * look[3])).astype(np.float32)
    cover = np.clip((1 - rho) * (radius * flat) + 0.5, 0, 1).astype(np.float32)[..., None]
    ground += cover * (tint * light[..., None] - ground)


def _paint_koi(rng: np.random.Generator, texels: int, look: _Look) -> Packed:
    """A straight koi from above, (0.7 n, n): u is 0 at the nose, 1 at the tail's end; v is in -0.35..0.35."""
    size = round(0.7 * texels), texels
    u = ((np.arange(size[1], dtype=np.float32) + 0.5) / size[1])[None]
    v = (((np.arange(size[0], dtype=np.float32) + 0.5) / size[0] - 0.5) * 0.7)[:, None]
    side = np.abs(v)
    wide = np.interp(u, *OUTLINE).astype(np.float32)
    across = np.clip(side / wide, 0, 1)
    rough = _blotches(rng, size, 1.4, 0.04)
    skin = _skin(rng, u, v, across, rough, look)
    skin *= _relief(u, v, side, wide, across, rough)[..., None]

    colour, cover = np.zeros((*size, 3), dtype=np.float32), np.zeros(size, dtype=np.float32)
    tone = 0.55 * np.array(look.base) + 0.35 * np.array(look.patch)
    for root_u, root_v, lean, length, opening in FINS:
        du, dv = u - root_u, side - root_v
        distance, direction = np.hypot(du, dv), np.arctan2(dv, du) - lean
        rim = length * (1 - 0.55 * np.clip(np.abs(direction) / opening, 0, 1) ** 2.2)
        fin = (np.abs(direction) < opening) & (distance < rim * (1 + 0.02 * np.sin(38 * direction)))
        rays = 0.84 + 0.20 * np.sin(60 * direction + 0.5 * rough) - 0.25 * np.clip(distance / length - 0.3, 0, 1)
        colour[fin] = (tone * rays[..., None])[fin]
        cover[fin] = 1
    body = (side < wide) & (u < 0.86)
    colour[body], cover[body] = skin[body], 1
    painted = np.concatenate([np.clip(colour, 0, 1), cover[..., None]], axis=2)
    return np.ascontiguousarray((painted * 255 + 0.5).astype(np.uint8)).view(np.uint32)[..., 0]


def _skin(rng: np.random.Generator, u: Floats, v: Floats, across: Floats, rough: Floats, look: _Look) -> Floats:
    """Colours (H, W, 3) of the body: patches with ragged edges, and dark spots."""
    patches = _blotches(rng, across.shape, 3.4, 0.10) + 0.7 * np.cos(17 * u + 0.4) + 0.2 - 0.5 * across**3
    ink = np.zeros_like(across)
    for at_u, at_v, radius in rng.uniform((0.16, -0.07, 0.008), (0.78, 0.07, 0.028), (look.spots, 3)):
        ink = np.maximum(ink, radius - np.hypot(0.7 * (u - at_u), v - at_v) * (1 + 0.15 * rough))
    skin = np.broadcast_to(look.base, (*across.shape, 3)).astype(np.float32)
    skin += np.clip(5 * patches + 0.6 * rough, 0, 1)[..., None] * (np.array(look.patch, np.float32) - skin)
    skin += np.clip(150 * ink, 0, 0.85)[..., None] * (np.float32(0.11) - skin)
    return skin


def _relief(u: Floats, v: Floats, side: Floats, wide: Floats, across: Floats, rough: Floats) -> Floats:
    """How bright the body is (H, W): round, scaly, with a fin along the back, gills, eyes and nostrils."""
    row = v * 46 / np.maximum(np.sqrt(wide / 0.104), 0.3)
    cell = np.hypot((46 * u + 0.5 * (np.floor(row) % 2)) % 1 - 0.35, row % 1 - 0.5)
    scaly = np.clip(12 * (u - 0.16), 0, 1) * np.clip(10 * (0.85 - u), 0, 1)
    ridge = np.exp(-((v / 0.012) ** 2)) * np.clip(30 * (u - 0.33), 0, 1) * np.clip(30 * (0.66 - u), 0, 1)
    gill = np.exp(-(((u - 0.175 + 0.35 * (side - 0.05)) / 0.006) ** 2)) * (side > 0.03)
    shine = np.exp(-(((v + 0.25 * wide) / (0.3 * wide + 0.004)) ** 2))
    light = (0.52 + 0.56 * np.sqrt(1 - across**2) + 0.10 * shine) * (1 - 0.35 * gill)
    light *= 1 - 0.20 * scaly * np.clip(4 * (cell - 0.34), 0, 1) + 0.035 * rough - 0.30 * ridge
    light *= np.clip(220 * (np.hypot(u - 0.062, side - 0.046) - 0.008), 0.08, 1)
    light *= np.clip(400 * (np.hypot(u - 0.024, side - 0.016) - 0.002), 0.45, 1)
    return light


def _paint_pad(rng: np.random.Generator, radius: int) -> Floats:
    """A lily pad (h, w, 4), premultiplied: round, notched, veined."""
    reach = radius + 4
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    angle = (np.arctan2(y, x) - turn + np.pi) % (2 * np.pi) - np.pi
    distance = np.hypot(x, y)
    rim = radius * (0.97 + 0.018 * np.sin(3 * angle + 1) + 0.012 * np.sin(7 * angle))
    notch = (np.abs(angle) - 0.02) * distance - 0.09 * np.maximum(distance - 0.12 * radius, 0)
    cover = np.clip(rim - distance + 0.5, 0, 1) * np.clip(notch + 0.5, 0, 1)
    blotch = _blotches(rng, distance.shape, 3.0, 0.2)[..., None]
    fine = _blotches(rng, distance.shape, 1.2, 0.04)[..., None]
    off_vein = np.abs((angle * 11 / np.pi + 0.05 * blotch[..., 0]) % 1 - 0.5) * distance
    vein = np.exp(-((off_vein / (0.04 * radius + 0.9)) ** 2)) * np.clip(1.05 - distance / radius, 0, 1)
    edge = np.exp(-(((rim - distance) / (0.03 * radius)) ** 2))[..., None]
    colour = np.array([0.27, 0.45, 0.16]) + blotch * np.array([0.034, 0.030, 0.014]) + 0.018 * fine
    colour = colour * (1.06 - 0.16 * (x + y) / radius)[..., None] + vein[..., None] * np.array([0.12, 0.13, 0.07])
    colour += 0.55 * edge * (np.array([0.42, 0.42, 0.18]) - colour)
    return np.concatenate([colour * cover[..., None], cover[..., None]], axis=2).astype(np.float32)
