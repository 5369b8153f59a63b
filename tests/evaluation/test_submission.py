"""The zips that servers take: layout, frames, form of the PNGs; and what is refused before one is written."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from benchmark_layouts import write_sav, write_valid
from evaluation_data import SIZE, labels, write_frames, write_mask, write_youtubevos
from PIL import Image

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.submission import check_submission, write_submission


def saved(clips, folder, first=0):
    """Masks of every frame from `first` on."""
    for clip in clips:
        for index, name in enumerate(clip.frame_names or ()):
            if index >= first:
                write_mask(folder / clip.name / f"{name}.png", labels(index, tuple(clip.objects())))
    return lambda clip, frame: folder / clip.name / f"{frame}.png"


def picture(archive, name):
    image = Image.open(io.BytesIO(archive.read(name)))
    image.load()
    return image


@pytest.mark.parametrize(("layout", "above"), [("mose", ""), ("lvos", "Annotations/"), ("davis2017", "")])
def test_a_folder_a_clip_an_indexed_png_a_frame(tmp_path, layout, above):
    clips = load_dataset(f"mose:{write_valid(tmp_path / 'data')}")
    path = write_submission(tmp_path / "s.zip", layout, clips, saved(clips, tmp_path / "masks"))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{above}{name}/{i:05d}.png" for name in ("a", "b") for i in range(6)]
        image = picture(archive, f"{above}b/00003.png")
        assert image.mode == "P" and image.size == SIZE[::-1] and (np.asarray(image) == labels(3, (1, 3))).all()
    first = path.read_bytes()
    assert write_submission(path, layout, clips, saved(clips, tmp_path / "masks")).read_bytes() == first


def test_youtubevos_wants_the_frames_of_meta_json(tmp_path):
    clips = load_dataset(f"youtubevos:{write_youtubevos(tmp_path / 'data')}")
    path = write_submission(tmp_path / "s.zip", "youtubevos", clips, saved(clips, tmp_path / "masks"))
    names = zipfile.ZipFile(path).namelist()
    assert names[:2] == ["Annotations/0a/00000.png", "Annotations/0a/00005.png"] and len(names) == 6 + 5


def test_sa_v_wants_a_folder_an_object(tmp_path):
    clips = load_dataset(f"sav:{write_sav(tmp_path / 'data')}")
    path = write_submission(tmp_path / "s.zip", "sav", clips, saved(clips, tmp_path / "masks"))
    with zipfile.ZipFile(path) as archive:
        assert [name for name in archive.namelist() if "/001/" in name] == [f"sav_1/001/{i:05d}.png" for i in range(2, 6)]
        assert (np.asarray(picture(archive, "sav_1/000/00003.png")) == (labels(3, (1, 2)) == 1)).all()


def test_frames_before_the_first_object_get_an_empty_mask_and_grey_ones_are_indexed(tmp_path):
    data = tmp_path / "data"
    write_frames(data / "JPEGImages" / "a", [f"{i:05d}.jpg" for i in range(4)])
    write_mask(data / "Annotations" / "a" / "00002.png", labels(2, (1,)))
    clips = load_dataset(f"mose:{data}")
    mask_of = saved(clips, tmp_path / "masks", first=2)
    write_mask(tmp_path / "masks" / "a" / "00003.png", labels(3, (1,)), indexed=False)
    with zipfile.ZipFile(write_submission(tmp_path / "s.zip", "mose", clips, mask_of)) as archive:
        images = [picture(archive, name) for name in archive.namelist()]
    assert [image.mode for image in images] == ["P"] * 4 and [np.asarray(image).any() for image in images] == [False, False, True, True]


def test_masks_that_would_be_refused(tmp_path):
    clips = load_dataset(f"mose:{write_valid(tmp_path / 'data')}")
    mask_of = saved(clips, tmp_path / "masks")
    (tmp_path / "masks" / "a" / "00004.png").unlink()
    write_mask(tmp_path / "masks" / "b" / "00001.png", labels(1, (1, 9)))
    write_mask(tmp_path / "masks" / "b" / "00002.png", labels(1)[:20])
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "masks" / "b" / "00003.png")
    with pytest.raises(EvaluationError) as told:
        write_submission(tmp_path / "s.zip", "mose", clips, mask_of)
    lines = str(told.value).splitlines()
    assert len(lines) == 5 and "no mask of 1 of 6 frames" in lines[1] and "has the id 9, but the given masks have 1, 3" in lines[2]
    assert "is 60x20, the frames 60x40" in lines[3] and "picture in RGB" in lines[4]
    assert not (tmp_path / "s.zip").exists()


@pytest.mark.parametrize(
    ("name", "layout", "whole", "says"),
    [
        ("s.tar", "mose", True, "servers take a .zip"),
        ("s.zip", "vipseg", True, "no server that takes masks of layout 'vipseg'"),
        ("s.zip", "mose", False, "every clip of the set: leave --only out"),
    ],
)
def test_what_is_refused_before_work(name, layout, whole, says):
    with pytest.raises(EvaluationError, match=says):
        check_submission(name, layout, [], whole=whole)
