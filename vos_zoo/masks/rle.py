"""Masks in COCO's notation: run lengths, plain or as a string.

Run lengths count pixels column by column, beginning with background: [3, 2, ...] is three pixels of
background, then two of the object. In the string each count is written in groups of five bits, lowest first,
one character a group: 48 + group, plus 32 if more follow; bit 16 of the last group is the sign. From the
fourth count on, the difference to the count two places before is written, since neighbouring columns are
alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.values import items, named, whole
from vos_zoo.system.limits import check_picture
from vos_zoo.system.shown import shown

_MOST = 2**34  # pixels that one run may have


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
    height, width = rle_size(rle)
    counts = rle["counts"]
    runs = _text_to_counts(counts) if isinstance(counts, (str, bytes, bytearray)) else _listed_counts(counts)
    total = sum(runs.tolist())  # as whole numbers without end: a sum of int64 may wrap around to the right one
    if (runs < 0).any() or total != height * width:
        raise MaskError(
            f"the counts of this COCO RLE add up to {total} pixels, but its size [{height}, {width}] "
            f"(height, width) has {height * width}: the RLE is damaged, or its size is not the one it was "
            "made with"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def is_rle(value: object) -> bool:
    """Whether this is meant as a COCO RLE."""
    return isinstance(value, Mapping) and "size" in value and "counts" in value


def rle_size(rle: Mapping[str, Any]) -> tuple[int, int]:
    """(H, W) that a COCO RLE says it has. Raises MaskError if it says none, or more than the limits."""
    if not is_rle(rle):
        raise MaskError(f'a COCO RLE needs the keys "size" and "counts", this one has {shown(sorted(map(named, rle)))}')
    return checked_size(rle["size"])


def checked_size(size: object) -> tuple[int, int]:
    """(height, width) of at least 1x1, within the limits. Raises MaskError."""
    try:
        height, width = (whole(n, "a side", 0, 2**62) for n in items(size.tolist() if isinstance(size, np.ndarray) else size, "a size"))
    except (MaskError, ValueError) as error:
        raise MaskError(f"a size must be two whole numbers (height, width), not {shown(size)}") from error
    if height < 1 or width < 1:
        raise MaskError(f"a size must be at least 1x1, not {width}x{height} (width x height)")
    check_picture(height, width, "a mask", MaskError)
    return height, width


def _listed_counts(counts: object) -> np.ndarray:
    try:
        runs = np.asarray(counts)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MaskError('"counts" of a COCO RLE must be a string or a list of whole numbers') from error
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "ui"):
        raise MaskError(f'"counts" of a COCO RLE must be a string or a list of whole numbers, not {shown(counts)}')
    if runs.size and (int(runs.max()) > _MOST or int(runs.min()) < -_MOST):
        raise MaskError("the counts of this COCO RLE are damaged: one number is longer than any image needs")
    return runs.astype(np.int64)


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


def _text_to_counts(text: str | bytes | bytearray) -> np.ndarray:
    letters = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    codes = np.frombuffer(letters, dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise MaskError("the counts of this COCO RLE are damaged: the string ends early or has foreign characters")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > 7:  # 2**34 pixels; more could overflow the sums below
        raise MaskError("the counts of this COCO RLE are damaged: one number is longer than any image needs")
    place = np.arange(codes.size) - np.repeat(first, lengths)
    counts = np.add.reduceat((codes & 31) << (5 * place), first)
    counts -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
