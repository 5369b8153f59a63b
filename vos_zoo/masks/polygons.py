"""Polygons as masks: which pixels have their centres inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.rle import checked_size
from vos_zoo.system.shown import shown

_MOST_POINTS = 200_000
_MOST_COVERED = 2**30  # pixels of the boxes around all polygons of one mask
_FARTHEST = 1e9


def polygons_to_mask(polygons: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool covered by any of the polygons, each [x1, y1, x2, y2, ...] in pixels.

    The top left corner of the image is (0, 0) and the centre of its first pixel (0.5, 0.5); a pixel belongs
    to a polygon if its centre does (even-odd rule). What lies outside the image is cut off.

    Args:
        polygons: each a list of numbers, or an array (N, 2).
        size: (H, W) of the mask.

    Returns:
        (H, W) bool.

    Raises:
        MaskError: fewer than three points, an odd count of numbers, numbers which are not finite or far outside, or more work than any
            drawing needs.
    """
    height, width = checked_size(size)
    covered = np.zeros((height, width), dtype=bool)
    outlines = [_points(polygon) for polygon in polygons]
    if (number := sum(map(len, outlines))) > _MOST_POINTS:
        raise MaskError(f"these polygons have {number} points, more than the {_MOST_POINTS} that one mask may have: give the mask itself")
    work = 0
    for points in outlines:
        left, top = np.clip(np.floor(points.min(axis=0) - 1), 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(points.max(axis=0) + 1), 0, (width, height)).astype(int)
        if right <= left or bottom <= top:
            continue
        work += int(right - left) * int(bottom - top)
        if work > _MOST_COVERED:
            raise MaskError(f"{len(outlines)} polygons lie over each other, {work} pixels in all: give the mask itself")
        covered[top:bottom, left:right] |= _inside(points - (left, top), bottom - top, right - left)
    return covered


def _inside(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels (height, width) bool inside one polygon (N, 2)."""
    flips = np.zeros((height, width + 1), dtype=np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        top, bottom = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)
        if top == bottom:
            continue
        rows = np.arange(top, bottom)
        crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
        flips[rows, columns] += 1
    inside: np.ndarray = np.cumsum(flips[:, :width], axis=1) % 2 == 1
    return inside


def _points(polygon: object) -> np.ndarray:
    try:
        numbers = np.asarray(polygon, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MaskError(f"a polygon must be a list of numbers [x1, y1, x2, y2, ...], not {shown(polygon)}") from error
    if numbers.size < 6 or numbers.size % 2:
        raise MaskError(
            "a polygon [x1, y1, x2, y2, ...] needs at least three points, so 6, 8, ... numbers; this one "
            f"has {numbers.size}. Several polygons of one object are a list of such lists"
        )
    if not np.isfinite(numbers).all():
        raise MaskError("a polygon holds NaN or infinite coordinates: remove those points")
    if (far := float(np.abs(numbers).max())) > _FARTHEST:
        raise MaskError(f"a polygon holds the coordinate {far:g}, which is far outside any picture: coordinates are pixels")
    return numbers.reshape(-1, 2)
