"""Drawing masks: over the frame, or in their palette's colours alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.palette import colours_of, read_colours
from vos_zoo.system.shown import shown
from vos_zoo.system.values import as_number

Style = Literal["overlay", "side-by-side", "mask", "cutout"]


def draw_overlay(
    frame: np.ndarray,
    labels: np.ndarray,
    *,
    alpha: float = 0.5,
    outline: bool = True,
    lost: Iterable[int] = (),
    colours: Mapping[int, str] | None = None,
) -> np.ndarray:
    """A copy of the frame with every object tinted in its palette colour, or another one.

    Args:
        frame: (H, W, 3) uint8 RGB; left as it is.
        labels: (H, W) integer ids, 0 = background.
        alpha: how opaque the tint is, 0 (only outlines) to 1 (only colour).
        outline: trace the inner rim of each object in a lighter shade, one pixel wide for every 480 rows.
        lost: ids which are guesses of an object out of sight: outlined, not tinted.
        colours: of objects whose palette colour does not show on them, as {1: "#2f9bff"}.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MaskError: frame and labels differ in size, alpha is outside 0..1, or colours can't be read.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise MaskError(f"a frame must be (H, W, 3) uint8 RGB, not {frame.shape} {frame.dtype}")
    if labels.shape != frame.shape[:2]:
        raise MaskError(
            f"the mask is {labels.shape[::-1]} but the frame {frame.shape[1::-1]} (width, height): draw "
            "masks on the frames they were made from"
        )
    if not 0 <= as_number(alpha) <= 1:
        raise MaskError(f"alpha must lie between 0 (no tint) and 1 (colour only), not {shown(alpha)}")
    own = read_colours(colours)
    drawn = frame.copy()
    tinted = labels != 0
    lost_ids = list(lost)
    if lost_ids:
        tinted &= ~np.isin(labels, lost_ids)
    where = np.flatnonzero(tinted)
    pixels = drawn.reshape(-1, 3)
    tint = _colours(labels.reshape(-1)[where], own).astype(np.float32)
    pixels[where] = np.rint(pixels[where] * np.float32(1 - alpha) + tint * np.float32(alpha)).astype(np.uint8)
    if outline:
        rim = np.flatnonzero(_inner_rim(labels, width=max(1, round(labels.shape[0] / 480))))
        pixels[rim] = 255 - (255 - _colours(labels.reshape(-1)[rim], own)) // 2
    return drawn


def draw_mask(labels: np.ndarray) -> np.ndarray:
    """Ids (H, W) as a picture (H, W, 3) uint8 RGB: palette colours on black."""
    return colours_of(labels)


def _colours(ids: np.ndarray, own: Mapping[int, tuple[int, int, int]]) -> np.ndarray:
    """(N, 3) uint8 of ids (N,): their own ones, else those of the palette."""
    colours = colours_of(ids)
    for k, colour in own.items():
        colours[ids == k] = colour
    return colours


def _inner_rim(labels: np.ndarray, width: int) -> np.ndarray:
    """Object pixels (H, W) bool that have another id within `width` pixels above, below, left or right."""
    rim = np.zeros(labels.shape, dtype=bool)
    for step in range(1, width + 1):
        below = labels[step:] != labels[:-step]
        beside = labels[:, step:] != labels[:, :-step]
        rim[step:] |= below
        rim[:-step] |= below
        rim[:, step:] |= beside
        rim[:, :-step] |= beside
    return rim & (labels != 0)
