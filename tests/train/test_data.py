"""Data sets in their published layouts, and what is said of bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_data import recipe, save, write_clip, write_davis, write_stills, write_youtubevos

from vos_zoo.errors import DataError, VosZooWarning
from vos_zoo.train.data import fingerprint, load_data
from vos_zoo.train.recipe import Source
from vos_zoo.train.sources.clips import load_clips
from vos_zoo.train.sources.layouts import find_clips
from vos_zoo.train.sources.problems import LISTED, Problems


def test_davis_2017_takes_the_clips_of_its_list(tmp_path: Path) -> None:
    root = write_davis(tmp_path / "DAVIS", {"bear": "train", "goat": "val", "swing": "train"}, objects=2)
    found = find_clips("davis2017", root, Problems())
    assert [clip.name for clip in found] == ["bear", "swing"]
    assert [frame.name for frame, _ in found[0].pairs] == [f"{n:05}.jpg" for n in range(5)]
    assert found[0].pairs[0][1] == root / "Annotations/480p/bear/00000.png"
    assert [clip.name for clip in find_clips("davis2017", root, Problems(), subset="val")] == ["goat"]
    bear, _ = load_clips(found, Problems())
    assert sorted(bear.runs) == [1, 2]


def test_davis_2016_merges_objects(tmp_path: Path) -> None:
    root = write_davis(tmp_path / "DAVIS", {"bear": "train"}, objects=2)
    (bear,) = load_clips(find_clips("davis2016", root, Problems()), Problems(), memory=0.0)
    assert bear.runs == {1: [(0, 5)]}
    both = load_clips(find_clips("davis2017", root, Problems()), Problems())[0].take(torch.arange(5))[1] > 0
    assert (bear.take(torch.arange(5))[1] == 1).equal(both)


def test_davis_2016_by_itself_lists_files(tmp_path: Path) -> None:
    """The release of 2016 has ImageSets/480p/train.txt, two paths a line, a line a frame."""
    root = write_davis(tmp_path / "DAVIS", {"bear": "train"}, objects=1)
    (root / "ImageSets/2016/train.txt").unlink()
    lines = [f"/JPEGImages/480p/bear/{n:05}.jpg /Annotations/480p/bear/{n:05}.png" for n in range(5)]
    (root / "ImageSets/480p").mkdir()
    (root / "ImageSets/480p/train.txt").write_text("\n".join(lines) + "\n")
    assert [clip.name for clip in find_clips("davis2016", root, Problems())] == ["bear"]


def test_youtube_vos(tmp_path: Path) -> None:
    root = write_youtubevos(tmp_path / "train", ["003234408d", "0043f083b5"])
    first, second = load_clips(find_clips("youtubevos", root, Problems()), Problems())
    assert first.name == "003234408d" and len(first) == 4, "every fifth frame is annotated"
    assert sorted(second.runs) == [1, 2]
    meta = json.loads((root / "meta.json").read_text())
    meta["videos"]["gone"] = meta["videos"]["003234408d"]
    (root / "meta.json").write_text(json.dumps(meta))
    problems = Problems()
    find_clips("youtubevos", root, problems)
    assert "JPEGImages/gone: an empty clip: no image in it" in problems.report()
    (root / "meta.json").write_text("[]")
    with pytest.raises(DataError, match=r"meta\.json is not as YouTube-VOS has it"):
        find_clips("youtubevos", root, Problems())


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        ([f"{n}.jpg" for n in range(12)], [f"{n}.png" for n in range(12)]),
        ([f"{n}.JPG" for n in range(12)], [f"{n:05}.PNG" for n in range(12)]),
        ([f"take2_{n}.png" for n in range(8, 13)], [f"take2_{n}.png" for n in range(8, 13)]),
        (["t=0.04.png", "t=0.2.png", "t=1.png", "t=10.png"], ["t=0.04.png", "t=0.2.png", "t=1.png", "t=10.png"]),
        (["IMG_9.png", "img_10.png", "IMG_100.png"], ["IMG_9.png", "img_10.png", "IMG_100.png"]),
    ],
    ids=["unpadded", "padded otherwise", "a number in the prefix", "decimals", "cases"],
)
@pytest.mark.parametrize("layout", ["folder", "davis2017", "youtubevos"])
def test_frames_are_trained_on_in_order_of_time(tmp_path: Path, layout: str, frames: list[str], masks: list[str]) -> None:
    where = {
        "folder": ("bear/frames", "bear/masks"),
        "davis2017": ("JPEGImages/480p/bear", "Annotations/480p/bear"),
        "youtubevos": ("JPEGImages/bear", "Annotations/bear"),
    }[layout]
    for folder, names in zip(where, (frames, masks), strict=True):
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / folder / name).touch()
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/train.txt").write_text("bear\n")
    problems = Problems()
    bear = next(clip for clip in find_clips(layout, tmp_path, problems) if clip.name == "bear")
    assert [(frame.name, mask.name) for frame, mask in bear.pairs] == list(zip(frames, masks, strict=True)) and not problems.found


def test_an_order_that_is_in_doubt_is_told(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "bear", frames=2)
    for folder in ("frames", "masks"):
        for old, new in (("00000", "before"), ("00001", "after")):
            (clip / folder / f"{old}.png").rename(clip / folder / f"{new}.png")
    with pytest.warns(VosZooWarning, match=r"the clip .*frames: the order of its files is in doubt: .* taken as after.png, before.png"):
        find_clips("folder", tmp_path, Problems())


def test_roots_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout is 'coco', not one of folder, davis2016, davis2017, youtubevos"):
        find_clips("coco", tmp_path, Problems())
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        find_clips("folder", tmp_path / "nowhere", Problems())
    with pytest.raises(DataError, match="has no ImageSets/2017/train.txt; give the folder of the DAVIS release"):
        find_clips("davis2017", tmp_path, Problems())
    with pytest.raises(DataError, match="holds no clips as layout youtubevos has them: give the folder that holds JPEGImages"):
        find_clips("youtubevos", tmp_path, Problems())


def spoilt(root: Path) -> dict[str, str]:
    """A folder of data with everything wrong that can be; file -> what is to be said of it."""
    write_clip(root / "good", frames=3)
    (write_clip(root / "lonely", frames=4) / "frames/00003.png").unlink()
    save(write_clip(root / "small", frames=3) / "masks/00001.png", np.zeros((9, 9), np.uint8))
    (root / "empty/frames").mkdir(parents=True)
    (write_clip(root / "corrupt", frames=3) / "frames/00001.png").write_bytes(b"\x89PNG nothing")
    (root / "bare/frames").mkdir(parents=True)
    save(root / "bare/frames/0.png", np.zeros((9, 9, 3), np.uint8))
    write_stills(root / "stills", 3)
    (root / "stills/masks/001.png").unlink()
    (root / "stills/images/002.png").write_bytes(b"no image")
    return {
        "lonely/masks/00003.png": "a mask without a frame",
        "small/masks/00001.png": "is 9x9, its image",
        "empty/frames": "an empty clip",
        "corrupt/frames/00001.png": "can't be read as an image",
        "bare/masks": "a clip without masks",
        "stills/images/001.png": "an image without a mask",
        "stills/images/002.png": "can't be read as an image",
    }


def test_everything_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    wrong = spoilt(tmp_path)
    with pytest.raises(DataError, match="7 problems in the data; mend them, or leave these files out with --on-bad-data skip") as error:
        load_data(recipe(), tmp_path, tmp_path / "cache", on_bad_data="stop")
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(wrong)
    for file, what in wrong.items():
        assert any(f"{file}: {what}" in line for line in lines), file


def test_training_goes_on_without_what_is_wrong(tmp_path: Path) -> None:
    spoilt(tmp_path)
    with pytest.warns(VosZooWarning, match=r"7 problems in the data; left out:\n.*bare/masks"):
        data = load_data(recipe(), tmp_path, tmp_path / "cache")
    assert data.stills is not None and data.stills.names == ["stills/000"]
    assert {clip.name: len(clip) for clip in data.clips["clips"]} == {"good": 3, "lonely": 3}, "what is whole of a clip is used"
    assert str(data) == "1 stills, 2 clips"
    with pytest.raises(DataError, match="on_bad_data is 'stop' or 'skip', not 'ignore'"):
        load_data(recipe(), tmp_path, tmp_path / "cache", on_bad_data="ignore")


def test_long_lists_are_cut() -> None:
    problems = Problems()
    for n in range(LISTED + 5):
        problems.add(Path(f"{n}.png"), "is bad")
    assert problems.report().splitlines()[-1] == "  ... and 5 more"


def test_sources_lie_under_the_data_and_share_the_memory(tmp_path: Path) -> None:
    write_davis(tmp_path / "DAVIS", {"bear": "train"}, objects=1)
    write_youtubevos(tmp_path / "ytvos/train", ["003234408d"])
    sources = {"davis": Source("davis2017", "DAVIS"), "youtube": Source("youtubevos", "ytvos/train")}
    run = recipe(stills=(), clips=False, sources=sources)
    data = load_data(run, tmp_path, tmp_path / "cache", memory=1e-9)
    assert {name: type(clips[0]).__name__ for name, clips in data.clips.items()} == {"davis": "Clip", "youtube": "ClipOnDisk"}
    assert set(data.fingerprint) == {"clips davis", "clips youtube"}


def test_fingerprint_changes_with_names_and_sizes(tmp_path: Path) -> None:
    for name, text in (("a.txt", "one"), ("b.txt", "three")):
        (tmp_path / name).write_text(text)
    files = [tmp_path / "b.txt", tmp_path / "a.txt"]
    before = fingerprint(files, tmp_path)
    assert (before["files"], before["bytes"]) == (2, 8) and before == fingerprint(files[::-1], tmp_path)
    (tmp_path / "a.txt").write_text("four")
    assert fingerprint(files, tmp_path)["sha256"] != before["sha256"]
    (tmp_path / "a.txt").write_text("one")
    assert fingerprint(files, tmp_path) == before
    (tmp_path / "a.txt").rename(tmp_path / "c.txt")
    assert fingerprint([tmp_path / "b.txt", tmp_path / "c.txt"], tmp_path)["sha256"] != before["sha256"]
