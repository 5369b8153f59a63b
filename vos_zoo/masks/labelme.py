"""LabelMe's JSON, a file a frame: shapes with labels, and an object's number as group_id."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.annotations import Patch, Shape
from vos_zoo.masks.labels import check_claim
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.rle import checked_size
from vos_zoo.masks.values import entry, items, mapping, real, text, whole
from vos_zoo.system.shown import shown
from vos_zoo.system.whole_pictures import whole_pictures

_CORNERS = 72  # of a circle's polygon
_NO_OBJECT = ("_background_", "__ignore__")  # LabelMe's own names for what is none


def is_labelme(document: object) -> bool:
    return isinstance(document, Mapping) and "shapes" in document


def read_labelme(document: Mapping[str, Any], name: str) -> tuple[str, None, tuple[int, int], list[Shape]]:
    """The frame's name, None (no number), its size (H, W) and its shapes. Raises MaskError.

    Polygons, rectangles, circles and masks are objects; points and lines have no area and are refused.
    """
    size = checked_size((entry(document, "imageHeight", name), entry(document, "imageWidth", name)))
    path = document.get("imagePath") or ""
    shapes = []
    for number, found in enumerate(items(document["shapes"], f"'shapes' of {name}")):
        where = f"shape {number} of {name}"
        shape = mapping(found, where)
        if shape.get("label") in _NO_OBJECT:
            continue
        group = shape.get("group_id")
        number_of = None if group is None else whole(group, f"'group_id' of {where}", 0, LARGEST_ID)
        shapes.append(Shape(_drawn(shape, size, where), text(entry(shape, "label", where), f"'label' of {where}"), number_of, where))
    stem = PurePath(text(path, f"'imagePath' of {name}").replace("\\", "/")).stem
    return stem, None, size, shapes


def _drawn(shape: Mapping[str, Any], size: tuple[int, int], where: str) -> Any:
    kind = shape.get("shape_type") or "polygon"
    points = items(entry(shape, "points", where), f"'points' of {where}")
    pairs = [[real(n, f"a point of {where}") for n in items(point, f"a point of {where}", 2)] for point in points]
    if kind in ("polygon", "oriented_rectangle"):
        return [[n for pair in pairs for n in pair]]
    if kind in ("rectangle", "circle", "mask") and len(pairs) != 2:
        raise MaskError(f"{where} is a {kind} of {len(pairs)} points, but it has two")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = pairs
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    if kind == "circle":
        (x, y), (edge_x, edge_y) = pairs
        radius = math.hypot(edge_x - x, edge_y - y)
        angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        return [np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)]
    if kind == "mask":
        left, top = (int(whole(round(n), f"a point of {where}", -(2**31), 2**31)) for n in pairs[0])
        return partial(_bitmap, shape.get("mask"), size, where, top, left)
    raise MaskError(f"{where} is a {shown(kind)}, which has no area: draw polygons, rectangles, circles or masks")


@whole_pictures()
def _bitmap(data: object, size: tuple[int, int], where: str, top: int, left: int) -> Patch:
    try:
        png = base64.b64decode(text(data, f"'mask' of {where}"), validate=True)
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.size[0] > size[1] or image.size[1] > size[0]:
                raise MaskError(f"{where} has a mask of {image.size[0]}x{image.size[1]}, larger than its picture {size[1]}x{size[0]}")
            check_claim((image.size[1], image.size[0]), None, False, where)
            return Patch(np.asarray(image.convert("L")) > 0, top, left)
    except MaskError:
        raise
    except (binascii.Error, ValueError, OSError, SyntaxError, EOFError) as error:
        raise MaskError(f"'mask' of {where} is no PNG in base64 ({str(error)[:80]}): export it again") from error
