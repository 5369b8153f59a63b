"""A map of ids and the objects in it: ObjectMasks, and what makes, checks and scales one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.system.limits import check_picture


class ObjectMasks(NamedTuple):
    """The masks of one frame. An id may have no pixel: an object given explicitly, but out of sight."""

    labels: np.ndarray  # (H, W) int32, 0 = background
    ids: tuple[int, ...]  # ascending


def with_ids(array: np.ndarray, name: str) -> ObjectMasks:
    """A map of ids (H, W), of any type of number, with the ids that have pixels. Raises MaskError if values are no ids."""
    labels = whole_ids(array, name)
    present = np.unique(labels)
    return ObjectMasks(labels, tuple(int(i) for i in present[present > 0]))


def whole_ids(array: np.ndarray, name: str) -> np.ndarray:
    """Checks that values are ids and gives them as int32, in the same shape."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise MaskError(f"{name} holds NaN or infinite values: give ids, or booleans for one object")
        if (array != np.rint(array)).any():
            low, high = array.min(), array.max()
            fix = "mask > 0.5" if low >= 0 else "mask > 0 if these are a network's logits"
            raise MaskError(
                f"{name} is soft: {np.unique(array).size} different values between {low:.4g} and {high:.4g}, "
                f"not all whole. Threshold it first, e.g. {fix}"
            )
    elif array.dtype.kind not in "bui":
        raise MaskError(f"{name} is an array of {array.dtype}, but ids are whole numbers: give integers or booleans")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0:
            raise MaskError(f"{name} has the id {low}: ids must not be negative, 0 is background")
        if high > LARGEST_ID:
            raise MaskError(f"{name} has the id {high}, which does not fit: ids go from 1 to {LARGEST_ID}")
    return np.array(array, dtype=np.int32)


def stacked(layers: Mapping[int, np.ndarray], allow_empty: bool, name: str) -> ObjectMasks:
    """One boolean layer (H, W) an object as a map of ids, later ones on top. Raises MaskError if one is wholly covered."""
    labels = np.zeros(next(iter(layers.values())).shape, dtype=np.int32)
    for key, layer in layers.items():
        labels[layer] = key
    if not allow_empty:
        covered = [key for key, layer in layers.items() if layer.any() and not (labels == key).any()]
        if covered:
            guesses = ". If these are the three guesses that SAM makes of one object, choose one: masks[scores.argmax()]"
            raise MaskError(
                f"in {name} {named_objects(covered)} wholly covered by later ones and no pixel is left: order "
                f"the objects so that what lies in front comes last{guesses if len(layers) == 3 else ''}"
            )
    return ObjectMasks(labels, tuple(sorted(layers)))


def check_claim(shape: tuple[int, int], size: tuple[int, int] | None, resize: bool, name: str) -> None:
    """Checks the size that a mask is said to have, before it is decoded: against the video's, or where it may differ, the limits."""
    if size is not None and shape != size:
        check_size(shape, size, resize, name)
    check_picture(*shape, what=name, error=MaskError)


def check_size(shape: tuple[int, int], size: tuple[int, int], resize: bool, name: str) -> None:
    """Raises MaskError, with the fix, unless a mask of this (H, W) may be scaled to the video's size.

    Warns:
        VosZooWarning: it may be scaled, but seems to lie on its side.
    """
    found = f"{name} is {wxh(shape)} but the video {wxh(size)} (width x height)"
    if not lies_across(shape, size):
        if not resize:
            raise MaskError(f"{found}: give a mask of the video's size, or pass resize_mask=True to scale it")
        return
    turned = (
        f"{found}: it lies on its side. If the frames are turned by their EXIF orientation or rotation tag and the mask was drawn on them "
        "unturned, turn it as they are, e.g. numpy.rot90(mask, -1) for a phone held upright; if it is an array (W, H), pass mask.T"
    )
    if not resize:
        raise MaskError(f"{turned}. Scaling would distort it")
    warnings.warn(f"{turned}. It was scaled as you asked, which distorts it", VosZooWarning, stacklevel=3)


def lies_across(shape: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a mask of another size would fit a video of this size if it were turned by a quarter."""
    if shape == size[::-1]:
        return True
    ratio, wanted = shape[0] / shape[1], size[0] / size[1]
    return max(wanted, 1 / wanted) > 1.1 and abs(np.log(ratio * wanted)) < 0.03


def fitted(masks: ObjectMasks, size: tuple[int, int], resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    """Masks scaled to a size by nearest neighbour. Raises MaskError where that is not wanted or loses an object."""
    old: tuple[int, int] = masks.labels.shape
    check_size(old, size, resize, name)
    rows, columns = (np.minimum((np.arange(new) + 0.5) * was / new, was - 1).astype(np.intp) for new, was in zip(size, old, strict=True))
    labels = masks.labels[rows[:, None], columns]
    gone = np.setdiff1d(masks.labels, labels).tolist()
    if gone and not allow_empty:
        raise MaskError(
            f"in {name} {named_objects(gone)} too small to be seen after scaling from {wxh(old)} to "
            f"{wxh(size)}: give a mask of the video's size"
        )
    return ObjectMasks(labels, masks.ids)


def wxh(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def listed_ids(ids: Sequence[int]) -> str:
    return ", ".join(str(i) for i in ids[:8]) + (", ..." if len(ids) > 8 else "")


def named_objects(ids: Sequence[int]) -> str:
    return f"object {ids[0]} is" if len(ids) == 1 else f"objects {listed_ids(ids)} are"
