"""One frame's mask in, whatever form it comes in, as a map of ids; read_masks does several frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.frames import read_masks
from vos_zoo.masks.image import colour_labels, grey_labels, image_labels
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.rle import decode_rle, polygons_to_mask

__all__ = ["ObjectMasks", "read_mask", "read_masks"]

_FORMS = (
    "a path (.png, .npy), an integer array (H, W), a boolean array (H, W) or (K, H, W), a dict id -> mask, "
    "a PIL image, a COCO RLE or a list of polygons"
)


class ObjectMasks(NamedTuple):
    """The masks of one frame. An id may have no pixel: an object given explicitly, but out of sight."""

    labels: np.ndarray  # (H, W) int32, 0 = background
    ids: tuple[int, ...]  # ascending


def read_mask(
    source: Any,
    *,
    size: tuple[int, int] | None = None,
    resize: bool = False,
    allow_empty: bool = False,
    name: str = "mask",
) -> ObjectMasks:
    """Reads the objects of one frame; ids are kept as given, need not be contiguous and may exceed 255.

    Args:
        source: one of
            a path to an image or to a .npy file;
            an integer array or tensor (H, W) of ids (uint8 is read as a grey image would be, see below);
            a boolean one (H, W), object 1, or (K, H, W), objects 1..K, later ones on top;
            floats, if they are whole numbers;
            a dict id -> any of these, one object each, later ones on top;
            a PIL image; a COCO RLE {"size", "counts"}; ObjectMasks;
            a list of polygons [x1, y1, x2, y2, ...], which needs `size`.
            Indexed images: the indices are the ids; 255 (void in DAVIS and PASCAL) counts as background.
            Grey ones: 0 and 255 is object 1; other few levels are ids as they stand, 255 beside them is void.
            An alpha channel that varies: object 1 where alpha > 127.
            Colour: the colours of the DAVIS palette are read as their ids.
        size: (H, W) of the video.
        resize: scale a mask of another size to `size` (nearest neighbour) instead of raising.
        allow_empty: let a mask pass in which every pixel is background, or an object has lost its last pixel.
        name: what error messages call the mask.

    Raises:
        MaskError: the mask can't be read, has soft edges, NaN, negative or too large ids, no object, or
            another size.
    """
    if isinstance(source, (str, os.PathLike)):
        name = f"{name} {os.fspath(source)}" if name == "mask" else name
    if size is not None:
        size = (int(size[0]), int(size[1]))
    if isinstance(source, Mapping) and not {"size", "counts"} <= set(source):
        masks = _read_objects(source, size, resize, allow_empty, name)
    else:
        masks = _read_labels(source, size, allow_empty, name)
    if size is not None and masks.labels.shape != size:
        masks = _fit(masks, size, resize, allow_empty, name)
    if not allow_empty and not masks.labels.any():
        raise MaskError(f"{name} holds no object: every pixel is background (0). Give a mask in which the objects have their ids")
    return masks


def _read_labels(source: Any, size: tuple[int, int] | None, allow_empty: bool, name: str) -> ObjectMasks:
    if isinstance(source, ObjectMasks):
        masks = _with_ids(source.labels, name)
        return ObjectMasks(masks.labels, tuple(sorted({*masks.ids, *map(int, source.ids)})))
    if isinstance(source, (str, os.PathLike)):
        source = _open(Path(source), name)
    if isinstance(source, Image.Image):
        return _with_ids(image_labels(_loaded(source, name), name), name)
    if isinstance(source, Mapping):
        return _with_ids(decode_rle(source), name)
    if isinstance(source, (list, tuple)):
        return _with_ids(_polygon_mask(source, size, name), name)
    array = _as_array(source, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    elif array.ndim == 3 and array.shape[0] == 1 and array.dtype != bool:
        array = array[0]
    if array.ndim == 3 and _is_picture(array, size):
        array = image_labels(Image.fromarray(array), name) if array.shape[2] == 4 else colour_labels(array, name)
    if array.ndim == 3:
        return _flatten(array, allow_empty, name)
    if array.ndim != 2 or 0 in array.shape:
        raise MaskError(f"{name} has the shape {array.shape}, but a mask is (H, W) ids or (K, H, W) booleans, one layer an object")
    return _with_ids(grey_labels(array, name) if array.dtype == np.uint8 else array, name)


def _read_objects(source: Mapping[Any, Any], size: tuple[int, int] | None, resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    if not source:
        raise MaskError(f"{name} holds no object: the dict is empty. Pass {{id: mask}}")
    layers: dict[int, np.ndarray] = {}
    for key, mask in source.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 1 <= key <= LARGEST_ID:
            raise MaskError(f"{name} has the id {key!r}, but ids are whole numbers from 1 to {LARGEST_ID}")
        inner = _read_labels(mask, size, allow_empty, f"{name} of object {key}")
        if size is not None and inner.labels.shape != size:
            inner = _fit(inner, size, resize, allow_empty, f"{name} of object {key}")
        if len(inner.ids) > 1:
            raise MaskError(
                f"{name} of object {key} holds {len(inner.ids)} ids ({_listed(inner.ids)}), but in a dict "
                "each mask is of one object: pass mask == id for each, or the whole map of ids without a "
                "dict"
            )
        layers[int(key)] = inner.labels > 0
    shapes = {layer.shape for layer in layers.values()}
    if len(shapes) > 1:
        sizes = ", ".join(f"object {key} {_wxh(layer.shape)}" for key, layer in layers.items())
        raise MaskError(f"the masks in {name} differ in size: {sizes}. Bring them to the video's size")
    return _stack(layers, allow_empty, name)


def _flatten(array: np.ndarray, allow_empty: bool, name: str) -> ObjectMasks:
    if array.dtype != bool:
        array = _whole_ids(array, name)
        if array.size and array.max() > 1:
            raise MaskError(
                f"{name} has the shape {array.shape} and values up to {array.max()}; layers (K, H, W) must "
                "be boolean, one an object: pass layers > 0, or a map of ids (H, W)"
            )
        array = array == 1
    return _stack({k + 1: layer for k, layer in enumerate(array)}, allow_empty, name)


def _stack(layers: Mapping[int, np.ndarray], allow_empty: bool, name: str) -> ObjectMasks:
    labels = np.zeros(next(iter(layers.values())).shape, dtype=np.int32)
    for key, layer in layers.items():
        labels[layer] = key
    if not allow_empty:
        covered = [key for key, layer in layers.items() if layer.any() and not (labels == key).any()]
        if covered:
            raise MaskError(
                f"in {name} {_objects(covered)} wholly covered by later ones and no pixel is left: order "
                "the objects so that what lies in front comes last"
            )
    return ObjectMasks(labels, tuple(sorted(layers)))


def _with_ids(array: np.ndarray, name: str) -> ObjectMasks:
    labels = _whole_ids(array, name)
    present = np.unique(labels)
    return ObjectMasks(labels, tuple(int(i) for i in present[present > 0]))


def _whole_ids(array: np.ndarray, name: str) -> np.ndarray:
    """Checks that values are ids and gives them as int32 (H, W)."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise MaskError(f"{name} holds NaN or infinite values: give ids, or booleans for one object")
        if (array != np.rint(array)).any():
            count = np.unique(array).size
            raise MaskError(
                f"{name} is soft: {count} different values between {array.min():.4g} and {array.max():.4g}, "
                "not all whole. Threshold it first, e.g. mask > 0.5"
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


def _fit(masks: ObjectMasks, size: tuple[int, int], resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    old = masks.labels.shape
    if not resize:
        raise MaskError(
            f"{name} is {_wxh(old)} but the video {_wxh(size)} (width x height): give a mask of the video's "
            "size, or pass resize_mask=True to scale it"
        )
    rows, columns = (np.minimum((np.arange(new) + 0.5) * was / new, was - 1).astype(np.intp) for new, was in zip(size, old, strict=True))
    labels = masks.labels[rows[:, None], columns]
    gone = np.setdiff1d(masks.labels, labels).tolist()
    if gone and not allow_empty:
        raise MaskError(
            f"in {name} {_objects(gone)} too small to be seen after scaling from {_wxh(old)} to "
            f"{_wxh(size)}: give a mask of the video's size"
        )
    return ObjectMasks(labels, masks.ids)


def _open(path: Path, name: str) -> Any:
    if path.is_dir():
        raise MaskError(f"{name} is a folder, but one mask is a file. Pass the path of the mask in it")
    if not path.exists():
        raise MaskError(f"{name}: no such file. Check the path (the current folder is {Path.cwd()})")
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        with Image.open(path) as image:
            return _loaded(image, name)
    except MaskError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MaskError(
            f"{name} can't be read as a mask ({error}): give a PNG, or a .npy file of numbers as numpy.save writes them"
        ) from error


def _loaded(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MaskError(f"{name} is damaged or cut off ({error}): export the mask again") from error
    if 0 in image.size:
        raise MaskError(f"{name} is an image without pixels: export the mask again")
    return image


def _polygon_mask(source: Sequence[Any], size: tuple[int, int] | None, name: str) -> np.ndarray:
    if not source:
        raise MaskError(f"{name} holds no object: the list of polygons is empty")
    shapes = [tuple(getattr(item, "shape", ())) for item in source]
    if any(len(shape) >= 2 and shape[-1] != 2 for shape in shapes):
        raise MaskError(f"{name} is a list of arrays: pass numpy.stack(masks) for one boolean layer an object, or {{id: mask}}")
    if size is None:
        raise MaskError(f"{name} is a list of polygons, which do not tell the image's size: pass size=(H, W)")
    flat = all(isinstance(item, (int, float, np.number)) for item in source)
    return polygons_to_mask([source] if flat else source, size)


def _as_array(source: Any, name: str) -> np.ndarray:
    if hasattr(source, "detach") and hasattr(source, "cpu"):
        source = source.detach().cpu()
        if str(source.dtype) == "torch.bfloat16":
            source = source.float()
        source = source.numpy()
    if not hasattr(source, "__array__"):
        raise MaskError(f"{name} can't be a {type(source).__name__}: give {_FORMS}")
    return np.asarray(source)


def _is_picture(array: np.ndarray, size: tuple[int, int] | None) -> bool:
    return array.dtype == np.uint8 and array.shape[2] in (3, 4) and array.shape[1:] != size and array.max() > 1


def _wxh(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(str(i) for i in ids[:8]) + (", ..." if len(ids) > 8 else "")


def _objects(ids: Sequence[int]) -> str:
    return f"object {ids[0]} is" if len(ids) == 1 else f"objects {_listed(ids)} are"
