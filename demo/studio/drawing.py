"""Colours, and masks drawn over pictures with them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

COLOURS = ("#2f9bff", "#ff5c93", "#7fc41c", "#ff8a2b", "#b979ff", "#f2c40c")  # of objects 1, 2, ...; then over again
PAINTABLE = len(COLOURS)


def _rgb(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


_TABLE = np.array([[0, 0, 0], *map(_rgb, COLOURS)], np.uint8)


def colour_of(object_id: int) -> str:
    return COLOURS[(object_id - 1) % PAINTABLE]


def tint(
    frame: np.ndarray, labels: np.ndarray, lost: Iterable[int] = (), alpha: float = 0.5, colours: Mapping[int, str] | None = None
) -> np.ndarray:
    """The frame (H, W, 3) uint8 with each object of labels (H, W) in its colour; objects that are lost are outlined only.

    colours: of objects that have not their usual one, as "#rrggbb".
    """
    drawn = frame.copy()
    places = np.flatnonzero(labels)
    if not places.size:
        return drawn
    ids = labels.reshape(-1)[places]
    colour = _TABLE[(ids - 1) % PAINTABLE + 1]
    for k, own in (colours or {}).items():
        colour[ids == k] = _rgb(own)
    pixels = drawn.reshape(-1, 3)
    sure = ~np.isin(ids, list(lost))
    mixed = pixels[places[sure]] * np.float32(1 - alpha) + colour[sure] * np.float32(alpha)
    pixels[places[sure]] = mixed.astype(np.uint8)
    rim = _rim(labels, max(1, round(min(labels.shape) / 240))).reshape(-1)[places]
    pixels[places[rim]] = colour[rim]
    return drawn


def cut_out(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8: the objects; all else transparent, and black under it."""
    inside = labels != 0
    rgba = np.zeros((*labels.shape, 4), np.uint8)
    rgba[inside, :3] = frame[inside]
    rgba[inside, 3] = 255
    return rgba


def fitted(size: tuple[int, int], side: int, *, even: bool = False) -> tuple[int, int]:
    """(height, width) scaled down, never up, until the longer side has at most `side` pixels."""
    scale = min(1.0, side / max(size))
    height, width = (max(2, round(n * scale)) for n in size)
    return (height - height % 2, width - width % 2) if even else (height, width)


def shrink(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, 3) uint8 in another, smaller size."""
    if frame.shape[:2] == size:
        return frame
    return np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0))


def shrink_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Ids (H, W) in another size: of each new pixel the id in its middle."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in zip(size, labels.shape, strict=True))
    return labels[rows[:, None], columns]


def as_uri(picture: np.ndarray, quality: int = 80) -> str:
    """A picture (H, W, 3) uint8 as a JPEG that fits into a page."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _rim(labels: np.ndarray, width: int) -> np.ndarray:
    """(H, W) bool: pixels that have another id within `width` pixels above, below, left or right."""
    rim = np.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        below = labels[step:] != labels[:-step]
        beside = labels[:, step:] != labels[:, :-step]
        rim[step:] |= below
        rim[:-step] |= below
        rim[:, step:] |= beside
        rim[:, :-step] |= beside
    return rim
