"""Segmentations in COCO's notation: run lengths (plain or as a string) and polygons.

Run lengths count pixels column by column, beginning with background: [3, 2, ...] is three pixels of
background, then two of the object. In the string each count is written in groups of five bits, lowest first,
one character a group: 48 + group, plus 32 if more follow; bit 16 of the last group is the sign. From the
fourth count on, the difference to the count two places before is written, since neighbouring columns are
alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """A binary mask (H, W) as {"size": [H, W], "counts": str}; everything that is not 0 is the object."""
    if np.ndim(mask) != 2:
        raise MaskError(f"one object's mask must be (H, W), not {np.shape(mask)}: encode objects one by one")
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(edges, prepend=0, append=flat.size)
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    return {"size": [int(n) for n in np.shape(mask)], "counts": _counts_to_text(counts)}


def decode_rle(rle: Mapping[str, Any]) -> np.ndarray:
    """The mask (H, W) bool of {"size": [H, W], "counts": str, bytes or list of int}.

    Raises:
        MaskError: a key is missing, a character is none of the notation's, or the counts don't fill the size.
    """
    if "size" not in rle or "counts" not in rle:
        raise MaskError(f'a COCO RLE needs the keys "size" and "counts", this one has {sorted(map(str, rle))}')
    height, width = _checked_size(rle["size"])
    counts = rle["counts"]
    if isinstance(counts, (str, bytes)):
        runs = _text_to_counts(counts.encode() if isinstance(counts, str) else counts)
    else:
        try:
            runs = np.asarray(counts, dtype=np.int64).reshape(-1)
        except (TypeError, ValueError, OverflowError) as error:
            raise MaskError('"counts" of a COCO RLE must be a string or a list of whole numbers') from error
    if (runs < 0).any() or runs.sum() != height * width:
        raise MaskError(
            f"the counts of this COCO RLE add up to {runs.sum()} pixels, but its size [{height}, {width}] "
            f"(height, width) has {height * width}: the RLE is damaged, or its size is not the one it was "
            "made with"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def polygons_to_mask(polygons: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool covered by any of the polygons, each [x1, y1, x2, y2, ...] in pixels.

    The top left corner of the image is (0, 0) and the centre of its first pixel (0.5, 0.5); a pixel belongs
    to a polygon if its centre does (even-odd rule). What lies outside the image is cut off.

    Raises:
        MaskError: fewer than three points, an odd count of numbers, or numbers which are not finite.
    """
    height, width = _checked_size(size)
    covered = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        points = _points(polygon)
        flips = np.zeros((height, width + 1), dtype=np.int32)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            top, bottom = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)
            if top == bottom:
                continue
            rows = np.arange(top, bottom)
            crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
            flips[rows, columns] += 1
        covered |= np.cumsum(flips[:, :width], axis=1) % 2 == 1
    return covered


def _points(polygon: Any) -> np.ndarray:
    try:
        numbers = np.asarray(polygon, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise MaskError(f"a polygon must be a list of numbers [x1, y1, x2, y2, ...], not {polygon!r:.80}") from error
    if numbers.size < 6 or numbers.size % 2:
        raise MaskError(
            "a polygon [x1, y1, x2, y2, ...] needs at least three points, so 6, 8, ... numbers; this one "
            f"has {numbers.size}. Several polygons of one object are a list of such lists"
        )
    if not np.isfinite(numbers).all():
        raise MaskError("a polygon holds NaN or infinite coordinates: remove those points")
    return numbers.reshape(-1, 2)


def _checked_size(size: Any) -> tuple[int, int]:
    try:
        height, width = (int(n) for n in size)
    except (TypeError, ValueError) as error:
        raise MaskError(f"a size must be two whole numbers (height, width), not {size!r}") from error
    if height < 1 or width < 1:
        raise MaskError(f"a size must be at least 1x1, not {width}x{height} (width x height)")
    return height, width


def _counts_to_text(counts: np.ndarray) -> str:
    numbers = counts.astype(np.int64)
    numbers[3:] -= counts[1:-2]
    groups, written = [], []
    pending = np.ones(len(numbers), dtype=bool)
    while pending.any():
        group, numbers = numbers & 31, numbers >> 5
        more = np.where(group & 16, numbers != -1, numbers != 0)
        groups.append(group + 32 * more + 48)
        written.append(pending)
        pending = pending & more
    text = np.stack(groups, axis=1)[np.stack(written, axis=1)] if groups else np.empty(0)
    return text.astype(np.uint8).tobytes().decode("ascii")


def _text_to_counts(text: bytes) -> np.ndarray:
    codes = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise MaskError("the counts of this COCO RLE are damaged: the string ends early or has foreign characters")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > 12:
        raise MaskError("the counts of this COCO RLE are damaged: one number is longer than any image needs")
    place = np.arange(codes.size) - np.repeat(first, lengths)
    counts = np.add.reduceat((codes & 31) << (5 * place), first)
    counts -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
