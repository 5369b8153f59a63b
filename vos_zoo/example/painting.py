"""The textures of the rendered example: a sandy bottom, koi and lily pads, painted by numpy.

    ground = paint_ground(rng, height, width, scale)        # (H, W, 3) RGB in 0..1
    pad = paint_pad(rng, radius)                            # (h, w, 4): colour times cover, then cover
    koi = paint_koi(rng, texels, look)                      # (h, w) packed texels

`rng` decides how each of them looks. What is large looks the same at every size; grain is as fine as the pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.floating[Any]]
Packed = NDArray[np.uint32]  # a texel's four bytes: red, green, blue, cover

WATER = np.array([0.37, 0.45, 0.39], dtype=np.float32)
SAND = np.array([0.60, 0.55, 0.43])
STONES = np.array([[36, 32, 27], [30, 29, 27], [40, 35, 27], [30, 24, 19], [44, 41, 37], [28, 30, 25]]) / 100
WEED = np.array([0.20, 0.28, 0.13])
OUTLINE = (  # u, and half the body's width there
    [0, 0.006, 0.02, 0.05, 0.10, 0.18, 0.28, 0.40, 0.55, 0.68, 0.78, 0.84, 1],
    [0.004, 0.018, 0.033, 0.053, 0.074, 0.094, 0.104, 0.102, 0.081, 0.053, 0.032, 0.022, 0.012],
)
FINS = (  # root u and v, direction, length, half opening: a pair each, the last is the tail
    (0.215, 0.075, 0.95, 0.185, 0.50),
    (0.47, 0.075, 0.55, 0.10, 0.42),
    (0.80, 0.0, 0.20, 0.235, 0.32),
)


class Look(NamedTuple):
    """A koi's skin: its ground colour, that of its patches, the number of its dark spots."""

    base: tuple[float, float, float]
    patch: tuple[float, float, float]
    spots: int


def noise(rng: np.random.Generator, size: tuple[int, int], slope: float, coarsest: float) -> Floats:
    """A random field (H, W), mean 0, deviation 1; amplitudes fall as frequency^-slope below `coarsest`."""
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    amplitude = (fy * fy + fx * fx + (1 / (6.3 * coarsest)) ** 2) ** (-slope / 2)
    spectrum = np.fft.rfft2(rng.standard_normal(size)) * amplitude
    field = np.fft.irfft2(spectrum, size)
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _blotches(rng: np.random.Generator, size: tuple[int, int], slope: float, coarsest: float) -> Floats:
    """Noise that is the same at every size but for its sharpness; `coarsest` is a share of the width."""
    small = Image.fromarray(noise(rng, (96, 128), slope, 128 * coarsest))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def paint_ground(rng: np.random.Generator, height: int, width: int, scale: int) -> Floats:
    """Sand (H, W, 3) with stones and weed, as water shows it: hazy, and a little out of focus.

    `scale` is the height of the frame, of which lengths are shares.
    """
    size = height, width
    grain = noise(np.random.default_rng(rng.integers(1 << 32)), size, 1.1, scale / 4)  # takes a number for each pixel
    swell, drift = _blotches(rng, size, 3.0, 0.20), _blotches(rng, size, 1.6, 0.12)
    y, x = (np.mgrid[:height, :width] / scale).astype(np.float32)
    marks = np.sin(58 * (y + 0.22 * x) + 2.2 * swell + 1.1 * drift) * np.clip(0.5 + 0.6 * swell, 0, 1)
    tone = 1 + 0.07 * swell + 0.05 * drift + 0.045 * grain + 0.03 * marks
    image = (SAND * tone[..., None]).astype(np.float32)
    silt = np.clip(0.25 - 0.35 * swell + 0.2 * drift, 0, 0.6)[..., None]
    image += silt * (np.array([0.37, 0.38, 0.27], dtype=np.float32) - image)

    middles = rng.random((9, 2)) * (width / scale, height / scale)
    _scatter_stones(rng, image, grain, middles[:6], scale)
    _plant_weed(rng, image, middles[4:], scale)
    image = _defocus(image, 0.0045 * scale)
    haze = np.clip(0.34 - 0.07 * swell, 0.15, 0.6)[..., None]
    image += haze * (WATER - image)
    return image


def _defocus(image: Floats, sigma: float) -> Floats:
    """The image (H, W, C) under a Gaussian of `sigma` pixels; it goes on beyond its border on the other side."""
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None]
    passed = np.exp(-2 * (np.pi * sigma) ** 2 * (fy * fy + fx * fx))[..., None]
    spectrum = np.fft.rfft2(image, axes=(0, 1)) * passed
    return np.fft.irfft2(spectrum, image.shape[:2], axes=(0, 1)).astype(np.float32)


def _scatter_stones(rng: np.random.Generator, image: Floats, grain: Floats, middles: Floats, scale: int) -> None:
    """Stones in loose heaps about `middles`, and some by themselves; the small ones lie on top."""
    count, reach = 16 * len(middles), np.array([image.shape[1], image.shape[0]]) / scale
    places = np.repeat(middles, 16, axis=0) + rng.normal(0, 0.13, (count, 2))
    places[::4] = rng.random((len(places[::4]), 2)) * reach
    places %= reach  # what falls beyond the border lies at the other one
    radii, looks = np.sort(0.012 + 0.055 * rng.random(count) ** 3)[::-1], rng.random((count, 4))
    for radius, (x, y), look in zip(radii, places[rng.permutation(count)], looks, strict=True):
        _drop_stone(image, grain, x * scale, y * scale, radius * scale, look)


def _drop_stone(image: Floats, grain: Floats, x: float, y: float, radius: float, look: NDArray[np.float64]) -> None:
    """Paints a stone and its shade; `look`: four numbers in 0..1 for turn, flatness, colour, brightness."""
    height, width = image.shape[:2]
    reach = int(1.6 * radius) + 2
    rows = slice(max(int(y) - reach, 0), min(int(y) + reach + 1, height))
    columns = slice(max(int(x) - reach, 0), min(int(x) + reach + 1, width))
    ground, grain = image[rows, columns], grain[rows, columns]
    dx = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)) / np.float32(radius)
    dy = ((np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(y)) / np.float32(radius))[:, None]
    turn, flat = np.float32(np.pi * look[0]), np.float32(0.62 + 0.33 * look[1])
    along, over = dx * np.cos(turn) + dy * np.sin(turn), (dy * np.cos(turn) - dx * np.sin(turn)) / flat
    rho = np.sqrt(along * along + over * over) * (1 + 0.06 * grain)
    ground *= 1 - 0.5 * np.clip(1.45 - rho, 0, 0.9)[..., None]
    light = 0.52 + 0.48 * np.sqrt(np.clip(1 - rho * rho, 0, 1))
    light -= 0.22 * np.clip(dx + 1.3 * dy, -1, 1) * np.minimum(rho, 1)
    light *= 1 + 0.10 * grain
    tint = (STONES[int(look[2] * len(STONES))] * (0.85 + 0.45 * look[3])).astype(np.float32)
    cover = np.clip((1 - rho) * (radius * flat) + 0.5, 0, 1).astype(np.float32)[..., None]
    ground += cover * (tint * light[..., None] - ground)


def _plant_weed(rng: np.random.Generator, image: Floats, roots: Floats, scale: int) -> None:
    """Tufts of long leaves about `roots`, combed by a current, and their shade."""
    canvas = Image.new("RGBA", (image.shape[1], image.shape[0]))
    draw, along = ImageDraw.Draw(canvas), np.linspace(0, 1, 12)
    for root in roots:
        comb = rng.uniform(-0.6, 0.6)
        for lean, length, curl, tone, *offset in rng.normal((comb, 0.20, 0, 1, 0, 0), (0.5, 0.06, 0.5, 0.2, 0.02, 0.02), (26, 6)):
            angle = lean + curl * along
            line = root + offset + length * np.stack([np.cos(angle), np.sin(angle)], axis=1) * along[:, None]
            side = 0.007 * (1 - along**2)[:, None] * np.stack([-np.sin(angle), np.cos(angle)], axis=1)
            colour = np.clip(255 * tone * WEED, 0, 255).astype(int)
            rim = np.concatenate([line + side, (line - side)[::-1]]) * scale
            draw.polygon([(float(x), float(y)) for x, y in rim], fill=(*(int(c) for c in colour), 255))
    painted = np.asarray(canvas, dtype=np.float32) / 255
    shade = np.roll(painted[..., 3:], round(0.014 * scale), axis=(0, 1))
    image *= 1 - 0.35 * _defocus(shade, 0.008 * scale)
    image += painted[..., 3:] * (painted[..., :3] - image)


def paint_koi(rng: np.random.Generator, texels: int, look: Look) -> Packed:
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


def _skin(rng: np.random.Generator, u: Floats, v: Floats, across: Floats, rough: Floats, look: Look) -> Floats:
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


def paint_pad(rng: np.random.Generator, radius: int) -> Floats:
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


class Layer(NamedTuple):
    """Something in front of the rest: its box in the frame, and colour times cover, then cover (h, w, 4)."""

    box: tuple[slice, slice]
    paint: Floats

    @property
    def cover(self) -> Floats:
        return self.paint[..., 3]

    def over(self, image: Floats) -> None:
        """Lays it onto the image."""
        image[self.box] *= 1 - self.paint[..., 3:]
        image[self.box] += self.paint[..., :3]


class Pose(NamedTuple):
    """A koi in the frame, in shares of the frame's height: its middle, heading, length, radians of the tail's beat, bend of the back."""

    x: float
    y: float
    angle: float
    length: float
    stroke: float
    bend: float


def swim(painting: Packed, pose: Pose, height: int, width: int) -> Layer:
    """The koi in its pose, in a frame of that size."""
    x, y, angle, length, stroke, bend = pose
    reach = 0.62 * length
    left, right = (min(max(int(c * height), 0), width) for c in (x - reach, x + reach))
    top, bottom = (min(max(int(c * height), 0), height) for c in (y - reach, y + reach))
    half = np.float32(0.5 / height)  # two samples a pixel, each way
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
    return Layer((slice(top, bottom), slice(left, right)), paint)


def window(texture: Floats, left: float, top: float, height: int, width: int) -> Floats:
    """The texture from a place between pixels on, (H, W, C), interpolated."""
    x, y = int(left), int(top)
    dx, dy = np.float32(left - x), np.float32(top - y)
    strip = texture[y : y + height + 1, x : x + width + 1]
    strip = strip[:-1] * (1 - dy) + strip[1:] * dy
    return strip[:, :-1] * (1 - dx) + strip[:, 1:] * dx


def place(sprite: Floats, x: float, y: float, height: int, width: int) -> Layer:
    """The sprite (h, w, 4), which is empty along its border, with its middle at (x, y) of the frame."""
    left, top = x - sprite.shape[1] / 2, y - sprite.shape[0] / 2
    column, row = int(np.ceil(left)), int(np.ceil(top))
    shifted = window(sprite, column - left, row - top, sprite.shape[0] - 1, sprite.shape[1] - 1)
    rows = slice(min(max(row, 0), height), min(max(row + shifted.shape[0], 0), height))
    columns = slice(min(max(column, 0), width), min(max(column + shifted.shape[1], 0), width))
    seen = shifted[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
    return Layer((rows, columns), seen)
