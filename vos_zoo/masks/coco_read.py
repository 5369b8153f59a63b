"""COCO's JSON read: pictures with annotations, videos with tracks (YouTube-VIS), and bare lists of annotations (SAM, results)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError
from vos_zoo.masks.annotations import Patch, Shape, segmentation_shape
from vos_zoo.masks.packing import LARGEST_ID
from vos_zoo.masks.rle import checked_size, is_rle, rle_size
from vos_zoo.masks.values import entry, items, mapping, named, text, whole
from vos_zoo.system.shown import shown

Frames = list[tuple[str, "int | None", tuple[int, int], list[Shape]]]
_TRACK_KEYS = ("track_id", "instance_id", "object_id")


def is_coco(document: object) -> bool:
    return isinstance(document, Mapping) and "annotations" in document and ("images" in document or "videos" in document)


def is_list_of_annotations(document: object) -> bool:
    """SAM's automatic masks, COCO results, or a bare list of RLEs."""
    if not isinstance(document, (list, tuple)) or not document:
        return False
    return all(isinstance(each, Mapping) and ("segmentation" in each or is_rle(each)) for each in document)


def read_coco(document: Mapping[str, Any], name: str) -> Frames:
    """The annotated frames of a COCO file, in order. Raises MaskError."""
    if "videos" in document:
        return _tracks(document, name)
    pictures: dict[Any, tuple[str, int | None, tuple[int, int], list[Shape]]] = {}
    for number, found in enumerate(items(document["images"], f"'images' of {name}")):
        where = f"image {number} of {name}"
        picture = mapping(found, where)
        size = checked_size((entry(picture, "height", where), entry(picture, "width", where)))
        index = picture.get("frame_index")
        index = None if index is None else whole(index, f"'frame_index' of {where}", 0, LARGEST_ID)
        pictures[_key(entry(picture, "id", where), where)] = (_stem(picture.get("file_name", ""), where), index, size, [])
    for number, found in enumerate(items(document["annotations"], f"'annotations' of {name}")):
        where = f"annotation {number} of {name}"
        annotation = mapping(found, where)
        owner = _key(entry(annotation, "image_id", where), where)
        if owner not in pictures:
            raise MaskError(f"{where} is of image {shown(owner)}, which 'images' does not list")
        pictures[owner][3].append(_shape(annotation, entry(annotation, "segmentation", where), where))
    return [picture for picture in pictures.values() if picture[3]]


def read_annotations(listed: list[Mapping[str, Any]], size: tuple[int, int] | None, name: str) -> Frames:
    """The one frame of a list of annotations or RLEs; those with an area are painted from the largest on, as SAM's overlap."""
    if len({_key(each["image_id"], name) for each in listed if "image_id" in each}) > 1:
        raise MaskError(f"{name} is a list of annotations of several images: choose those of one image_id")
    shapes = []
    for number, each in enumerate(listed):
        where = f"entry {number} of {name}"
        shapes.append(_shape(each, each if is_rle(each) else each["segmentation"], where))
    known = {found for shape in shapes if (found := _size_of(shape.drawn)) is not None}
    if len(known) > 1:
        raise MaskError(f"the masks in {name} differ in size: {', '.join(f'{w}x{h}' for h, w in sorted(known))} (width x height)")
    if not known and size is None:
        raise MaskError(f"{name} is a list of polygons, which do not tell the image's size: pass size=(H, W)")
    areas = [each.get("area") for each in listed]
    if all(isinstance(area, (int, float, np.number)) for area in areas) and not any("track_id" in each for each in listed):
        shapes = [Shape(s.drawn, s.label, n + 1, s.where) for n, s in enumerate(shapes)]  # ids by place in the list
        shapes = [shapes[n] for n in sorted(range(len(shapes)), key=lambda n: -float(areas[n]))]  # type: ignore[arg-type]
    return [("", None, known.pop() if known else size, shapes)]  # type: ignore[list-item]


def _tracks(document: Mapping[str, Any], name: str) -> Frames:
    videos = [mapping(each, f"a video of {name}") for each in items(document["videos"], f"'videos' of {name}")]
    tracks = [mapping(each, f"an annotation of {name}") for each in items(document["annotations"] or [], f"'annotations' of {name}")]
    used = {_key(entry(track, "video_id", f"an annotation of {name}"), name) for track in tracks}
    chosen = [video for video in videos if _key(entry(video, "id", f"a video of {name}"), name) in used]
    if len(chosen) != 1:
        raise MaskError(f"{name} has the tracks of {len(chosen)} videos, and masks are of one: split the file by video_id")
    video, where = chosen[0], f"the video of {name}"
    size = checked_size((entry(video, "height", where), entry(video, "width", where)))
    files = [_stem(each, where) for each in items(video.get("file_names", []), f"'file_names' of {where}")]
    frames: dict[int, list[Shape]] = {}
    for number, track in enumerate(tracks):
        place = f"track {number} of {name}"
        group = whole(track.get("track_id", track.get("id", number + 1)), f"'id' of {place}", 0, LARGEST_ID)
        drawn = items(entry(track, "segmentations", place), f"'segmentations' of {place}")
        if files and len(drawn) != len(files):
            raise MaskError(f"{place} has {len(drawn)} segmentations, but its video {len(files)} frames: export it again")
        for index, found in enumerate(drawn):
            if found:
                frames.setdefault(index, []).append(segmentation_shape(found, f"frame {index} of {place}", group=group))
    return [(files[index] if index < len(files) else "", index, size, frames[index]) for index in sorted(frames)]


def _shape(annotation: Mapping[str, Any], segmentation: object, where: str) -> Shape:
    attributes = annotation.get("attributes")
    sources = [annotation, attributes if isinstance(attributes, Mapping) else {}]
    group = next((source[key] for source in sources for key in _TRACK_KEYS if source.get(key) is not None), None)
    group = None if group is None else whole(group, f"the track of {where}", 0, LARGEST_ID)
    label = f"category {named(annotation.get('category_id', ''))}"[:80]
    return segmentation_shape(segmentation, where, label=label, group=group)


def _size_of(drawn: object) -> tuple[int, int] | None:
    if isinstance(drawn, Mapping) and is_rle(drawn):
        return rle_size(drawn)
    return drawn.inside.shape if isinstance(drawn, Patch) else None


def _stem(path: object, where: str) -> str:
    return PurePath(text(path, f"a file name of {where}").replace("\\", "/")).stem


def _key(value: object, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str, np.integer)):
        raise MaskError(f"an id in {where} must be a whole number or a string, not {shown(value)}")
    return value if isinstance(value, str) else int(value)
