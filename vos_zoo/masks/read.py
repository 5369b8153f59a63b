"""One frame's mask in, whatever form it comes in, as a map of ids; read_masks does several frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.annotations import AnnotatedFrame, frame_masks, numbered
from vos_zoo.masks.arrays import array_masks, as_array
from vos_zoo.masks.coco_read import is_list_of_annotations, read_annotations
from vos_zoo.masks.exports import export_frames, is_export
from vos_zoo.masks.files import loaded, open_mask
from vos_zoo.masks.frames import read_masks
from vos_zoo.masks.image import image_labels
from vos_zoo.masks.label_studio import unknown_export
from vos_zoo.masks.labels import ObjectMasks, check_claim, fitted, listed_ids, stacked, with_ids, wxh
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.pipelines import pipeline_masks
from vos_zoo.masks.polygons import polygons_to_mask
from vos_zoo.masks.rle import decode_rle, is_rle, rle_size
from vos_zoo.masks.values import items, whole
from vos_zoo.system.paths import user_path
from vos_zoo.system.shown import shown
from vos_zoo.system.values import flag

if TYPE_CHECKING:
    from vos_zoo.masks.source import MaskLike

__all__ = ["ObjectMasks", "read_mask", "read_masks"]


def read_mask(
    source: MaskLike,
    *,
    size: tuple[int, int] | None = None,
    resize: bool = False,
    allow_empty: bool = False,
    name: str = "mask",
) -> ObjectMasks:
    """Reads the objects of one frame; ids are kept as given, need not be contiguous and may exceed 255.

    Indexed images: the indices are the ids; 255 (void in DAVIS and PASCAL) counts as background. Grey ones: 0 and 255 is object 1;
    other few levels are ids as they stand, 255 beside them is void. An alpha channel that varies: object 1 where alpha > 127.
    Colour: the colours of the DAVIS palette are read as their ids.

    Args:
        source: one of
            a path to an image, an .npy file, or an annotation of one frame (LabelMe, COCO, CVAT, Label Studio; JSON or XML);
            an integer array or tensor (H, W) of ids (uint8 is read as a grey image would be);
            a boolean one (H, W), object 1, or (K, H, W), objects 1..K, later ones on top; also (K, 1, H, W), and (H, W, K) where
            `size` or the shape shows that objects come last;
            floats, if they are whole numbers;
            a dict id -> any of these, one object each, later ones on top;
            a PIL image; a COCO RLE {"size", "counts"} or a list of them, objects 1..K; ObjectMasks; supervision's Detections;
            a list of polygons [x1, y1, x2, y2, ...], which needs `size`;
            what json.load makes of an annotation.
        size: (H, W) of the video in pixels. What says that it has another size is refused before it is decoded.
        resize: scale a mask of another size to `size` (nearest neighbour) instead of raising.
        allow_empty: let a mask pass in which every pixel is background, or an object has lost its last pixel.
        name: what error messages call the mask.

    Returns:
        labels (H, W) int32, 0 = background, and ids, ascending.

    Raises:
        MaskError: the mask can't be read, has soft edges, NaN, negative or too large ids, no object, another size, or lies on its side.

    Example:
        >>> import numpy, vos_zoo
        >>> layers = numpy.zeros((2, 4, 6), bool)
        >>> layers[0, 1:3, 1:3] = layers[1, 1:3, 4:] = True
        >>> vos_zoo.read_mask(layers, size=(4, 6)).ids
        (1, 2)
    """
    resize, allow_empty = flag(resize, "resize", MaskError), flag(allow_empty, "allow_empty", MaskError)
    if isinstance(source, (str, os.PathLike)):
        source = user_path(source, MaskError)
        name = f"{name} {source}" if isinstance(name, str) and name == "mask" else name
    if size is not None:
        pair = items(size.tolist() if isinstance(size, np.ndarray) else size, "size", 2)
        size = (whole(pair[0], "size[0], the height", 1, LARGEST_ID), whole(pair[1], "size[1], the width", 1, LARGEST_ID))
    masks = _read(source, size, resize, allow_empty, name)
    if size is not None and masks.labels.shape != size:
        masks = fitted(masks, size, resize, allow_empty, name)
    if not allow_empty and not masks.labels.any():
        raise MaskError(f"{name} holds no object: every pixel is background (0). Give a mask in which the objects have their ids")
    return masks


def _read(source: Any, size: tuple[int, int] | None, resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    if isinstance(source, ObjectMasks):
        masks = with_ids(source.labels, name)
        return ObjectMasks(masks.labels, tuple(sorted({*masks.ids, *map(int, source.ids)})))
    if isinstance(source, AnnotatedFrame):
        return frame_masks(source, size, resize, allow_empty, name)
    if isinstance(source, (str, os.PathLike)):
        source = open_mask(user_path(source, MaskError), size, resize, name)
        if isinstance(source, (Mapping, list)) and not (is_rle(source) or is_list_of_annotations(source) or is_export(source)):
            raise unknown_export(source, name)
    if isinstance(source, Image.Image):
        return with_ids(image_labels(loaded(source, size, resize, name), name), name)
    if is_rle(source):
        check_claim(rle_size(source), size, resize, name)
        return with_ids(decode_rle(source), name)
    if is_list_of_annotations(source):
        (frame,) = numbered(read_annotations(source, size, name), name)
        return frame_masks(frame, size, resize, allow_empty, name)
    if (layers := pipeline_masks(source)) is not None:
        return _read(layers, size, resize, allow_empty, name)
    if is_export(source):
        return frame_masks(_only(export_frames(source, name), name), size, resize, allow_empty, name)
    if isinstance(source, Mapping):
        return _read_objects(source, size, resize, allow_empty, name)
    if isinstance(source, (list, tuple)):
        return with_ids(_polygon_mask(source, size, name), name)
    if hasattr(source, "tracker_id") and hasattr(source, "xyxy"):
        return _detections(source, size, resize, allow_empty, name)
    return array_masks(as_array(source, name), size, allow_empty, name)


def _only(frames: Sequence[AnnotatedFrame], name: str) -> AnnotatedFrame:
    if len(frames) > 1:
        named = ", ".join(frame.name or str(frame.number) for frame in frames[:3])
        raise MaskError(f"{name} holds the masks of {len(frames)} frames ({named}, ...), and one is wanted: pass it as masks=, which takes "
                        "those of several frames")  # fmt: skip
    return frames[0]


def _read_objects(source: Mapping[Any, Any], size: tuple[int, int] | None, resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    if not source:
        raise MaskError(f"{name} holds no object: the dict is empty. Pass {{id: mask}}")
    layers: dict[int, np.ndarray] = {}
    for key, mask in source.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 1 <= key <= LARGEST_ID:
            raise MaskError(f"{name} has the id {shown(key)}, but ids are whole numbers from 1 to {LARGEST_ID}")
        if isinstance(mask, Mapping) and "counts" in mask:
            rle_size(mask)
        elif isinstance(mask, Mapping) and not is_export(mask):
            raise MaskError(f"{name} of object {key} is a dict {shown(mask)}, but must be one mask: give {{id: mask}} once, not twice")
        inner = _read(mask, size, resize, allow_empty, f"{name} of object {key}")
        if size is not None and inner.labels.shape != size:
            inner = fitted(inner, size, resize, allow_empty, f"{name} of object {key}")
        if len(inner.ids) > 1:
            raise MaskError(
                f"{name} of object {key} holds {len(inner.ids)} ids ({listed_ids(inner.ids)}), but in a dict "
                "each mask is of one object: pass mask == id for each, or the whole map of ids without a "
                "dict"
            )
        layers[int(key)] = inner.labels > 0
    shapes = {layer.shape for layer in layers.values()}
    if len(shapes) > 1:
        sizes = ", ".join(f"object {key} {wxh(layer.shape)}" for key, layer in layers.items())
        raise MaskError(f"the masks in {name} differ in size: {sizes}. Bring them to the video's size")
    return stacked(layers, allow_empty, name)


def _detections(source: Any, size: tuple[int, int] | None, resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    """supervision's Detections: tracker_id are the ids, or else the places 1..N."""
    if source.mask is None or not len(source.mask):
        raise MaskError(f"{name} is Detections without masks: a box is no mask")
    ids = range(1, len(source.mask) + 1) if source.tracker_id is None else np.asarray(source.tracker_id).tolist()
    return _read_objects(dict(zip(ids, source.mask, strict=True)), size, resize, allow_empty, name)


def _polygon_mask(source: Sequence[Any], size: tuple[int, int] | None, name: str) -> np.ndarray:
    if not source:
        raise MaskError(f"{name} holds no object: the list of polygons is empty")
    shapes = [tuple(getattr(item, "shape", ())) for item in source]
    if any(isinstance(item, Image.Image) for item in source):
        raise MaskError(f"{name} is a list of images: pass {{id: image}} for one object each, or masks={{frame: image}}")
    if any(len(shape) >= 2 and shape[-1] != 2 for shape in shapes):
        raise MaskError(f"{name} is a list of arrays: pass numpy.stack(masks) for one boolean layer an object, {{id: mask}}, or "
                        "masks={frame: mask} if each is of another frame")  # fmt: skip
    if size is None:
        raise MaskError(f"{name} is a list of polygons, which do not tell the image's size: pass size=(H, W)")
    flat = all(isinstance(item, (int, float, np.number)) for item in source)
    return polygons_to_mask([source] if flat else source, size)
