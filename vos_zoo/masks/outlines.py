"""Outlines and boxes of masks, and of shapes, for forms that hold no pixels."""

from __future__ import annotations

import numpy as np

_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


def box_of(mask: np.ndarray) -> list[int]:
    """[x, y, width, height] in pixels of a mask (H, W) bool that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def ellipse(radii: np.ndarray) -> np.ndarray:
    """The outline (72, 2) in (x, y) of an ellipse about the origin, from its radii (rx, ry)."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii


def turned(outline: np.ndarray, degrees: float) -> np.ndarray:
    """Points (N, 2) of (x, y), turned clockwise, as a picture is looked at, about the middle of their box."""
    angle = np.radians(degrees)
    middle = (outline.min(0) + outline.max(0)) / 2
    return (outline - middle) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + middle


def outline_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """One polygon [(x, y), ...] along the edges of the pixels, from which `polygons_to_mask` makes the very mask again.

    Parts and holes are joined by lines that go there and back, as YOLO's own converter joins parts.

    Args:
        mask: (H, W) bool with at least one pixel.
    """
    loops = outlines_of(mask)
    home = loops[0][0]
    joined = [*loops[0], home] if len(loops) > 1 else loops[0]
    for loop in loops[1:]:
        joined += [*loop, loop[0], home]
    return joined


def outlines_of(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Closed outlines of all parts and holes of a mask (H, W) bool: corners only, in (x, y), the object on the right-hand side."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    ways: dict[tuple[int, int], list[tuple[int, int]]] = {}
    sides = (
        (padded[:-2, 1:-1], (0, 0), _RIGHT),  # the neighbour above is outside: along the upper side from left to right
        (padded[1:-1, 2:], (1, 0), _DOWN),
        (padded[2:, 1:-1], (1, 1), _LEFT),
        (padded[1:-1, :-2], (0, 1), _UP),
    )
    for neighbour, (dx, dy), way in sides:
        rows, columns = np.nonzero(inside & ~neighbour)
        for x, y in zip((columns + dx).tolist(), (rows + dy).tolist(), strict=True):
            ways.setdefault((x, y), []).append(way)
    loops = []
    while ways:
        start = next(iter(ways))
        loops.append(_loop(ways, start))
    return loops


def _loop(ways: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]) -> list[tuple[int, int]]:
    """Takes one closed outline out of the ways that are left."""
    corners: list[tuple[int, int]] = []
    here, before = start, None
    while here in ways:
        left = ways[here]
        # where two pixels touch at a corner only, keep to the right: each has its own outline
        way = next((w for w in left if before is not None and w == (-before[1], before[0])), left[0])
        left.remove(way)
        if not left:
            del ways[here]
        if way != before:
            corners.append(here)
        here, before = (here[0] + way[0], here[1] + way[1]), way
        if here == start:
            break
    return corners
