"""Masks: files, arrays and dictionaries for read_mask, folders of saved masks, masks of several frames."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vos_zoo.masks.frames import read_masks
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.rle import encode_rle
from vos_zoo.masks.sequence import MaskSequence

from ..mutation import ODD_NUMBERS, as_json, mutated_bytes, mutated_value, odd_value
from ..target import Target

SIZE = (24, 32)


def _labels(first: int = 1, second: int = 2) -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[2:12, 3:13], labels[9:20, 16:28] = first, second
    return labels


def _saved(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form)
    return file.getvalue()


def _array(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _indexed() -> Image.Image:
    image = Image.fromarray(_labels())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


RLE = encode_rle(_labels() == 1)
COUNTS = {"size": [24, 32], "counts": [100, 20, 648]}
OUTLINE = [3, 2, 13, 2, 13, 12, 3, 12]
LABELME = {"version": "5.0", "imagePath": "a.jpg", "imageHeight": 24, "imageWidth": 32, "shapes": [
    {"label": "dog", "group_id": 3, "shape_type": "polygon", "points": [[3, 2], [13, 2], [13, 12]]},
    {"label": "cat", "group_id": 4, "shape_type": "mask", "points": [[16, 9], [19, 12]],
     "mask": base64.b64encode(_saved(Image.new("1", (4, 4), 1), "PNG")).decode()},
    {"label": "cow", "group_id": 5, "shape_type": "circle", "points": [[8, 15], [10, 16]]}]}  # fmt: skip
COCO = {"images": [{"id": 1, "file_name": "00000.png", "height": 24, "width": 32}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "track_id": 2, "segmentation": RLE, "bbox": [3, 2, 10, 10]},
                        {"id": 2, "image_id": 1, "category_id": 1, "track_id": 3, "segmentation": [OUTLINE]}]}  # fmt: skip
TRACKS = {"videos": [{"id": 1, "height": 24, "width": 32, "length": 2, "file_names": ["v/00000.jpg", "v/00001.jpg"]}],
          "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": [RLE, None]},
                          {"id": 2, "video_id": 1, "category_id": 1, "segmentations": [None, [OUTLINE]]}]}  # fmt: skip
STUDIO = [{"id": 1, "data": {"image": "/data/00000.png"}, "annotations": [{"was_cancelled": False, "result": [
    {"type": "polygonlabels", "original_width": 32, "original_height": 24,
     "value": {"points": [[10, 10], [50, 10], [50, 60]], "polygonlabels": ["object 1"]}},
    {"type": "brushlabels", "original_width": 32, "original_height": 24,
     "value": {"format": "rle", "rle": [0, 0, 12, 0, 56, 1, 25, 23, 255, 255, 0], "brushlabels": ["object 2"]}},
    {"type": "rectanglelabels", "original_width": 32, "original_height": 24,
     "value": {"x": 5, "y": 5, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["object 3"]}}]}]}]  # fmt: skip
CVAT = b"""<annotations><version>1.1</version><image id="0" name="00000.png" width="32" height="24">
<polygon label="dog" points="3,2;13,2;13,12" z_order="0"/><box label="cat" xtl="2" ytl="3" xbr="9" ybr="9" z_order="1"/>
<mask label="cow" rle="0, 3, 6" left="4" top="15" width="3" height="3" z_order="2"/></image></annotations>"""
CVAT_VIDEO = b"""<annotations><meta><task><original_size><width>32</width><height>24</height></original_size></task></meta>
<track id="0" label="dog"><polygon frame="0" keyframe="1" outside="0" points="3,2;13,2;13,12"/>
<polygon frame="3" keyframe="1" outside="1" points="3,2;13,2;13,12"/></track></annotations>"""
DOCUMENTS: list[Any] = [RLE, COUNTS, [RLE, RLE], LABELME, COCO, TRACKS, STUDIO, [OUTLINE], {"1": RLE}]
IMAGES = [
    _saved(_indexed(), "PNG"),
    _saved(Image.fromarray(_labels(1, 1) * 255), "PNG"),
    _saved(Image.fromarray(_labels(1, 1) * 255), "BMP"),
    _saved(Image.fromarray(_labels(1, 1) * 255).convert("1"), "PNG"),
    _saved(Image.fromarray(_labels().astype(np.uint16)), "PNG"),
    _saved(_indexed().convert("RGB"), "PNG"),
    _saved(_indexed().convert("RGBA"), "TIFF"),
    _saved(_indexed(), "GIF"),
    _saved(_indexed().convert("RGB"), "WEBP"),
    _saved(_indexed().convert("RGB"), "JPEG"),
    _saved(Image.fromarray(_labels(1, 1) * 255), "PPM"),
]
ARRAYS = [_array(_labels()), _array(_labels().astype(np.float64)), _array(np.stack([_labels() == 1, _labels() == 2]))]


def make_file(rng: random.Random, folder: Path) -> tuple[Path, bool]:
    """A mask file, most often damaged, and whether its size is known."""
    kind = rng.randrange(4)
    if kind == 0:
        suffix, data = ".npy", mutated_bytes(rng, ARRAYS)
    elif kind == 1:
        suffix, data = ".json", as_json(mutated_value(rng, rng.choice(DOCUMENTS))).encode()
        data = mutated_bytes(rng, [data]) if rng.random() < 0.1 else data
    elif kind == 2:
        suffix, data = ".xml", mutated_bytes(rng, [CVAT, CVAT_VIDEO])
    else:
        suffix, data = ".png", mutated_bytes(rng, IMAGES)
    path = folder / f"mask{suffix}"
    path.write_bytes(data)
    return path, rng.random() < 0.7


def feed_file(case: tuple[Path, bool]) -> object:
    path, known = case
    return read_mask(path, size=SIZE if known else None)


def make_value(rng: random.Random, folder: Path) -> Any:
    """Dictionaries and lists: RLEs, polygons, annotations, objects by id."""
    chosen = rng.randrange(4)
    if chosen == 0:
        keys = [rng.choice((1, 2, *ODD_NUMBERS, "a", None, True)) for _ in range(rng.randrange(3))]
        return {key: mutated_value(rng, rng.choice(DOCUMENTS)) for key in keys}
    if chosen == 1:
        return odd_value(rng)
    return mutated_value(rng, rng.choice(DOCUMENTS))


def make_array(rng: random.Random, folder: Path) -> Any:
    """Arrays of odd shapes, types and values, alone or by id."""
    sides = [rng.choice((0, 1, 2, 3, 4, 24, 32, 33)) for _ in range(rng.randrange(6))]
    shape = rng.choice((SIZE, SIZE[::-1], (2, *SIZE), (*SIZE, 2), (2, 1, *SIZE), (1, 3, *SIZE), (*SIZE, 3), tuple(sides)))
    kind = rng.choice(("?", "u1", "i1", "u2", "<i4", ">i4", "i8", "u8", "f2", "f4", "f8", "c8", "U3", "O", "M8[s]", "V4"))
    numbers = np.random.default_rng(rng.randrange(2**32))
    array: np.ndarray = numbers.integers(0, rng.choice((2, 2, 3, 256)), shape)
    if rng.random() < 0.2 and array.size:
        array = array * rng.choice((-1, 255, 2**31, 0.5, float("nan"), float("inf")))
    with np.errstate(all="ignore"):
        try:
            array = array.astype(kind)
        except (ValueError, TypeError):
            array = array.astype(object)
    return array if rng.random() < 0.7 else {rng.choice((1, 7, 0, -1)): array}


def make_folder(rng: random.Random, folder: Path) -> Path:
    """A folder of saved masks, or a zip of it: its record or a picture damaged, or a file taken away."""
    masks = MaskSequence(SIZE, fps=25, frame_names=["a", "b", "c"])
    for shift in range(3):
        masks.append(np.roll(_labels(), shift, axis=1), confidence={1: 0.5}, lost=[2])
    if rng.random() < 0.3:
        path = folder / "saved.zip"
        masks.save_zip(path)
        path.write_bytes(mutated_bytes(rng, [path.read_bytes()]))
        return path
    saved = masks.save(folder / "saved")
    record = saved / "sequence.json"
    fault = rng.randrange(4)
    if fault < 2:
        record.write_text(as_json(mutated_value(rng, json.loads(record.read_text(encoding="utf-8")))), encoding="utf-8")
    if fault == 2:
        (saved / "b.png").write_bytes(mutated_bytes(rng, IMAGES))
    if fault == 3 or rng.random() < 0.2:
        rng.choice((record, saved / "b.png")).unlink()
        if rng.random() < 0.7:
            (saved / "c.png").write_bytes(mutated_bytes(rng, IMAGES))
    return saved


def make_frames(rng: random.Random, folder: Path) -> Any:
    """Masks of several frames: a dictionary, or an annotation of a whole video."""
    if rng.random() < 0.3:
        return {rng.choice((0, 3, *ODD_NUMBERS, "a", None)): rng.choice((_labels(), RLE, odd_value(rng))) for _ in range(rng.randrange(4))}
    if rng.random() < 0.2:
        path = folder / "tracks.xml"
        path.write_bytes(mutated_bytes(rng, [CVAT_VIDEO, CVAT]))
        return path
    path = folder / "tracks.json"
    path.write_text(as_json(mutated_value(rng, rng.choice((TRACKS, COCO, STUDIO, LABELME)))), encoding="utf-8")
    return path


def feed_frames(case: Any) -> object:
    found = read_masks(case, length=10)
    return [read_mask(mask, size=SIZE, allow_empty=True) for mask in found.values()]


TARGETS = [
    Target("masks-files", make_file, feed_file),
    Target("masks-values", make_value, lambda case: read_mask(case, size=SIZE)),
    Target("masks-arrays", make_array, lambda case: read_mask(case, size=SIZE)),
    Target("masks-folders", make_folder, MaskSequence.load),
    Target("masks-frames", make_frames, feed_frames),
]
