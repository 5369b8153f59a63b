"""Folders and files of masks as people have them: other kinds of images, other numbers, stacks, names, turned pictures."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.frames import read_masks
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.sequence import MaskSequence

SIZE = (12, 16)


def white(row: int = 2) -> Image.Image:
    mask = np.zeros(SIZE, np.uint8)
    mask[row : row + 5, 3:9] = 255
    return Image.fromarray(mask)


def folder_of(where: Path, *names: str) -> Path:
    where.mkdir(exist_ok=True)
    for name in names:
        white().save(where / name, format="PNG" if name.endswith("PNG") else None)
    return where


@pytest.mark.parametrize(
    ("masks", "frames", "indices"),
    [
        (["0.png", "5.png", "10.png"], [f"{i:05d}" for i in range(12)], [0, 5, 10]),
        (["0.png", "5.png", "10.png"], [f"{i:05d}" for i in range(0, 60, 5)], [0, 1, 2]),
        (["mask_00000.png", "mask_00005.png"], [f"frame_{i:05d}" for i in range(12)], [0, 5]),
        (["00003.PNG", "00001.png"], [f"{i:05d}" for i in range(1, 12)], [0, 2]),
        (["7_mask.png"], [f"clip1-{i}" for i in range(5, 12)], [2]),
    ],
)
def test_masks_are_matched_by_name_or_else_by_number(tmp_path: Path, masks: list[str], frames: list[str], indices: list[int]) -> None:
    assert list(read_masks(folder_of(tmp_path / "m", *masks), frame_names=frames)) == indices


@pytest.mark.parametrize(
    ("masks", "frames"),
    [
        (["24.png"], [f"{i:05d}" for i in range(24)]),
        (["a1.png", "b1.png"], ["00000", "00001"]),
        (["1.png"], ["a1", "b1"]),
        (["00000.png", "1.png"], ["00000", "00001"]),
    ],
)
def test_masks_that_fit_no_frame_or_several_are_told(tmp_path: Path, masks: list[str], frames: list[str]) -> None:
    with pytest.raises(MaskError, match="there is no frame for the mask"):
        read_masks(folder_of(tmp_path / "m", *masks), frame_names=frames)


@pytest.mark.parametrize("name", ["00002.bmp", "00002.tif", "00002.jpg", "00002.webp"])
def test_images_that_are_passed_over_are_told(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path / "m", "00000.png", "00001.png", name)
    with pytest.warns(VosZooWarning, match=rf"1 images that are not read as masks passed over \({name}\)"):
        assert list(read_masks(folder)) == [0, 1]
    with pytest.warns(VosZooWarning, match="passed over"):
        MaskSequence.load(folder)


def test_frames_beside_their_masks_need_no_word(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_masks(folder_of(tmp_path / "m", "0.png", "1.png", "0.jpg", "1.jpg"))) == [0, 1]


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".TIFF"])
def test_a_folder_of_other_plain_images(tmp_path: Path, suffix: str) -> None:
    found = read_masks(folder_of(tmp_path / "m", f"2{suffix}", f"10{suffix}"))
    assert list(found) == [2, 10] and read_mask(found[10]).labels.sum() == 30


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_a_stack_or_an_animation_is_no_mask(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    white().save(tmp_path / name, save_all=True, append_images=[white(3), white(4)], **options)
    with pytest.raises(MaskError, match="holds 3 pictures"):
        read_mask(tmp_path / name)
    with Image.open(tmp_path / name) as image, pytest.raises(MaskError, match="holds 3 pictures"):
        read_mask(image)


@pytest.mark.parametrize("name", ["m 1.png", "12:30 #?%.png", "\u9762\u7f69.png", os.fsdecode(b"caf\xe9.png")])
@pytest.mark.parametrize("form", ["plain", "address", "home"])
def test_names_of_masks_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = folder_of(tmp_path / "of masks", name) / name
    where = {"plain": str(path.parent), "address": f"file://{path.parent}".replace(" ", "%20"), "home": "~/of masks"}[form]
    quoted = name.replace("%", "%25").replace("#", "%23").replace("?", "%3F").replace(" ", "%20") if form == "address" else name
    assert read_mask(f"{where}/{quoted}").ids == (1,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(MaskSequence.load(where)) == 1 and len(read_masks(where)) == 1
    saved = MaskSequence.load(path.parent).save(f"{where}/out")
    assert (saved / "sequence.json").is_file() and saved == tmp_path / "of masks" / "out"


def test_pngs_that_the_record_does_not_list_are_told(tmp_path: Path) -> None:
    saved = MaskSequence(SIZE)
    saved.append(np.eye(*SIZE, dtype=np.uint8))
    saved.save(tmp_path / "s")
    folder_of(tmp_path / "s", "00001.png")
    with pytest.warns(VosZooWarning, match=r"1 PNGs that sequence.json does not list were passed over \(00001.png\)"):
        assert len(MaskSequence.load(tmp_path / "s")) == 1


@pytest.mark.parametrize("ids", [(1, 255), (255, 300), (1, 65535), (7, 256)])
def test_large_ids_that_were_saved_are_ids_for_read_mask_too(tmp_path: Path, ids: tuple[int, ...]) -> None:
    labels = np.zeros(SIZE, np.int32)
    labels[:4], labels[6:9] = ids
    saved = MaskSequence(SIZE)
    saved.append(labels)
    saved.save(tmp_path / "s")
    assert read_mask(tmp_path / "s" / "00000.png").ids == ids
    assert (read_mask(tmp_path / "s" / "00000.png").labels == labels).all()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("0.txt", b"0 0.1 0.1 0.3 0.1 0.3 0.3", "is a text: those of YOLO and MOTS are written, not read"),
        ("a.h5", b"\x89HDF\r\n\x1a\n....", "is an HDF5 file"),
        ("a.psd", b"8BPS....", "is a Photoshop file"),
        ("a.exr", b"\x76\x2f\x31\x01....", "is an OpenEXR picture"),
    ],
)
def test_files_of_other_programs_are_named(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MaskError, match=says):
        read_mask(tmp_path / name)


TURNS = {2: lambda mask: mask[:, ::-1], 3: lambda mask: mask[::-1, ::-1], 6: lambda mask: np.rot90(mask, -1)}


@pytest.mark.parametrize("orientation", TURNS)
def test_a_mask_is_turned_by_exif_as_frames_are(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    white().save(tmp_path / "m.png", exif=exif)
    expected = TURNS[orientation](np.asarray(white()) > 0)
    assert (read_mask(tmp_path / "m.png", size=expected.shape).labels == expected).all()


def test_results_of_pipelines() -> None:
    a, b = np.asarray(white()) > 0, np.asarray(white(6)) > 0
    found = read_mask([{"score": 0.9, "label": "cat", "mask": white()}, {"score": 0.8, "label": "dog", "mask": white(8)}])
    assert found.ids == (1, 2) and (found.labels == 1).sum() >= 24
    inner = a & (np.arange(SIZE[1]) < 5)
    found = read_mask({"masks": [inner, a], "scores": [0.9, 0.8]})
    assert (found.labels == 1).sum() == inner.sum() and (found.labels > 0).sum() == a.sum()
    masked = np.ma.masked_array(np.ones(SIZE, np.int32), mask=~b)
    assert (read_mask(masked).labels == b).all()


@pytest.mark.parametrize("held", ["pred_masks", "masks"])
def test_results_that_hold_masks_are_named(held: str) -> None:
    class Result:
        pass

    setattr(Result, held, white())
    with pytest.raises(MaskError, match=rf"can't be a Result: pass its \.{held}"):
        read_mask(Result())


def test_a_list_of_images_is_no_list_of_polygons() -> None:
    with pytest.raises(MaskError, match="is a list of images"):
        read_mask([white(), white(4)], size=SIZE)
