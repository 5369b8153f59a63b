"""A simulated user: where somebody would click, draw a box or a stroke who wants this object and sees that mask.

The protocol of the field (Xu et al. 2016; Sofiiuk et al. 2021): a click goes to the place deepest inside the larger error, of what is
missing and of what is too much. Masks are bool arrays (H, W); points are (x, y) pixels from the top left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from vos_zoo.errors import VosZooError

Mask = np.ndarray


class Click(NamedTuple):
    x: int
    y: int
    positive: bool = True


def next_click(truth: Mask, predicted: Mask, told: np.ndarray | None = None, rng: np.random.Generator | None = None) -> Click | None:
    """The click that corrects `predicted` most; None where nothing is wrong.

    told: pixels where a click was made already, which are not clicked again. rng: not the deepest place, but any of the deeper
    half of the error; users are no distance transforms.
    """
    missing, extra = truth & ~predicted, predicted & ~truth
    if told is not None:
        missing, extra = missing & ~told, extra & ~told
    depth, beyond = depths(missing), depths(extra)
    positive = bool(depth.max() >= beyond.max())
    depth = depth if positive else beyond
    if depth.max() <= 0:
        return None
    return Click(*_place(depth, rng), positive)


def box_of(truth: Mask, rng: np.random.Generator | None = None, jitter: float = 0.06) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 around the object; with rng, each side wanders by about `jitter` of the object's extent."""
    ys, xs = np.nonzero(truth)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float64)
    if rng is not None:
        extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        box += rng.normal(size=4) * jitter * extent
        height, width = truth.shape
        box = np.clip(box, 0, [width - 2, height - 2, width, height])
        box[2:] = np.maximum(box[2:], box[:2] + 2)
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1


def circle_around(truth: Mask, rng: np.random.Generator, wider: tuple[float, float] = (0.1, 0.4)) -> Mask:
    """What is inside a line drawn loosely around the object: its convex hull, wider by 10 to 40 % of the hull's size."""
    try:
        from scipy.ndimage import distance_transform_edt
        from scipy.spatial import ConvexHull, QhullError
    except ImportError as error:
        raise VosZooError("simulated circles need scipy: pip install scipy") from error
    ys, xs = np.nonzero(truth)
    places = np.stack([xs, ys], 1)
    try:
        corners = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):  # all in one line
        corners = places[[0, -1]]
    picture = Image.new("L", truth.shape[::-1])
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in corners], fill=1, outline=1)
    hull = np.asarray(picture) > 0
    reach = rng.uniform(*wider) * np.sqrt(hull.sum()) / 2
    return distance_transform_edt(~hull) <= max(reach, 1)


def stroke_in(region: Mask, rng: np.random.Generator, points: int = 24) -> list[tuple[int, int]]:
    """A curve through three places inside the region, as points; those outside it are left out."""
    depth = depths(region)
    ends = np.array([_place(depth, rng, share=0.3) for _ in range(3)], np.float64)
    t = np.linspace(0, 1, points)[:, None]
    curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
    return [(x, y) for x, y in curve.round().astype(int).tolist() if region[y, x]]


def depths(region: Mask) -> np.ndarray:
    """(H, W) float: of every pixel of the region the distance to its edge, to the picture's too; 0 elsewhere."""
    if not region.any():
        return np.zeros(region.shape, np.float32)
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError as error:
        raise VosZooError("simulated clicks need scipy: pip install scipy") from error
    ys, xs = np.nonzero(region.any(1))[0], np.nonzero(region.any(0))[0]
    inside = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    found = np.zeros(region.shape, np.float32)
    found[inside] = distance_transform_edt(np.pad(region[inside], 1))[1:-1, 1:-1]
    return found


def _place(depth: np.ndarray, rng: np.random.Generator | None, share: float = 0.5) -> tuple[int, int]:
    """The deepest pixel; with rng, any that is at least `share` as deep."""
    if rng is None:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return int(x), int(y)
    ys, xs = np.nonzero(depth >= share * depth.max())
    n = int(rng.integers(len(ys)))
    return int(xs[n]), int(ys[n])
