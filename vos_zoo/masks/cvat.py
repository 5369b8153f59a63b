"""CVAT's XML, for images (1.1) and for video (1.1)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import partial
from pathlib import PurePath

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.annotations import Patch, Shape
from vos_zoo.masks.outlines import ellipse, turned
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.rle import checked_size
from vos_zoo.system.shown import shown

Frames = list[tuple[str, "int | None", tuple[int, int], list[Shape]]]
_WITHOUT_AREA = {"points", "polyline", "skeleton", "cuboid"}
_DRAWN = {"polygon", "mask", "box", "ellipse"}


def read_cvat(root: ET.Element, name: str) -> Frames:
    """The annotated frames of a CVAT file. Of a track the key frames are read, which a person drew: others are interpolated. Raises
    MaskError."""
    if root.tag != "annotations":
        forms = {"annotation": "a Pascal VOC or old LabelMe file", "svg": "an SVG picture", "html": "a web page"}
        kind = forms.get(root.tag, f"an XML file of <{root.tag[:40]}>")
        raise MaskError(f"{name} is {kind}, not CVAT's <annotations>: export it as 'CVAT for images 1.1' or 'CVAT for video 1.1'")
    tracks = root.findall("track")
    return _video(root, tracks, name) if tracks else _images(root, name)


def _images(root: ET.Element, name: str) -> Frames:
    frames: Frames = []
    for image in root.iter("image"):
        where = f"image {_said(image, 'name')!r} of {name}"
        size = checked_size((_whole(image, "height", where), _whole(image, "width", where)))
        shapes = [_shape(each, size, f"{each.tag} {n} of {where}") for n, each in enumerate(_drawn(image, where))]
        if shapes:
            frames.append((PurePath(_said(image, "name")).stem, None, size, shapes))
    return frames


def _video(root: ET.Element, tracks: list[ET.Element], name: str) -> Frames:
    said = root.find(".//original_size")
    if said is None:
        raise MaskError(f"{name} has no <original_size>, so the video's size is unknown: export it from CVAT with its <meta>")
    size = checked_size((_number(said.findtext("height"), "height", name), _number(said.findtext("width"), "width", name)))
    frames: dict[int, list[Shape]] = {}
    for track in tracks:
        where = f"track {_said(track, 'id')!r} of {name}"
        group = _whole(track, "id", where) + 1  # CVAT counts tracks from 0
        for each in _drawn(track, where):
            if _said(each, "outside") == "1" or _said(each, "keyframe") == "0":
                continue
            index = _whole(each, "frame", where)
            shape = _shape(each, size, f"frame {index} of {where}")
            frames.setdefault(index, []).append(Shape(shape.drawn, _said(track, "label"), group, shape.where))
    return [("", index, size, frames[index]) for index in sorted(frames)]


def _drawn(parent: ET.Element, where: str) -> list[ET.Element]:
    """What has an area, in the order in which it is painted."""
    if lines := [each.tag for each in parent if each.tag in _WITHOUT_AREA]:
        raise MaskError(f"{where} has {lines[0]}, which has no area: draw polygons, boxes, ellipses or masks")
    order = {id(each): _number(each.get("z_order", "0"), "z_order", where, low=-LARGEST_ID) for each in parent if each.tag in _DRAWN}
    return sorted((each for each in parent if each.tag in _DRAWN), key=lambda each: order[id(each)])


def _shape(element: ET.Element, size: tuple[int, int], where: str) -> Shape:
    group = _number(element.get("group_id", "0"), "group_id", where)
    label = _said(element, "label")
    if element.tag == "polygon":
        points = [number for pair in _said(element, "points").split(";") for number in pair.split(",")]
        return Shape([[_real(number, where) for number in points]], label, group or None, where)
    if element.tag == "box":
        x0, y0, x1, y1 = (_real(_said(element, key), where) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        return Shape([turned(corners, _rotation(element, where))], label, group or None, where)
    if element.tag == "ellipse":
        x, y, rx, ry = (_real(_said(element, key), where) for key in ("cx", "cy", "rx", "ry"))
        outline = turned(ellipse(np.array([rx, ry])), _rotation(element, where)) + (x, y)
        return Shape([outline], label, group or None, where)
    top, left, height, width = (_whole(element, key, where) for key in ("top", "left", "height", "width"))
    if height > size[0] or width > size[1]:
        raise MaskError(f"{where} is {width}x{height}, larger than its picture {size[1]}x{size[0]}")
    return Shape(partial(_patch, _said(element, "rle"), height, width, top, left, where), label, group or None, where)


def _rotation(element: ET.Element, where: str) -> float:
    return _real(element.get("rotation", "0"), where)


def _patch(runs: str, height: int, width: int, top: int, left: int, where: str) -> Patch:
    counts = np.array([_number(each, "rle", where, high=2**34) for each in runs.split(",")], dtype=np.int64)
    if sum(counts.tolist()) != height * width:
        raise MaskError(f"the runs of {where} add up to {sum(counts.tolist())} pixels, but it is {width}x{height}: it is damaged")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)  # row by row, other than COCO's
    return Patch(inside, top, left)


def _said(element: ET.Element, key: str) -> str:
    return element.get(key, "")


def _whole(element: ET.Element, key: str, where: str) -> int:
    return _number(element.get(key), key, where)


def _number(value: str | None, key: str, where: str, low: int = 0, high: int = LARGEST_ID) -> int:
    digits = (value or "").strip()
    if not (len(digits) < 20 and digits.isascii() and digits.removeprefix("-").isdigit() and low <= int(digits) <= high):
        raise MaskError(f"'{key}' of {where} must be a whole number from {low} to {high}, not {shown(value)}")
    return int(digits)


def _real(value: str, where: str) -> float:
    try:
        return float(value[:40])  # finite or not is for whoever draws it
    except ValueError as error:
        raise MaskError(f"a coordinate of {where} must be a number, not {shown(value)}") from error
