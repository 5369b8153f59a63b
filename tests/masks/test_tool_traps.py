"""What annotation tools write that could be taken for something else: each is read as it was meant, refused, or told."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.exports import export_frames
from vos_zoo.masks.read import read_mask

H, W = SIZE = (48, 64)
LEFT, RIGHT = [10, 10, 25, 10, 25, 25, 10, 25], [40, 10, 55, 10, 55, 25, 40, 25]


def areas(document: Any) -> dict[int, int]:
    found = read_mask(document, size=SIZE)
    return {k: int((found.labels == k).sum()) for k in found.ids}


def coco(*annotations: dict[str, Any]) -> dict[str, Any]:
    listed = [{"id": n, "image_id": 1, "category_id": 1, "segmentation": [LEFT], **each} for n, each in enumerate(annotations, 1)]
    return {"images": [{"id": 1, "file_name": "a.jpg", "height": H, "width": W}], "annotations": listed}


def labelme(*labels: str) -> dict[str, Any]:
    points = ([[10, 10], [25, 10], [25, 25], [10, 25]], [[40, 10], [55, 10], [55, 25], [40, 25]])
    shapes = [{"label": label, "points": where, "group_id": None} for label, where in zip(labels, points, strict=False)]
    return {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": H, "imageWidth": W}


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": W, "original_height": H, "value": {**value, kind: ["a"]}, **more}


def box(x: float, **more: Any) -> dict[str, Any]:
    return region("rectanglelabels", {"x": x, "y": 25, "width": 25, "height": 25}, **more)


def studio(*regions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"data": {"image": "/a.jpg"}, "annotations": [{"result": list(regions)}], **more}]


def cvat(inside: str) -> dict[int, int]:
    root = ET.fromstring(f'<annotations><image name="a.png" width="{W}" height="{H}">{inside}</image></annotations>')
    return areas(export_frames(root, "a.xml")[0])


def test_two_of_one_category_are_two_objects() -> None:
    assert areas(coco({}, {"segmentation": [RIGHT]})) == {1: 225, 2: 225}
    assert areas(coco({"category_id": 7}, {"category_id": 3, "segmentation": [RIGHT]})) == {1: 225, 2: 225}
    assert areas(coco({"track_id": 9}, {"track_id": 4, "segmentation": [RIGHT]})) == {4: 225, 9: 225}


def test_names_that_are_nested_deep_are_names() -> None:
    deep: list[object] = []
    key: object = "size"
    for _ in range(5000):
        deep, key = [deep], (key,)
    assert areas(coco({"category_id": deep}, {"category_id": 3, "segmentation": [RIGHT]})) == {1: 225, 2: 225}
    assert areas(studio({**box(20), "type": deep}, box(20), {**box(60), "value": {**box(60)["value"], "rectanglelabels": [deep]}}))
    for document in (coco({"segmentation": {key: 1}}), {key: 1, "counts": [4]}):
        with pytest.raises(MaskError):
            areas(document)


def test_background_of_labelme_is_no_object() -> None:
    assert areas(labelme("_background_", "cat")) == {1: 225}
    assert areas(labelme("cat", "cat")) == {1: 225, 2: 225} and areas(labelme("object 3", "object 3")) == {3: 450}


@pytest.mark.parametrize(
    ("inside", "area"),
    [
        ('<box xtl="20" ytl="10" xbr="40" ybr="20"/>', 200),
        ('<box xtl="20" ytl="10" xbr="40" ybr="20" rotation="90"/>', 200),
        ('<ellipse cx="30" cy="20" rx="12" ry="4" rotation="90"/>', 150),
    ],
)
def test_turned_shapes_of_cvat(inside: str, area: int) -> None:
    assert abs(cvat(inside)[1] - area) < 12
    root = ET.fromstring(f'<annotations><image name="a" width="{W}" height="{H}">{inside}</image></annotations>')
    rows, columns = np.nonzero(read_mask(export_frames(root, "a")[0], size=SIZE).labels)
    assert (np.ptp(rows) > np.ptp(columns)) == ("rotation" in inside)


def test_ellipses_of_label_studio() -> None:
    flat = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 0}
    assert abs(areas(studio(region("ellipselabels", flat)))[1] - np.pi * 12.8 * 4.8) < 12
    turned = read_mask(studio(region("ellipselabels", {**flat, "rotation": 90})), size=SIZE)
    rows, columns = np.nonzero(turned.labels)
    assert np.ptp(rows) > 2 * np.ptp(columns)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (studio(box(10), region("keypointlabels", {"x": 1, "y": 1})), "is a 'keypointlabels', which is not read"),
        (studio(region("videorectangle", {"sequence": []})), "is a 'videorectangle', which is not read"),
        (studio(box(10, image_rotation=90)), "a picture that was turned in Label Studio"),
        ([{"data": {"image": "a"}, "annotations": [], "predictions": [{"result": [box(10)]}]}], "predictions but no annotation"),
        (coco({}, {"segmentation": []}), "a box alone is no mask"),
    ],
)
def test_what_would_be_left_out_is_refused(document: Any, says: str) -> None:
    with pytest.raises(MaskError, match=says):
        read_mask(document, size=SIZE)


def test_a_picture_annotated_twice_is_told() -> None:
    task = studio(box(10))
    task[0]["annotations"].append({"result": [box(60)]})
    with pytest.warns(VosZooWarning, match="was annotated 2 times; the first is taken"):
        assert (read_mask(task, size=SIZE).labels[:, :30] > 0).any()


def test_a_track_shorter_than_its_video_is_refused() -> None:
    video = {"id": 1, "width": W, "height": H, "file_names": ["0.jpg", "1.jpg"]}
    document = {"videos": [video], "annotations": [{"id": 1, "video_id": 1, "segmentations": [[LEFT]]}]}
    with pytest.raises(MaskError, match="has 1 segmentations, but its video 2 frames"):
        export_frames(document, "a.json")


@pytest.mark.parametrize(
    ("values", "ids"), [((1001, 2003, 10000), (1001, 2003)), ((1001, 10000), (1001,)), ((3, 10000), (3, 10000)), ((10000,), (10000,))]
)
def test_the_ignored_region_of_mots_is_no_object(tmp_path: Path, values: tuple[int, ...], ids: tuple[int, ...]) -> None:
    mask = np.zeros(SIZE, np.uint16)
    for row, value in enumerate(values):
        mask[10 * row : 10 * row + 8, 5:30] = value
    Image.fromarray(mask).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").ids == ids


def test_json_files_say_the_same_as_documents(tmp_path: Path) -> None:
    read: Callable[[Any], Any] = areas
    for document in (coco({}, {"segmentation": [RIGHT]}), labelme("a", "b"), studio(box(10), box(60))):
        (tmp_path / "a.json").write_text(json.dumps(document))
        assert read(tmp_path / "a.json") == read(document) and sorted(read(document)) == [1, 2]
