"""Masks in the forms of other tools: YouTube-VIS, MOTS, YOLO, LabelMe, CVAT, Label Studio. Tests read each back by that tool's package."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

from vos_zoo.errors import SaveError
from vos_zoo.masks.outlines import box_of, outline_of
from vos_zoo.masks.rle import encode_rle
from vos_zoo.masks.stored import StoredMasks, frame_files
from vos_zoo.system.atomic import atomic_write
from vos_zoo.system.atomic_folder import atomic_folder
from vos_zoo.system.paths import user_path
from vos_zoo.system.shown import shown

_MOTS_CLASS = 1
_MOST_MOTS = 999  # a pixel is 1000 * class + object
_WIDTHS = (3, 4, 8, 16)  # bits of a length in Label Studio's runs
_CATEGORY = "object"


def save_as(masks: StoredMasks, path: str | os.PathLike[str], form: str, *, overwrite: bool = False) -> Path:
    """See `MaskSequence.save_as`."""
    path = user_path(path)
    if not isinstance(form, str) or form not in SAVERS:
        raise SaveError(f"there is no form {shown(form)}: choose one of {', '.join(SAVERS)}")
    if not masks.computed.any():
        raise SaveError(f"nothing to save to {os.fspath(path)}: the sequence has no frames yet")
    SAVERS[form](masks, path, overwrite)
    return path


def _seen(masks: StoredMasks) -> Iterator[tuple[int, str, list[tuple[int, np.ndarray]]]]:
    """For each computed frame its place in the sequence, its name, and the objects seen in it with their masks (H, W) bool."""
    computed, area = masks.computed, masks.area
    for i, name in enumerate(frame_files(masks)):
        if computed[i]:
            labels = masks[i]
            yield i, name, [(k, labels == k) for n, k in enumerate(masks.object_ids) if area[i, n]]


def _save_youtubevis(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    height, width = masks.size
    indices = masks.frame_indices
    whole = masks.frame_names is None and indices.start >= 0 and indices.step > 0  # then a mask stands at the number of its frame
    places = list(indices) if whole else list(range(len(masks)))
    length = places[-1] + 1
    names = [f"{n:05d}" for n in range(length)] if whole else frame_files(masks)
    tracks: dict[int, dict[str, list[Any]]] = {
        k: {"segmentations": [None] * length, "bboxes": [None] * length, "areas": [None] * length} for k in masks.object_ids
    }
    for i, _, objects in _seen(masks):
        for k, mask in objects:
            track, at = tracks[k], places[i]
            track["segmentations"][at], track["bboxes"][at], track["areas"][at] = encode_rle(mask), box_of(mask), int(mask.sum())
    video = {"id": 1, "width": width, "height": height, "length": length, "file_names": [f"{name}.jpg" for name in names]}
    about = {"video_id": 1, "category_id": 1, "iscrowd": 0, "width": width, "height": height, "length": length}
    document: dict[str, Any] = {
        "info": {"description": "made by vos_zoo"},
        "categories": [{"id": 1, "name": _CATEGORY}],
        "videos": [video],
        "annotations": [{"id": k, **about, **track} for k, track in tracks.items() if any(track["segmentations"])],
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document), encoding="utf-8")


def _check_mots(masks: StoredMasks, path: Path) -> None:
    if masks.object_ids and masks.object_ids[-1] > _MOST_MOTS:
        raise SaveError(f"can't save object {masks.object_ids[-1]} to {path} in the form of MOTS, which has ids up to {_MOST_MOTS}: give "
                        "the objects smaller ids")  # fmt: skip


def _save_mots(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    _check_mots(masks, path)
    with atomic_folder(path, overwrite=overwrite) as temporary:
        for i, _, objects in _seen(masks):
            picture = np.zeros(masks.size, np.uint16)
            for k, mask in objects:
                picture[mask] = 1000 * _MOTS_CLASS + k
            Image.fromarray(picture).save(temporary / f"{masks.frame_indices[i]:06d}.png")


def _save_mots_txt(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    _check_mots(masks, path)
    with atomic_write(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        for i, _, objects in _seen(masks):
            for k, mask in objects:
                rle = encode_rle(mask)
                height, width = rle["size"]
                file.write(f"{masks.frame_indices[i]} {1000 * _MOTS_CLASS + k} {_MOTS_CLASS} {height} {width} {rle['counts']}\n")


def _save_yolo(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    height, width = masks.size
    with atomic_folder(path, overwrite=overwrite, suffixes=(".txt", ".yaml")) as temporary:
        (temporary / "data.yaml").write_text(f"path: .\ntrain: .\nval: .\nnames:\n  0: {_CATEGORY}\n", encoding="ascii")
        for _, name, objects in _seen(masks):
            lines = [" ".join(["0", *(f"{x / width:.6g} {y / height:.6g}" for x, y in outline_of(mask))]) for _, mask in objects]
            (temporary / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def _save_labelme(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    height, width = masks.size
    with atomic_folder(path, overwrite=overwrite) as temporary:
        for _, name, objects in _seen(masks):
            shapes = []
            for k, mask in objects:
                x, y, w, h = box_of(mask)
                png = io.BytesIO()
                Image.fromarray(mask[y : y + h, x : x + w]).save(png, format="PNG")
                shapes.append({"label": f"object {k}", "points": [[x, y], [x + w - 1, y + h - 1]], "group_id": k, "description": "",
                               "shape_type": "mask", "flags": {}, "mask": base64.b64encode(png.getvalue()).decode()})  # fmt: skip
            document: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
                        "imageHeight": height, "imageWidth": width}  # fmt: skip
            (temporary / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def _save_cvat(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    if masks.object_ids and masks.frame_indices.step < 0:
        raise SaveError(f"can't save masks that run backwards to {path} as CVAT's tracks: reverse them first, masks[::-1]")
    height, width = masks.size
    seen: dict[int, dict[int, str]] = {k: {} for k in masks.object_ids}
    for i, _, objects in _seen(masks):
        for k, mask in objects:
            seen[k][i] = ";".join(f"{x}.0,{y}.0" for x, y in outline_of(mask))
    size = f"<original_size><width>{width}</width><height>{height}</height></original_size>"
    last = masks.frame_indices[-1]
    labels = "".join(f"<label><name>object {k}</name><attributes/></label>" for k in masks.object_ids)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(
            f"<meta><task><id>1</id><name>vos_zoo</name><size>{last + 1}</size><mode>interpolation</mode><start_frame>0</start_frame>"
        )
        file.write(f"<stop_frame>{last}</stop_frame><labels>{labels}</labels>{size}</task></meta>\n")
        for k, frames in seen.items():
            if not frames:
                continue
            label = quoteattr(f"object {k}")
            file.write(f'<track id="{k - 1}" label={label} source="auto">\n')
            outline = frames[min(frames)]
            for i in range(min(frames), len(masks)):
                outside = int(i not in frames)
                outline = frames.get(i, outline)
                file.write(f'<polygon frame="{masks.frame_indices[i]}" outside="{outside}" occluded="0" keyframe="1" z_order="0" '
                           f'points="{outline}"></polygon>\n')  # fmt: skip
            file.write("</track>\n")
        file.write("</annotations>\n")


def _save_label_studio(masks: StoredMasks, path: Path, overwrite: bool) -> None:
    height, width = masks.size
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, (_, name, objects) in enumerate(_seen(masks)):
            regions = [
                {"id": f"object-{k}", "from_name": "tag", "to_name": "image", "type": "brushlabels", "original_width": width,
                 "original_height": height, "image_rotation": 0, "origin": "manual",
                 "value": {"format": "rle", "rle": brush_runs(mask), "brushlabels": [f"object {k}"]}}
                for k, mask in objects
            ]  # fmt: skip
            task = {"data": {"image": f"{name}.jpg"}, "annotations": [{"result": regions, "was_cancelled": False}]}
            file.write(f"{',' if number else '['}\n{json.dumps(task)}")
        file.write("\n]\n")


def brush_runs(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool as the bytes of Label Studio's run lengths, see `label_studio`: each pixel is four values, 0 or 255."""
    flat = mask.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    bits = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    for start, length in zip(starts.tolist(), (4 * np.diff(starts, append=flat.size)).tolist(), strict=True):
        value = "11111111" if flat[start] else "00000000"
        while length:
            part = min(length, 1 << _WIDTHS[-1])
            kind = next(n for n, width in enumerate(_WIDTHS) if part <= 1 << width)
            bits.append(f"1{kind:02b}{part - 1:0{_WIDTHS[kind]}b}{value}")
            length -= part
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return np.packbits(np.frombuffer(text.encode(), dtype=np.uint8) - 48).tolist()


SAVERS: Mapping[str, Callable[[StoredMasks, Path, bool], None]] = {
    "youtubevis": _save_youtubevis,
    "mots": _save_mots,
    "mots-txt": _save_mots_txt,
    "yolo": _save_yolo,
    "labelme": _save_labelme,
    "cvat": _save_cvat,
    "label-studio": _save_label_studio,
}
FILES = {  # form -> its file or folder among results
    "youtubevis": "youtubevis.json",
    "mots": "mots",
    "mots-txt": "mots.txt",
    "yolo": "yolo",
    "labelme": "labelme",
    "cvat": "cvat.xml",
    "label-studio": "label-studio.json",
}
