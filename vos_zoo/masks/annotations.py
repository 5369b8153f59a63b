"""What annotation tools write: objects as shapes on frames, whichever tool it was. The forms' own files make these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.labels import ObjectMasks, check_claim, stacked
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.polygons import polygons_to_mask
from vos_zoo.masks.rle import checked_size, decode_rle, is_rle, rle_size
from vos_zoo.system.shown import shown

# "object 7" is object 7; "category 7" would be a kind of object, of which there may be several
_NUMBERED = re.compile(r"(?:(?:object|obj|id|instance|track)[ _-]?)?#?([1-9]\d{0,9})", re.IGNORECASE)


class Patch(NamedTuple):
    """A mask (h, w) bool whose first pixel lies at (top, left) of the frame."""

    inside: np.ndarray
    top: int
    left: int


@dataclass(frozen=True)
class Shape:
    """One object, or a part of one, as a tool drew it on one frame."""

    drawn: Any  # a COCO RLE, a list of polygons, a Patch, or a function without arguments that makes a Patch
    label: str = ""
    group: int | None = None  # what the tool itself numbers the object by
    where: str = "the shape"  # for messages


class AnnotatedFrame(NamedTuple):
    """The objects of one frame: what `read_mask` takes, and makes masks of when they are needed."""

    name: str  # of the picture, without suffix
    number: int | None  # of the frame in the video, from 0, where the form tells it
    size: tuple[int, int]  # (H, W) that the form says the picture has
    objects: tuple[tuple[int, Shape], ...]  # (id, shape), later ones on top


def numbered(frames: Sequence[tuple[str, int | None, tuple[int, int], Sequence[Shape]]], name: str) -> list[AnnotatedFrame]:
    """Frames whose objects have ids: the tool's own numbers; or those in labels such as "object 7"; or, on a single frame, their order;
    or on several the order of their labels, if no frame has one twice.

    Raises:
        MaskError: it can't be told which objects of several frames are the same.
    """
    shapes = [shape for *_, listed in frames for shape in listed]
    if not shapes:
        raise MaskError(f"{name} holds no object: no frame in it has a shape with an area")
    if all(shape.group is not None for shape in shapes):
        ids = {id(shape): int(shape.group or 0) for shape in shapes}
    elif all(_NUMBERED.fullmatch(shape.label.strip()) for shape in shapes):
        ids = {id(shape): int(_NUMBERED.fullmatch(shape.label.strip())[1]) for shape in shapes}  # type: ignore[index]
    elif len(frames) == 1:
        ids = _by_order(shapes)
    else:
        ids = _by_label(frames, name)
    for shape in shapes:
        if not 1 <= ids[id(shape)] <= LARGEST_ID:
            raise MaskError(f"{shape.where} of {name} has the id {shown(ids[id(shape)])}, but ids go from 1 to {LARGEST_ID}")
    return [AnnotatedFrame(stem, number, size, tuple((ids[id(s)], s) for s in listed)) for stem, number, size, listed in frames]


def frame_masks(frame: AnnotatedFrame, size: tuple[int, int] | None, resize: bool, allow_empty: bool, name: str) -> ObjectMasks:
    """The masks of an annotated frame. size, resize, allow_empty: as in `read_mask`. Raises MaskError."""
    checked_size(frame.size)
    check_claim(frame.size, size, resize, name)
    layers: dict[int, np.ndarray] = {}
    for object_id, shape in frame.objects:
        layer = _drawn(shape, frame.size)
        older = layers.pop(object_id, None)
        layers[object_id] = layer if older is None else older | layer
    if not layers:
        return ObjectMasks(np.zeros(frame.size, np.int32), ())
    return stacked(layers, allow_empty, name)


def _drawn(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    drawn = shape.drawn() if callable(shape.drawn) else shape.drawn
    if isinstance(drawn, Patch):
        layer = np.zeros(size, dtype=bool)
        height, width = drawn.inside.shape
        if drawn.top < 0 or drawn.left < 0 or drawn.top + height > size[0] or drawn.left + width > size[1]:
            raise MaskError(f"{shape.where} is {width}x{height} at ({drawn.left}, {drawn.top}), which lies outside {size[1]}x{size[0]}")
        layer[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = drawn.inside
        return layer
    if is_rle(drawn):
        if (said := rle_size(drawn)) != size:
            raise MaskError(f"{shape.where} has an RLE of the size {list(said)}, but its picture is {list(size)} (height, width)")
        return decode_rle(drawn)
    return polygons_to_mask(drawn, size)


def _by_order(shapes: Sequence[Shape]) -> dict[int, int]:
    """1, 2, 3 ... of one frame; shapes of one label and one group are parts of one object."""
    known: dict[Any, int] = {}
    return {id(s): known.setdefault((s.label, s.group) if s.group is not None else id(s), len(known) + 1) for s in shapes}


def _by_label(frames: Sequence[tuple[str, int | None, tuple[int, int], Sequence[Shape]]], name: str) -> dict[int, int]:
    known: dict[Any, int] = {}
    ids: dict[int, int] = {}
    for stem, _, _, listed in frames:
        keys = [(shape.label, shape.group) for shape in listed]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise MaskError(
                f"{name} has {twice[0] or 'objects without a label'!r} more than once on {stem or 'a frame'}, and nothing tells which is "
                "the same object on other frames: number the objects (track_id, group_id, or labels such as 'object 1')"
            )
        for key, shape in zip(keys, listed, strict=True):
            ids[id(shape)] = known.setdefault(key, len(known) + 1)
    return ids


def segmentation_shape(value: object, where: str, *, label: str = "", group: int | None = None) -> Shape:
    """The Shape of COCO's "segmentation": an RLE, polygons, or an array as SAM gives it. Raises MaskError."""
    if isinstance(value, Mapping):
        rle_size(value)
        return Shape(value, label, group, where)
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return Shape(Patch(value.astype(bool), 0, 0), label, group, where)
    if isinstance(value, (list, tuple)) and value:
        flat = not isinstance(value[0], (list, tuple))
        return Shape([value] if flat else list(value), label, group, where)
    raise MaskError(f"{where} has no outline: its segmentation is {shown(value)}, and a box alone is no mask")
