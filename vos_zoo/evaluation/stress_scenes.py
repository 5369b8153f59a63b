"""Videos that ask for one thing at a time: cutouts that move over a still, clips played to and fro, clips whose object meets its twin.

A cutout is cut from an image with its mask, a Scene is made of frames one at a time, so that any length takes no memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vos_zoo.errors import EvaluationError

Frame = tuple[np.ndarray, np.ndarray]  # (H, W, 3) uint8 and its ids (H, W) int32
OUT, BACK = 20, 40  # frames at which an object has left, and comes again
LENGTH = 60
GAP = 12  # pixels between an object and its twin in the first frame
IN_SIGHT = 0.5  # the share of each that the first frame has to show


class Cutout(NamedTuple):
    """An object by itself, in a box that fits it."""

    pixels: np.ndarray  # (h, w, 3) uint8
    mask: np.ndarray  # (h, w) bool


@dataclass(frozen=True)
class Scene:
    """A video with exact masks. Calling `play` gives its frames from the first."""

    name: str
    length: int
    play: Callable[[], Iterator[Frame]]


def cutouts(folder: Path, smallest: int = 60) -> list[list[Cutout]]:
    """The objects of every pair folder/images/X.*, folder/masks/X.png (indexed), image by image; those under `smallest` pixels left out.

    EvaluationError if there is none.
    """
    found = []
    for path in sorted((folder / "masks").glob("*.png")):
        images = sorted((folder / "images").glob(f"{path.stem}.*"))
        if not images:
            continue
        image, labels = np.asarray(Image.open(images[0]).convert("RGB")), np.asarray(Image.open(path))
        objects = []
        for k in np.unique(labels[(labels > 0) & (labels < 255)]):
            box = _box(labels == k)
            if box is not None and min(labels[box].shape) >= smallest:
                objects.append(Cutout(image[box], labels[box] == k))
        if objects:
            found.append(objects)
    if not found:
        raise EvaluationError(f"{folder} has no object of {smallest} pixels: it needs images/X.jpg and masks/X.png, ids on 0")
    return found


def to_and_fro(name: str, frames: Sequence[np.ndarray], truth: Sequence[np.ndarray], length: int) -> Scene:
    """A clip played forwards and backwards again and again, so that truth is known however long it goes on."""
    last = len(frames) - 1

    def play() -> Iterator[Frame]:
        for t in range(length):
            n = t % (2 * last) if last else 0
            n = min(n, 2 * last - n)
            yield frames[n], truth[n]

    return Scene(name, length, play)


def crossing(name: str, frames: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> Scene | None:
    """The object of a clip (id 1) and its twin (id 2), itself mirrored and played backwards, which passes in front of it from side to side.

    None where the first frame has no room for both side by side, or the object is not in all frames.
    """
    before, behind = [], []
    for frame, labels in zip(frames, truth, strict=True):
        place = _box(labels > 0)
        if place is None:
            return None
        before.append(place)
        behind.append(Cutout(frame[place], labels[place] > 0))
    twins = [Cutout(each.pixels[:, ::-1], each.mask[:, ::-1]) for each in reversed(behind)]
    tops = [rows.start for rows, _ in reversed(before)]
    middles = [(columns.start + columns.stop) / 2 for _, columns in before]
    apart = (behind[0].mask.shape[1] + twins[0].mask.shape[1]) / 2 + GAP
    if middles[0] + apart > frames[0].shape[1]:
        apart = -apart

    def play() -> Iterator[Frame]:
        for t, (frame, labels) in enumerate(zip(frames, truth, strict=True)):
            frame, ids = frame.copy(), (labels > 0).astype(np.int32)
            middle = middles[t] + apart * (1 - 2 * t / max(1, len(frames) - 1))
            _paste(frame, ids, twins[t], (tops[t], middle - twins[t].mask.shape[1] / 2), 2)
            yield frame, ids

    scene = Scene(name, len(frames), play)
    _, ids = next(scene.play())
    whole = [behind[0].mask.sum(), twins[0].mask.sum()]
    return scene if all((ids == k).sum() >= IN_SIGHT * of_one for k, of_one in enumerate(whole, 1)) else None


def leaves_and_returns(name: str, target: Cutout, background: np.ndarray, size: tuple[int, int] = (480, 854)) -> Scene:
    """The object goes out at the right, is gone for frames 20 ... 39, and comes in again from the left."""
    h, w = size
    target = scaled(target, 0.45 * h)
    mid = (h - target.mask.shape[0]) // 2

    def place(t: int) -> tuple[float, float]:
        wide = target.mask.shape[1]
        if t < OUT:
            return mid, 0.2 * w + (w - 0.2 * w) * (t / (OUT - 1)) ** 2 * (1 if t < OUT - 1 else 1.01)
        if t < BACK:
            return mid, w + 1.0
        return mid, -wide + (0.4 * w + wide) * min(1.0, (t - BACK + 1) / 12)

    return _moving(name, [target], [place], background, size)


def look_alikes(name: str, group: Sequence[Cutout], background: np.ndarray, size: tuple[int, int] = (480, 854)) -> Scene:
    """Several objects of one kind that sway and pass each other at some distance."""
    h, w = size
    count = len(group)
    group = [scaled(each, min(0.42 * h, 0.8 * w / count)) for each in group]

    def way(n: int) -> Callable[[int], tuple[float, float]]:
        y0 = 0.08 * h + n / max(count - 1, 1) * (0.92 * h - group[n].mask.shape[0] - 0.08 * h)

        def place(t: int) -> tuple[float, float]:
            x = (0.5 + 0.42 * math.sin(2 * math.pi * (t / LENGTH + n / count))) * (w - group[n].mask.shape[1])
            return y0 + 0.02 * h * math.sin(t / 3 + n), x

        return place

    return _moving(name, group, [way(n) for n in range(count)], background, size)


def small(name: str, target: Cutout, background: np.ndarray, height: int, size: tuple[int, int] = (480, 854)) -> Scene:
    """The object so many pixels high, on a winding way."""
    h, w = size
    target = scaled(target, height)

    def place(t: int) -> tuple[float, float]:
        return (0.5 + 0.3 * math.sin(t / 9)) * (h - height), (0.1 + 0.8 * t / LENGTH) * (w - target.mask.shape[1])

    return _moving(name, [target], [place], background, size)


def _box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns that hold the mask; None if it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None


def scaled(cutout: Cutout, longest: float) -> Cutout:
    """With its longer side this many pixels."""
    h, w = cutout.mask.shape
    factor = longest / max(h, w)
    size = max(2, round(w * factor)), max(2, round(h * factor))
    pixels = np.asarray(Image.fromarray(cutout.pixels).resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR))
    mask = np.asarray(Image.fromarray(cutout.mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)) >= 128
    return Cutout(pixels, mask)


def covering(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of an image, as large as the frame and a tenth more."""
    h, w = (round(1.1 * side) for side in size)
    factor = max(h / image.shape[0], w / image.shape[1])
    large = Image.fromarray(image).resize((math.ceil(image.shape[1] * factor), math.ceil(image.shape[0] * factor)))
    top, left = (large.height - h) // 2, (large.width - w) // 2
    return np.asarray(large.crop((left, top, left + w, top + h)))


def _moving(
    name: str,
    group: Sequence[Cutout],
    ways: Sequence[Callable[[int], tuple[float, float]]],
    background: np.ndarray,
    size: tuple[int, int],
) -> Scene:
    """Later ones lie in front. The background drifts a little, as a held camera does."""
    scenery = covering(background, size)
    room = scenery.shape[0] - size[0], scenery.shape[1] - size[1]

    def play() -> Iterator[Frame]:
        for t in range(LENGTH):
            top, left = (round(r * (0.5 + 0.5 * math.sin(t / 13 + n))) for n, r in enumerate(room))
            frame = scenery[top : top + size[0], left : left + size[1]].copy()
            truth = np.zeros(size, np.int32)
            for k, (each, place) in enumerate(zip(group, ways, strict=True), 1):
                _paste(frame, truth, each, place(t), k)
            yield frame, truth

    return Scene(name, LENGTH, play)


def _paste(frame: np.ndarray, truth: np.ndarray, cutout: Cutout, place: tuple[float, float], k: int) -> None:
    y, x = round(place[0]), round(place[1])
    (h, w), (height, width) = cutout.mask.shape, truth.shape
    rows, columns = slice(max(y, 0), min(y + h, height)), slice(max(x, 0), min(x + w, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    inside = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
    mask = cutout.mask[inside]
    frame[rows, columns][mask] = cutout.pixels[inside][mask]
    truth[rows, columns][mask] = k
