"""Real clips: reading them, the stretches in which an object can be followed, and the index of splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_data import clips_of, save, write_clip

from vos_zoo.errors import DataError
from vos_zoo.train.sources.clips import Clip, ClipOnDisk, training_clips, unbroken_runs
from vos_zoo.train.sources.pictures import read_index_mask, read_picture
from vos_zoo.train.sources.problems import Problems
from vos_zoo.videos.images import read_frame


def at(*columns: int | None) -> np.ndarray:
    """(T, 20, 40) masks of a 10 x 10 square whose left edge stands at these columns; None: not seen."""
    masks = np.zeros((len(columns), 20, 40), bool)
    for t, left in enumerate(columns):
        if left is not None:
            masks[t, 5:15, left : left + 10] = True
    return masks


@pytest.mark.parametrize(
    ("columns", "runs"),
    [
        ((0, 1, 2, 3), [(0, 4)]),
        ((0, 1, None, 3, 4), [(0, 2), (3, 5)]),
        ((0, 1, 20, 21, 22), [(0, 2), (2, 5)]),
        ((0, 6), [(0, 2)]),  # IoU 4 / 16 = 0.25
        ((0, 7), []),  # IoU 3 / 17 = 0.18: a jump, and single frames are no run
        ((None, 0, None), []),
        ((None, None, 5, 6), [(2, 4)]),
        ((None,), []),
    ],
)
def test_runs_end_at_jumps_and_absences(columns: tuple[int | None, ...], runs: list[tuple[int, int]]) -> None:
    assert unbroken_runs(at(*columns), min_area=0.01) == runs


def test_small_objects_do_not_count_as_seen() -> None:
    masks = at(0, 1, 2)
    masks[1, 6:] = False
    assert unbroken_runs(masks, min_area=0.05) == []


def test_clip_is_shrunk_and_only_annotated_frames_are_read(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "a__1", frames=4)
    (folder / "masks/00002.png").unlink()
    (clip,) = clips_of(folder, short_side=32)
    frames, ids = clip.take(torch.arange(3))
    assert len(clip) == 3 and frames.shape == (3, 3, 32, 48) and ids.shape == (3, 32, 48)
    assert clip.name == "a__1" and clip.runs == {1: [(0, 3)]}
    red = frames[:, 0].float() - frames[:, 2].float() > 120
    assert ((ids == 1) & red).sum() > 0.8 * (ids == 1).sum()


def test_a_frame_of_void_among_numbers_is_no_object(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "a", frames=3)
    void = np.zeros((64, 96), np.uint8)
    void[:30] = 255
    save(folder / "masks/00002.png", void)
    for memory in (1.0, 0.0):
        (clip,) = clips_of(folder, memory=memory)
        assert clip.take(torch.tensor([2]))[1].sum() == 0 and clip.runs == {1: [(0, 2)]}


def test_masks_of_0_and_255_alone_are_one_object(tmp_path: Path) -> None:
    plain = write_clip(tmp_path / "a", frames=2)
    loud = write_clip(tmp_path / "b", frames=2, ids={255: [(20, 10), (20, 14)]})
    for memory in (1.0, 0.0):
        first, second = clips_of(plain, loud, memory=memory)
        assert first.take(torch.arange(2))[1].equal(second.take(torch.arange(2))[1]) and second.runs == {1: [(0, 2)]}


def test_clips_beyond_the_memory_are_read_when_they_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [write_clip(tmp_path / name, frames=3) for name in "abc"]
    one = 3 * 4 * 64 * 96 / 2**30
    clips = clips_of(*folders, memory=1.5 * one, cache=tmp_path / "cache")
    assert [type(clip) for clip in clips] == [Clip, Clip, ClipOnDisk], "the clip that crosses the line is the last in memory"
    index = torch.tensor([2, 0, 2])
    for a, b in zip(clips[0].take(index), clips[2].take(index), strict=True):
        assert a.equal(b)
    assert clips[0].runs == clips[2].runs
    read: list[str] = []
    monkeypatch.setattr(
        "vos_zoo.train.sources.clips.read_pairs", lambda pairs, side: read.append(pairs[0][0].parts[-3]) or pytest.fail("again")
    )
    again = clips_of(folders[2], memory=0.0, cache=tmp_path / "cache")
    assert again[0].runs == clips[0].runs and read == [], "what is known of it was kept"


def test_skipped_clips_are_not_even_read(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "davis__tennis", frames=2)
    (folder / "frames/00000.png").write_bytes(b"no image")
    assert clips_of(folder, skip=("tennis",)) == []
    with pytest.raises(DataError, match=r"00000\.png: can't be read as an image"):
        clips_of(folder)


def test_clips_that_can_teach_nothing_are_problems(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="short/masks: only one annotated frame; at least two are needed"):
        clips_of(write_clip(tmp_path / "short", frames=1))
    jumpy = write_clip(tmp_path / "jumpy", frames=2, ids={1: [(0, 0), (40, 70)]})
    with pytest.raises(DataError, match="jumpy/frames: no object is seen in two neighbouring annotated frames"):
        clips_of(jumpy)


def test_bad_clips_name_the_file(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "a", frames=3)
    save(folder / "masks/00001.png", np.zeros((10, 10), np.uint8))
    with pytest.raises(DataError, match=r"masks/00001\.png: is 10x10, its image .*frames/00001\.png 64x96"):
        clips_of(folder)
    save(folder / "frames/00001.png", np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(DataError, match=r"frames/00001\.png: is 10x10, the clip's first frame 64x96"):
        clips_of(folder)


def test_index_chooses_the_training_clips(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_clip(tmp_path / name, frames=2)
    (tmp_path / "stills" / "images").mkdir(parents=True)

    def names(index: Path | None = None, root: Path = tmp_path) -> list[str]:
        return [files.name for files in training_clips(root, index, Problems())]

    assert names() == ["a", "b", "c"]
    index = tmp_path / "clips.json"
    index.write_text(json.dumps({"a": {"split": "train"}, "b": {"split": "val"}, "c": {"split": "train"}, "elsewhere": {"split": "train"}}))
    assert names(index) == ["a", "c"]
    index.write_text(json.dumps({"a": {"split": "train"}}))
    with pytest.raises(DataError, match=r"clips\.json does not say which split these clips belong to: b, c"):
        names(index)
    index.write_text('{"a": "train"}')
    with pytest.raises(DataError, match=r"clips\.json is no index of clips: expected JSON"):
        names(index)
    with pytest.raises(DataError, match=r"index of clips .*none\.json can't be read: No such file"):
        names(tmp_path / "none.json")
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        names(root=tmp_path / "nowhere")


def test_problems_of_clips_that_are_not_for_training_are_not_told(tmp_path: Path) -> None:
    write_clip(tmp_path / "good", frames=2)
    (write_clip(tmp_path / "bad", frames=2) / "frames/00000.png").unlink()
    index = tmp_path / "clips.json"
    index.write_text(json.dumps({"good": {"split": "train"}, "bad": {"split": "val"}}))
    problems = Problems()
    training_clips(tmp_path, index, problems)
    assert len(problems) == 0
    training_clips(tmp_path, None, problems)
    assert "bad/masks/00000.png: a mask without a frame" in problems.report()


def test_photos_are_turned_by_exif_as_they_are_when_a_model_sees_them(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(noise).save(tmp_path / "a.png", exif=exif)
    learned = read_picture(tmp_path / "a.png")
    assert (np.asarray(learned) == read_frame(tmp_path / "a.png", "a")).all() and learned.size == (12, 16)
    Image.fromarray(noise[..., 0] // 128).save(tmp_path / "mask.png", exif=exif)
    assert (np.asarray(read_index_mask(tmp_path / "mask.png", learned, tmp_path / "a.png")) == np.rot90(noise[..., 0] // 128, -1)).all()
