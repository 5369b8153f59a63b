"""Label Studio's JSON export: brush masks in its own run lengths, polygons and rectangles in per cent of the picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.annotations import Patch, Shape
from vos_zoo.masks.outlines import ellipse, turned
from vos_zoo.masks.rle import checked_size
from vos_zoo.masks.values import entry, items, mapping, named, real, whole
from vos_zoo.system.shown import shown

Frames = list[tuple[str, "int | None", tuple[int, int], list[Shape]]]
_KINDS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "brush", "polygon", "rectangle", "ellipse")
_OTHER = ("keypoint", "video", "vector", "timeline", "bitmask")  # regions too, of kinds that are not read


def is_label_studio(document: object) -> bool:
    listed = document if isinstance(document, list) else [document]
    return bool(listed) and all(isinstance(task, Mapping) and "data" in task and "annotations" in task for task in listed)


def read_label_studio(document: object, name: str) -> Frames:
    """The annotated frames, a task each, of the first annotation that was not cancelled.

    Raises:
        MaskError: a region is of a kind that is not read, or there are predictions alone.

    Warns:
        VosZooWarning: a task was annotated more than once.
    """
    frames: Frames = []
    for number, task in enumerate(document if isinstance(document, list) else [document]):
        where = f"task {number} of {name}"
        found = [mapping(each, f"an annotation of {where}") for each in items(task["annotations"], f"'annotations' of {where}")]
        kept = [each for each in found if not each.get("was_cancelled")]
        if not kept:
            if not found and task.get("predictions"):
                raise MaskError(f"{where} has predictions but no annotation: accept them in Label Studio, and export again")
            continue
        if len(kept) > 1:
            message = f"{where} was annotated {len(kept)} times; the first is taken. Export the one that is meant, if it is another"
            warnings.warn(message, VosZooWarning, stacklevel=4)
        shapes, sizes = [], []
        for n, region in enumerate(items(entry(kept[0], "result", where), f"'result' of {where}")):
            place = f"region {n} of {where}"
            region = mapping(region, place)
            kind = named(region.get("type"))
            if kind.startswith(_OTHER):
                raise MaskError(f"{place} is a {kind[:40]!r}, which is not read: draw brush masks, polygons, rectangles or ellipses")
            if kind not in _KINDS:
                continue  # relations, choices, text
            if region.get("image_rotation"):
                raise MaskError(f"{place} was drawn on a picture that was turned in Label Studio, which is not read: draw it upright")
            sizes.append(checked_size((entry(region, "original_height", place), entry(region, "original_width", place))))
            shapes.append(_shape(region, sizes[-1], place))
        if len(set(sizes)) > 1:
            raise MaskError(f"the regions of {where} are of pictures of different sizes: export it again")
        if shapes:
            data = [each for each in mapping(task["data"], f"'data' of {where}").values() if isinstance(each, str)]
            stem = PurePath(unquote(urlsplit(data[0].split("?d=")[-1]).path)).stem if data and len(data[0]) < 4000 else ""
            frames.append((stem, None, sizes[0], shapes))
    return frames


def _shape(region: Mapping[str, Any], size: tuple[int, int], where: str) -> Shape:
    value = mapping(entry(region, "value", where), f"'value' of {where}")
    labels = next((value[key] for key in _KINDS if value.get(key)), [""])
    label = named(items(labels, f"the labels of {where}")[0])[:200]
    height, width = size
    if "rle" in value:
        return Shape(partial(_brush, value["rle"], size, where), label, None, where)
    if "points" in value:
        points = [items(point, f"a point of {where}", 2) for point in items(value["points"], f"'points' of {where}")]
        flat = [real(n, f"a point of {where}") * side / 100 for point in points for n, side in zip(point, (width, height), strict=True)]
        return Shape([flat], label, None, where)
    if "radiusX" in value:
        return Shape([_ellipse(value, size, where)], label, None, where)
    keys = ("x", "y", "width", "height")
    x, y, w, h = (real(entry(value, key, f"'value' of {where}"), f"'{key}' of {where}") for key in keys)
    if value.get("rotation"):
        raise MaskError(f"{where} is a rectangle that is turned, which is not read: draw a polygon")
    x0, y0, x1, y1 = x * width / 100, y * height / 100, (x + w) * width / 100, (y + h) * height / 100
    return Shape([[x0, y0, x1, y0, x1, y1, x0, y1]], label, None, where)


def _ellipse(value: Mapping[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """Its outline (N, 2) in pixels: middle and radii are in per cent, the rotation in degrees, clockwise."""
    x, y, rx, ry, angle = (real(value.get(key, 0), f"'{key}' of {where}") for key in ("x", "y", "radiusX", "radiusY", "rotation"))
    scale = np.array([size[1], size[0]]) / 100
    return turned(ellipse(scale * (rx, ry)), angle) + scale * (x, y)


def _brush(listed: object, size: tuple[int, int], where: str) -> Patch:
    """The mask (H, W) of Label Studio's run lengths: a stream of bits that holds an RGBA picture, of which alpha counts.

    32 bits: how many values follow; 5 bits: their width less 1; 4 x 4 bits: four widths of a length, each less 1. Then for each run
    a bit (1: one value repeated, 0: values in turn), 2 bits which width its length has, and the length less 1.
    """
    numbers = [whole(n, f"a byte of {where}", 0, 255) for n in items(listed, f"'rle' of {where}")]
    bits = np.unpackbits(np.array(numbers, dtype=np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > bits.size:
            raise MaskError(f"the run lengths of {where} end early: export it again")
        at += count
        return int("".join(map(str, bits[at - count : at])), 2) if count else 0

    total, width = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1] or width > 16:
        raise MaskError(f"the run lengths of {where} are of {total} values, but its picture has 4 x {size[0] * size[1]}: export it again")
    values = np.zeros(total, dtype=np.uint16)
    done = 0
    while done < total:
        repeated, length = take(1), 1
        length += take(widths[take(2)])
        end = done + length
        if end > total:
            raise MaskError(f"the run lengths of {where} are of more values than its picture has: export it again")
        if repeated:
            values[done:end] = take(width)
        else:
            if at + length * width > bits.size:
                raise MaskError(f"the run lengths of {where} end early: export it again")
            values[done:end] = bits[at : at + length * width].reshape(length, width) @ (1 << np.arange(width)[::-1])
            at += length * width
        done = end
    return Patch(values.reshape(*size, 4)[..., 3] > 0, 0, 0)


def unknown_export(document: object, name: str) -> MaskError:
    """What to say of a JSON that is of no form that is read."""
    keys = shown(sorted(map(named, document)) if isinstance(document, Mapping) else document)
    return MaskError(
        f"{name} is JSON of a form that is not read as masks ({keys}): LabelMe ('shapes'), COCO ('images' or 'videos', 'annotations'), "
        "Label Studio ('data', 'annotations'), RLEs ('size', 'counts') and lists of them are"
    )
