"""What the axes of an array mean as masks: a map of ids, a picture, or one layer an object, in the orders that people's tools give."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.image import colour_labels, grey_labels, image_labels
from vos_zoo.masks.labels import ObjectMasks, stacked, whole_ids, with_ids

_HOLDERS = ("pred_masks", "masks.data")  # where detectron2's Instances and Ultralytics' Results have their masks
_SAME = 0.35  # of two layers' union that both have, where they are of one object
FORMS = (
    "a path (.png, .npy, .json, .xml), an integer array (H, W), a boolean array (H, W) or (K, H, W), a dict id -> mask, "
    "a PIL image, a COCO RLE or a list of them, or a list of polygons"
)


def as_array(source: Any, name: str) -> np.ndarray:
    """An array or tensor, of any device, as a numpy array. Raises MaskError for anything else."""
    if hasattr(source, "detach") and hasattr(source, "cpu"):
        try:
            source = source.detach().cpu()
            source = (source.float() if str(source.dtype) == "torch.bfloat16" else source).numpy()
        except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, quantized, or without values
            raise MaskError(f"{name} is a tensor whose values can't be had ({str(error)[:80]}): give a dense one") from error
    if not hasattr(source, "__array__"):
        held = next((each for each in _HOLDERS if getattr(source, each.split(".")[0], None) is not None), "")
        what = f"{name} can't be a {type(source).__name__}"
        raise MaskError(f"{what}: pass its .{held}, or {FORMS}" if held else f"{what}: give {FORMS}")
    if isinstance(source, np.ma.MaskedArray):
        source = source.filled(0)  # what is masked out is no object
    return np.asarray(source)


def array_masks(array: np.ndarray, size: tuple[int, int] | None, allow_empty: bool, name: str) -> ObjectMasks:
    """The objects of an array.

        (H, W)                       ids, or booleans for object 1; uint8 is read as a grey image would be
        (K, H, W), (K, 1, H, W)      one layer an object, later ones on top
        (H, W, K)                    the same, where size or the shape shows that objects come last
        (1, H, W), (H, W, 1)         one map of ids
        (H, W, 3), (H, W, 4) uint8   a picture, see `image_labels`

    Args:
        array: the array.
        size: (H, W) of the video, if known.
        allow_empty: let objects pass that later ones cover.
        name: what messages call it.

    Raises:
        MaskError: other shapes, or layers that are no booleans.
    """
    shape = array.shape
    if array.ndim == 4:
        array = _without_batch(array, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    elif array.ndim == 3 and array.shape[0] == 1 and array.dtype != bool:
        array = array[0]
    if array.ndim not in (2, 3) or 0 in array.shape:
        what = "no pixel" if 0 in shape else f"{array.ndim} axes"
        raise MaskError(
            f"{name} has the shape {shape}, so {what}, but a mask is (H, W) ids or (K, H, W) booleans, one layer an object: "
            "see which axis is which, and use numpy.squeeze or numpy.moveaxis"
        )
    if array.ndim == 3 and _is_picture(array, size):
        array = image_labels(Image.fromarray(array), name) if array.shape[2] == 4 else colour_labels(array, name)
    if array.ndim == 3:
        return _layers(array, size, allow_empty, name)
    return with_ids(grey_labels(array, name) if array.dtype == np.uint8 else array, name)


def _without_batch(array: np.ndarray, name: str) -> np.ndarray:
    """(K, 1, H, W) of SAM 2's video predictor and (1, K, H, W) of a batch of one, as (K, H, W)."""
    if array.shape[1] == 1:
        return array[:, 0]
    if array.shape[1] == 3:
        raise MaskError(
            f"{name} has the shape {array.shape}, as SAM's guesses have: three of each object. Choose one for each, "
            "e.g. masks[numpy.arange(len(masks)), scores.argmax(1)]; if it is one batch of three objects, pass masks[0]"
        )
    if array.shape[0] == 1:
        return array[0]
    raise MaskError(
        f"{name} has the shape {array.shape}, but a mask is (H, W) ids or (K, H, W) booleans, one layer an object: if the first axis is "
        "frames, pass {frame: masks[frame]}; if one axis is of no use, take it away, e.g. masks[:, 0]"
    )


def _is_picture(array: np.ndarray, size: tuple[int, int] | None) -> bool:
    if array.dtype != np.uint8 or array.shape[2] not in (3, 4) or array.shape[1:] == size:
        return False
    return bool(array.max() > 1) or (array.shape[2] == 3 and bool((array == array[..., :1]).all()) and not objects_first(array.shape, size))


def objects_first(shape: tuple[int, ...], size: tuple[int, int] | None) -> bool:
    """Whether layers of this shape are (K, H, W); else they are (H, W, K), as pycocotools and Mask R-CNN give them."""
    if size is not None and (shape[1:] == size) != (shape[:2] == size):
        return shape[1:] == size
    return not 4 * shape[2] <= min(shape[:2])


def _layers(array: np.ndarray, size: tuple[int, int] | None, allow_empty: bool, name: str) -> ObjectMasks:
    if not objects_first(array.shape, size):
        array = np.moveaxis(array, 2, 0)
    if array.dtype != bool:
        if array.dtype.kind not in "ui" or array.max() > 1:
            array = _zero_or_white(array) if array.dtype == np.uint8 else array
            array = whole_ids(array, name)
        if array.max() > 1 or array.min() < 0:
            raise MaskError(
                f"{name} has the shape {array.shape} and values up to {array.max()}; layers (K, H, W) must "
                "be boolean, one an object: pass layers > 0, or a map of ids (H, W)"
            )
        array = array == 1
    if _one_object(array):
        guesses = "three guesses" if len(array) == 3 else "guesses"
        raise MaskError(
            f"{name} has {len(array)} layers that lie on each other. If these are the {guesses} that SAM makes of one object, choose one: "
            "masks[scores.argmax()]. If they are of several frames, pass masks={frame: masks[frame]}. If they are objects, pass "
            "{1: masks[0], 2: masks[1], ...}"
        )
    return stacked({k + 1: layer for k, layer in enumerate(array)}, allow_empty, name)


def _one_object(layers: np.ndarray) -> bool:
    """Whether three or more layers (K, H, W) are mostly of the same place: objects lie beside each other, or inside one another."""
    if len(layers) < 3:
        return False
    common = (layers[1:] & layers[:-1]).sum((1, 2))
    either = (layers[1:] | layers[:-1]).sum((1, 2))
    return bool(np.median(common / np.maximum(either, 1)) > _SAME)


def _zero_or_white(array: np.ndarray) -> np.ndarray:
    """Layers of 0 and 255 as 0 and 1; others as they are."""
    return array // 255 if bool(((array == 0) | (array == 255)).all()) else array
