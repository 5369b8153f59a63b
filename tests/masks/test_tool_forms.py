"""Forms of other tools: each written, and read back by that tool's own package and by vos_zoo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.masks.beginnings import first_of_each
from vos_zoo.masks.frames import mask_paths
from vos_zoo.masks.outlines import outline_of, outlines_of
from vos_zoo.masks.outputs import FILES, WITHOUT_VIDEO, chosen_forms, save_form
from vos_zoo.masks.polygons import polygons_to_mask
from vos_zoo.masks.read import read_mask, read_masks
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.masks.tool_forms import SAVERS

SIZE = (24, 32)


def _sequence() -> MaskSequence:
    """Three frames; object 7 has a hole and two parts, and is not seen in frame 1."""
    masks = MaskSequence(SIZE, fps=25)
    for t in range(3):
        labels = np.zeros(SIZE, np.uint8)
        labels[2 + t : 9 + t, 3:11] = 2
        if t != 1:
            labels[10:20, 14 + t : 26 + t] = 7
            labels[13:16, 17 + t : 20 + t] = 0
            labels[21, 30] = 7
        masks.append(labels)
    return masks


def _read_back(path: Path) -> dict[int, np.ndarray]:
    return {t: read_mask(mask, size=SIZE).labels for t, mask in read_masks(path).items()}


def _same(found: dict[int, np.ndarray], masks: MaskSequence) -> bool:
    return sorted(found) == list(range(len(masks))) and all((found[t] == masks[t]).all() for t in found)


@pytest.mark.parametrize("form", ["youtubevis", "labelme", "cvat", "label-studio"])
def test_what_is_written_is_read_again(form: str, tmp_path: Path) -> None:
    masks = _sequence()
    assert _same(_read_back(masks.save_as(tmp_path / FILES[form], form)), masks)


def test_coco_is_read_again(tmp_path: Path) -> None:
    masks = _sequence()
    assert _same(_read_back(masks.save_coco(tmp_path / "masks.json")), masks)


def test_mots_pngs_are_maps_of_ids(tmp_path: Path) -> None:
    masks = _sequence()
    folder = masks.save_as(tmp_path / "mots", "mots")
    found = {t: read_mask(path).labels for t, path in read_masks(folder).items()}
    assert _same({t: np.where(labels > 0, labels - 1000, 0) for t, labels in found.items()}, masks)
    assert [path.name for path in sorted(folder.iterdir())] == ["000000.png", "000001.png", "000002.png"]


def test_youtubevis_by_pycocotools(tmp_path: Path) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask")
    masks = _sequence()
    document = json.loads(masks.save_as(tmp_path / "v.json", "youtubevis").read_text())
    assert [track["id"] for track in document["annotations"]] == [2, 7] and document["videos"][0]["length"] == 3
    for track in document["annotations"]:
        for t, rle in enumerate(track["segmentations"]):
            wanted = masks[t] == track["id"]
            assert (rle is None) == (not wanted.any())
            if rle is not None:
                assert (coco_mask.decode(rle) == wanted).all()
                assert track["bboxes"][t] == coco_mask.toBbox(rle).tolist() and track["areas"][t] == coco_mask.area(rle)


def test_coco_by_pycocotools(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    masks = _sequence()
    found = coco.COCO(str(masks.save_coco(tmp_path / "masks.json")))
    assert len(found.anns) == 5
    for annotation in found.anns.values():
        assert (found.annToMask(annotation) == (masks[annotation["image_id"] - 1] == annotation["track_id"])).all()


def test_mots_txt_by_pycocotools(tmp_path: Path) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask")
    masks = _sequence()
    lines = [line.split(" ") for line in masks.save_as(tmp_path / "0.txt", "mots-txt").read_text().splitlines()]
    assert [line[:3] for line in lines] == [[t, k, "1"] for t, k in zip("00122", ("1002", "1007", "1002", "1002", "1007"), strict=True)]
    for t, number, _, height, width, text in lines:
        found = coco_mask.decode({"size": [int(height), int(width)], "counts": text.encode()})
        assert (found == (masks[int(t)] == int(number) - 1000)).all()


def test_yolo_by_supervision(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    masks = _sequence()
    folder = masks.save_as(tmp_path / "yolo", "yolo")
    (tmp_path / "images").mkdir()
    for t in range(3):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / f"{t:05d}.png")
    found = supervision.DetectionDataset.from_yolo(str(tmp_path / "images"), str(folder), str(folder / "data.yaml"), force_masks=True)
    assert found.classes == ["object"] and len(found) == 3
    for path, _, detections in found:
        labels = masks[int(Path(path).stem)]
        ids = [k for k in (2, 7) if (labels == k).any()]
        for k, mask in zip(ids, detections.mask, strict=True):
            wanted = labels == k
            assert (mask & wanted).sum() / (mask | wanted).sum() > 0.7  # it draws polygons a pixel wider, and fills holes' joints


def test_supervision_detections(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    masks = _sequence()
    detections = masks.to_supervision(0)
    assert isinstance(detections, supervision.Detections) and detections.tracker_id.tolist() == [2, 7]
    assert (supervision.mask_to_xyxy(detections.mask) == detections.xyxy).all()
    back = read_mask(detections, size=SIZE)
    assert (back.labels == masks[0]).all() and back.ids == (2, 7)


def test_labelme_by_labelme(tmp_path: Path) -> None:
    label_file = pytest.importorskip("labelme._label_file")
    masks = _sequence()
    folder = masks.save_as(tmp_path / "labelme", "labelme")
    for t in range(3):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{t:05d}.jpg")
        found = label_file.read_label_file(str(folder / f"{t:05d}.json"))
        drawn = np.zeros(SIZE, int)
        for shape in found.shapes:
            (x0, y0), (x1, y1) = np.array(shape["points"]).astype(int)
            drawn[y0 : y1 + 1, x0 : x1 + 1][shape["mask"]] = shape["group_id"]
        assert (drawn == masks[t]).all()


def test_cvat_and_mots_by_datumaro(tmp_path: Path) -> None:
    dataset = pytest.importorskip("datumaro.components.dataset")
    masks = _sequence()
    masks.save_as(tmp_path / "cvat" / "annotations.xml", "cvat")
    found = dataset.Dataset.import_from(str(tmp_path / "cvat"), "cvat")
    drawn = {t: np.zeros(SIZE, int) for t in range(3)}
    for item in found:
        for shape in item.annotations:
            if not shape.attributes.get("outside"):
                drawn[int(item.attributes["frame"])][polygons_to_mask([shape.points], SIZE)] = shape.attributes["track_id"] + 1
    assert _same(drawn, masks)


def test_label_studio_by_its_sdk(tmp_path: Path) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    masks = _sequence()
    tasks = json.loads(masks.save_as(tmp_path / "studio.json", "label-studio").read_text())
    for t, task in enumerate(tasks):
        drawn = np.zeros(SIZE, int)
        for region in task["annotations"][0]["result"]:
            layers = brush.decode_rle(region["value"]["rle"]).reshape(*SIZE, 4)
            drawn[layers[..., 3] > 0] = int(region["value"]["brushlabels"][0].removeprefix("object "))
        assert (drawn == masks[t]).all()


def test_label_studio_by_its_sdk_is_read(tmp_path: Path) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    inside = _sequence()[0] == 7
    region = {"type": "brushlabels", "original_width": 32, "original_height": 24,
              "value": {"format": "rle", "rle": brush.mask2rle(inside.astype(np.uint8) * 255), "brushlabels": ["bear"]}}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": [region]}]}]))
    assert (read_mask(tmp_path / "s.json", size=SIZE).labels == inside).all()


@pytest.mark.parametrize("seed", range(6))
def test_outlines_draw_the_very_mask(seed: int) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < (0.1, 0.5, 0.9)[seed % 3]
    polygon = [n for corner in outline_of(mask) for n in corner]
    assert (polygons_to_mask([polygon], mask.shape) == mask).all()
    edges = (np.diff(np.pad(mask, 1).astype(int), axis=0) != 0).sum() + (np.diff(np.pad(mask, 1).astype(int), axis=1) != 0).sum()
    length = sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for loop in outlines_of(mask) for a, b in zip(loop, [*loop[1:], loop[0]], strict=True))
    assert length == edges


def test_forms_of_the_command_line(tmp_path: Path) -> None:
    assert set(SAVERS) <= set(FILES) and set(SAVERS) <= WITHOUT_VIDEO
    assert chosen_forms("youtubevis,cvat") == ["youtubevis", "cvat"]
    assert save_form("mots-txt", _sequence(), None, tmp_path) == tmp_path / "mots.txt" and (tmp_path / "mots.txt").is_file()


def test_what_a_form_can_not_hold(tmp_path: Path) -> None:
    masks = MaskSequence(SIZE)
    with pytest.raises(SaveError, match="no frames yet"):
        masks.save_as(tmp_path / "a", "yolo")
    masks.append(np.full(SIZE, 1000, np.int32))
    for form in ("mots", "mots-txt"):
        with pytest.raises(SaveError, match="object 1000 .*up to 999"):
            masks.save_as(tmp_path / "a", form)
    with pytest.raises(SaveError, match="no form 'kitti': choose one of youtubevis"):
        masks.save_as(tmp_path / "a", "kitti")
    with pytest.raises(SaveError, match="run backwards"):
        _sequence()[::-1].save_as(tmp_path / "a.xml", "cvat")
    masks.save_as(tmp_path / "yolo", "yolo")
    with pytest.raises(SaveError, match="overwrite=True"):
        masks.save_as(tmp_path / "yolo", "yolo")
    assert list(tmp_path.iterdir()) == [tmp_path / "yolo"]


def test_slices_keep_their_frames(tmp_path: Path) -> None:
    part = _sequence()[1:]
    for form in ("youtubevis", "cvat", "label-studio"):
        assert sorted(_read_back(part.save_as(tmp_path / FILES[form], form))) == [1, 2]


def test_each_objects_first_mask() -> None:
    masks = {0: np.array([[1, 0, 0]]), 3: np.zeros((1, 3), int), 5: np.array([[1, 2, 0]]), 9: np.array([[3, 2, 1]])}
    found = first_of_each(masks)
    assert {t: mask.ids for t, mask in found.items()} == {0: (1,), 5: (2,), 9: (3,)}
    assert found[5].labels.tolist() == [[0, 2, 0]]
    with pytest.raises(VosZooError, match="the mask of frame 5 is soft"):
        first_of_each({5: np.array([[0.5]])})


def test_a_folder_an_object_as_sa_v_has_them(tmp_path: Path) -> None:
    for name, frames in (("000", (0, 4)), ("001", (4,)), ("010", (2, 8))):
        (tmp_path / name).mkdir()
        for frame in frames:
            mask = np.zeros(SIZE, np.uint8)
            mask[int(name) : int(name) + 4, 3:9] = 0 if frame == 2 else 255  # not in sight yet
            Image.fromarray(mask).save(tmp_path / name / f"{frame:05d}.png")
    found = first_of_each(read_masks(tmp_path, frame_names=[f"{t:05d}" for t in range(12)]), size=SIZE)
    assert {t: mask.ids for t, mask in found.items()} == {0: (1,), 4: (2,), 8: (11,)}
    assert (found[8].labels[10:14, 3:9] == 11).all() and len(mask_paths(tmp_path)) == 5
    (tmp_path / "notes").mkdir()
    with pytest.raises(VosZooError, match="has no masks"):
        read_masks(tmp_path)
