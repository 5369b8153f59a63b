"""Region similarity J and boundary accuracy F, by the rules of the DAVIS benchmark (davis2017-evaluation).

    j = jaccard(gt, pred)          # (T, H, W) booleans -> (T,) floats
    f = boundary_f(gt, pred)
    statistics(j).mean

F matches two boundaries within a tolerance, which takes a dilation of each by a disk. Here a boundary map is
one long Python integer, a bit a pixel, so that the dilation is a few dozen shifts and ORs of that integer.
"""

from __future__ import annotations

from functools import cached_property
from math import ceil, hypot, isqrt, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vos_zoo.errors import EvaluationError


class Statistics(NamedTuple):
    """What DAVIS reports about the per-frame values of one object."""

    mean: float  # over frames
    recall: float  # share of frames above 0.5
    decay: float  # mean of the first quarter minus mean of the last


def jaccard(gt: ArrayLike, pred: ArrayLike, *, void: ArrayLike | None = None) -> NDArray[np.float64]:
    """Intersection over union of each frame.

    Args: true and predicted masks of one object, (T, H, W), boolean (or 0 and anything else, as integers);
        void: pixels of the same shape that count as background on both sides (unsupervised DAVIS only).
    Returns: (T,) in [0, 1]; 1 where both masks are empty.

    Raises:
        EvaluationError: if the shapes differ or are not (T, H, W), or if a value is not that of a mask.
    """
    truth, guess = _pair(gt, pred, void)
    values = np.ones(len(truth))
    for t in range(len(truth)):
        union = np.count_nonzero(truth[t] | guess[t])
        if union:
            values[t] = np.count_nonzero(truth[t] & guess[t]) / union
    return values


def boundary_f(gt: ArrayLike, pred: ArrayLike, bound_th: float = 0.008, *, void: ArrayLike | None = None) -> NDArray[np.float64]:
    """Harmonic mean of the boundaries' precision and recall in each frame.

    A boundary pixel counts as matched if the other boundary has a pixel within a disk around it. A mask over
    the whole frame has no boundary, so that it agrees with an empty one (F = 1): such is the official rule.

    Args: gt, pred, void: as in `jaccard`;
        bound_th: radius of that disk as a share of the frame's diagonal, from 1 on in pixels; rounded up.
    Returns: (T,) in [0, 1].

    Raises:
        EvaluationError: if the shapes differ or are not (T, H, W), or if a value is not that of a mask.
    """
    truth, guess = _pair(gt, pred, void)
    radius = boundary_radius(truth.shape[1:], bound_th)
    return np.array([_frame_f(truth[t], guess[t], radius) for t in range(len(truth))], dtype=np.float64)


def pairs(truths: NDArray[np.bool_], guesses: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """J and F of every guess (P, H, W) against every truth (G, H, W) of one frame, each (P, G)."""
    j, f = np.ones((2, len(guesses), len(truths)))
    window = _window(np.logical_or.reduce((*truths, *guesses)))
    if window is None:
        return j, f
    radius = boundary_radius(truths.shape[1:])
    outlines = [[_outline(mask[window], radius) for mask in masks] for masks in (truths, guesses)]
    for p, guess in enumerate(guesses):
        for g, truth in enumerate(truths):
            j[p, g] = jaccard(truth[window][None], guess[window][None])[0]
            f[p, g] = outlines[0][g].f(outlines[1][p])
    return j, f


def boundary_radius(size: tuple[int, ...], bound_th: float = 0.008) -> int:
    """The tolerance of `boundary_f` in pixels for frames of `size` (H, W): 8 at 480 x 854."""
    if not bound_th >= 0:
        raise EvaluationError(f"bound_th is {bound_th}; give a share of the diagonal (0.008) or pixels (from 1)")
    return ceil(bound_th if bound_th >= 1 else bound_th * hypot(*size))


def statistics(values: ArrayLike, legacy_decay: bool = False) -> Statistics:
    """Mean, recall and decay of the values (T,) of one object's frames, NaN frames left out of the means.

    The quarters of the decay share their end frames, as in the official code. That code keeps frame numbers
    in 8 bits, so that its decay is wrong, mostly NaN, beyond 256 frames; `legacy_decay=True` reproduces it as
    it runs on NumPy 1 (on NumPy 2, 255 + 1 wraps as well, so that it is NaN for 256 frames already).

    Raises:
        EvaluationError: if there is no value.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not len(series):
        raise EvaluationError(
            f"statistics need one value a frame, shape (T,) with T >= 1; got shape {series.shape}. "
            "DAVIS drops the first and the last annotated frame: three are the least that can be scored"
        )
    edges = [int(edge) for edge in np.round(np.linspace(1, len(series), 5) + 1e-10) - 1]
    if legacy_decay:
        edges = [edge % 256 for edge in edges]
    first, last = series[edges[0] : edges[1] + 1], series[edges[3] : edges[4] + 1]
    return Statistics(_nanmean(series), float(np.mean(series > 0.5)), _nanmean(first) - _nanmean(last))


def _pair(gt: ArrayLike, pred: ArrayLike, void: ArrayLike | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    truth, guess = _masks(gt, "gt"), _masks(pred, "pred")
    if truth.shape != guess.shape:
        raise EvaluationError(
            f"gt has shape {truth.shape} but pred has {guess.shape}; score masks at the size and for the frames of the truth"
        )
    if void is None:
        return truth, guess
    left = ~_masks(void, "void")
    if left.shape != truth.shape:
        raise EvaluationError(f"void has shape {left.shape} but gt has {truth.shape}; give a void pixel map for every frame")
    return truth & left, guess & left


def _masks(source: ArrayLike, name: str) -> NDArray[np.bool_]:
    masks = np.asarray(source)
    if masks.ndim != 3:
        raise EvaluationError(f"{name} has shape {masks.shape}; give (T, H, W), for one frame mask[None]")
    if masks.dtype == np.bool_:
        return masks
    if masks.dtype.kind not in "iu" and not np.isin(masks, (0, 1)).all():
        raise EvaluationError(f"{name} ({masks.dtype}) has values other than 0 and 1; threshold it first, as in mask > 0.5")
    return masks.astype(np.bool_)


def _nanmean(values: NDArray[np.float64]) -> float:
    return nan if np.isnan(values).all() else float(np.nanmean(values))


def _frame_f(truth: NDArray[np.bool_], guess: NDArray[np.bool_], radius: int) -> float:
    window = _window(truth | guess)
    if window is None:
        return 1.0
    return _outline(truth[window], radius).f(_outline(guess[window], radius))


class _Outline:
    """The boundary of a mask as an integer, bit y * row + x for pixel (y, x), and all that lies within the radius of it."""

    def __init__(self, bits: int, radius: int, row: int):
        self.bits, self.count = bits, bits.bit_count()
        self._radius, self._row = radius, row

    @cached_property
    def near(self) -> int:
        return _dilate(self.bits, self._radius, self._row)

    def f(self, guess: _Outline) -> float:
        """F of `guess` with this one as the truth; both of the same window."""
        if not self.count and not guess.count:
            return 1.0
        if not self.count or not guess.count:
            return 0.0
        precision = (guess.bits & self.near).bit_count() / guess.count
        recall = (self.bits & guess.near).bit_count() / self.count
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: NDArray[np.bool_], radius: int) -> _Outline:
    row = mask.shape[1] + radius  # the zeros that pad a row keep one row's disks out of the next
    return _Outline(_bits(_boundary(mask), row), radius, row)


def _window(either: NDArray[Any]) -> tuple[slice, slice] | None:
    """The box of the pixels of all masks and a pixel around, within the frame: it holds their boundaries. None: no pixel."""
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    if not len(rows):
        return None
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels unlike their right, lower or lower right neighbour; the last row and column are repeated."""
    edge = np.zeros_like(mask)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _bits(mask: NDArray[np.bool_], row: int) -> int:
    """The mask as an integer: bit y * row + x is pixel (y, x)."""
    padded = np.zeros((len(mask), row), dtype=np.bool_)
    padded[:, : mask.shape[1]] = mask
    return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")


def _dilate(bits: int, radius: int, row: int) -> int:
    """All pixels with a set one in dy^2 + dx^2 <= radius^2, from the disk's outermost rows to its middle."""
    spread, reach, disk = bits, 0, 0
    for dy in range(radius, -1, -1):
        while reach < isqrt(radius * radius - dy * dy):
            spread |= spread << 1 | spread >> 1
            reach += 1
        disk |= spread << dy * row | spread >> dy * row
    return disk
