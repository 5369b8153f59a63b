"""Data sets, scores and reports, with segmenters that know the answer or stand still."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import EvaluationError, MaskError
from vos_zoo.evaluation.datasets import Clip, load_dataset
from vos_zoo.evaluation.evaluate import evaluate, evaluate_results, score
from vos_zoo.evaluation.metrics import boundary_f, jaccard, statistics
from vos_zoo.io.palette import davis_palette
from vos_zoo.io.sequence import MaskSequence
from vos_zoo.io.video import open_video

SIZE = (40, 60)


def labels(index: int, ids: tuple[int, ...] = (1, 3)) -> np.ndarray:
    """One square an object, two pixels further right in every frame."""
    mask = np.zeros(SIZE, dtype=np.uint8)
    for k, object_id in enumerate(ids):
        mask[5 + 15 * k : 15 + 15 * k, 4 + 2 * index : 14 + 2 * index] = object_id
    return mask


def write_mask(path: Path, mask: np.ndarray, indexed: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if indexed:
        image.putpalette(davis_palette().tobytes())
    image.save(path)


def write_frames(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), 20 * k, dtype=np.uint8)).save(folder / name)


def write_clip(root: Path, name: str, frames: int = 8, ids: tuple[int, ...] = (1, 3)) -> None:
    write_frames(root / name / "frames", [f"{i:05d}.jpg" for i in range(frames)])
    for index in range(frames):
        write_mask(root / name / "masks" / f"{index:05d}.png", labels(index, ids))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    write_clip(folder, "cat")
    write_clip(folder, "dog", frames=6, ids=(2,))
    return folder


class Still:
    """Holds the first mask still."""

    def __init__(self) -> None:
        self.options: list[dict] = []

    def label(self, clip_name: str, index: int, given: np.ndarray) -> np.ndarray:
        return given

    def propagate(self, video, first_mask=None, *, masks=None, **options):
        self.options.append(options)
        start, given = (0, first_mask) if masks is None else next(iter(masks.items()))
        opened = open_video(video)
        result = MaskSequence(given.shape, np.unique(given[given > 0]).tolist(), frame_names=opened.frame_names)
        assert opened.length is not None
        for index in range(start, opened.length):
            result.set(index, self.label(Path(video).parent.name, index, given))
        return result


class Knows(Still):
    """Reads the truth."""

    def label(self, clip_name, index, given):
        return labels(index, (2,) if clip_name == "dog" else (1, 3))


def test_the_folder_layout(root):
    cat, dog = load_dataset(f"folder:{root}")
    assert (cat.name, dog.name) == ("cat", "dog")
    assert cat.annotated == list(range(8)) and cat.first == 0
    assert cat.frame_names is not None and cat.frame_names[7] == cat.frame_name(7) == "00007"
    assert (cat.truth(3) == labels(3)).all()
    assert open_video(cat.video).length == 8


def test_sparse_masks_are_matched_by_name_or_number(tmp_path):
    write_frames(tmp_path / "a" / "frames", [f"{i}.png" for i in range(9, 13)])
    write_mask(tmp_path / "a" / "masks" / "00010.png", labels(1))
    write_mask(tmp_path / "a" / "masks" / "0012.png", labels(3))
    write_frames(tmp_path / "b" / "frames", ["first.png", "second.png"])
    write_mask(tmp_path / "b" / "masks" / "second.png", labels(1))
    a, b = load_dataset(f"folder:{tmp_path}")
    assert a.annotated == [1, 3] and (a.truth(3) == labels(3)).all()
    assert b.annotated == [1] and b.first == 1
    with pytest.raises(EvaluationError, match="clip 'a' has no true mask for frame 0"):
        a.truth(0)


def test_masks_that_fit_no_frame_or_the_same_one(root):
    write_mask(root / "cat" / "masks" / "8.png", labels(0))
    with pytest.raises(EvaluationError, match=r"8\.png fits no frame of .*frames by name or number"):
        load_dataset(f"folder:{root}")
    (root / "cat" / "masks" / "8.png").rename(root / "cat" / "masks" / "3.png")
    with pytest.raises(EvaluationError, match="00003.png and 3.png are both frame 3"):
        load_dataset(f"folder:{root}")


def test_only_some_clips(root):
    assert [clip.name for clip in load_dataset(f"folder:{root}", only="d*")] == ["dog"]
    assert [clip.name for clip in load_dataset(f"folder:{root}", only=["dog", "?at"])] == ["cat", "dog"]
    with pytest.raises(EvaluationError, match="no clip of .* is called 'cow'; there are: cat, dog"):
        load_dataset(f"folder:{root}", only=["cat", "cow"])


def test_bad_specs(root, tmp_path):
    with pytest.raises(EvaluationError, match="'davis:x' is not LAYOUT:ROOT .* davis2016, davis2017, folder"):
        load_dataset("davis:x")
    with pytest.raises(EvaluationError, match="there is no folder .*nowhere"):
        load_dataset(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(EvaluationError, match="holds no clips: expected"):
        load_dataset(f"folder:{root / 'cat'}")
    with pytest.raises(EvaluationError, match="has no ImageSets/2017/val.txt"):
        load_dataset(f"davis2017:{root}")
    (root / "cow" / "frames").mkdir(parents=True)
    (root / "cow" / "masks").mkdir()
    write_frames(root / "cow" / "frames", ["0.png"])
    with pytest.raises(EvaluationError, match=r"clip 'cow': .*masks holds no \.png"):
        load_dataset(f"folder:{root}")


@pytest.fixture
def davis(tmp_path):
    folder = tmp_path / "DAVIS"
    for year, names in (("2016", "cat\n"), ("2017", "cat\ndog\n")):
        (folder / "ImageSets" / year).mkdir(parents=True)
        (folder / "ImageSets" / year / "val.txt").write_text(names)
    for name in ("cat", "dog"):
        write_frames(folder / "JPEGImages" / "480p" / name, [f"{i:05d}.jpg" for i in range(5)])
        for index in range(5):
            mask = labels(index, (1, 2))
            mask[0] = 255
            write_mask(folder / "Annotations" / "480p" / name / f"{index:05d}.png", mask)
    return folder


def test_davis_2017_void_is_background(davis):
    clips = load_dataset(f"davis2017:{davis}")
    assert [clip.name for clip in clips] == ["cat", "dog"]
    assert np.unique(clips[0].truth(0)).tolist() == [0, 1, 2]


def test_davis_2016_all_is_one_object(davis):
    (clip,) = load_dataset(f"davis2016:{davis}")
    truth = clip.truth(2)
    assert np.unique(truth).tolist() == [0, 1]
    assert truth[0].all() and ((truth == 1) == (labels(2, (1, 2)) > 0))[1:].all()
    white = 255 * (truth > 0).astype(np.uint8)
    write_mask(davis / "Annotations" / "480p" / "cat" / "00002.png", white, indexed=False)
    assert (clip.truth(2) == truth).all()
    assert score(clip, {i: 255 * clip.truth(i) for i in range(5)}).j.tolist() == [[1, 1, 1]]


def test_davis_names_what_is_missing(davis):
    (davis / "ImageSets" / "2017" / "val.txt").write_text("cat\ncow\n")
    with pytest.raises(EvaluationError, match="clip 'cow': there is no folder .*JPEGImages/480p/cow"):
        load_dataset(f"davis2017:{davis}")
    (davis / "ImageSets" / "2017" / "val.txt").write_text("")
    with pytest.raises(EvaluationError, match="val.txt is empty"):
        load_dataset(f"davis2017:{davis}")


def test_score_drops_first_and_last_annotated_frame(root):
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    still = np.stack([labels(0)] * 8)
    result = score(clip, still)
    assert result.frames == (1, 2, 3, 4, 5, 6) and result.object_ids == (1, 3)
    truth = np.stack([labels(i) for i in range(1, 7)])
    for k, object_id in enumerate((1, 3)):
        assert (result.j[k] == jaccard(truth == object_id, still[1:7] == object_id)).all()
        assert (result.f[k] == boundary_f(truth == object_id, still[1:7] == object_id)).all()


def test_objects_are_those_of_the_first_true_mask(root):
    """One that comes later is neither an object nor void: predicting nothing there is right."""
    late = labels(4)
    late[30:, 50:] = 9
    write_mask(root / "cat" / "masks" / "00004.png", late)
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    result = score(clip, [labels(i) for i in range(8)])
    assert result.object_ids == (1, 3) and (result.j == 1).all()


def test_score_refuses_what_it_cannot_score(root):
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    masks = [labels(i) for i in range(8)]
    with pytest.raises(EvaluationError, match="clip 'cat': frame 5 is scored but has no predicted mask"):
        score(clip, masks[:5])
    with pytest.raises(EvaluationError, match=r"'cat': .* frame 1 has \(height, width\) \(20, 30\), the truth \(40, 60\)"):
        score(clip, [mask[::2, ::2] for mask in masks])
    with pytest.raises(EvaluationError, match=r"frame 2 has the objects \[4\].*it has \[1, 3\]"):
        score(clip, [mask + (mask == 3) * np.uint8(i == 2) for i, mask in enumerate(masks)])
    gap = MaskSequence(SIZE, (1, 3))
    gap.set(7, labels(7))
    with pytest.raises(EvaluationError, match="frame 1 is scored but has no predicted mask"):
        score(clip, gap)


def test_clips_that_cannot_be_scored(root):
    with pytest.raises(EvaluationError, match="'x' has no true mask; give that of its first frame"):
        Clip("x", "video.mp4", {})
    with pytest.raises(EvaluationError, match="'x' has 2 annotated frames; three are the least"):
        score(Clip("x", "video.mp4", {0: labels(0), 5: labels(5)}), [])
    empty = Clip("x", "video.mp4", {i: np.zeros(SIZE, dtype=np.int32) for i in range(4)})
    with pytest.raises(EvaluationError, match="'x' has no object in its first true mask, frame 0"):
        evaluate(Still(), [empty])
    with pytest.raises(EvaluationError, match="there are no clips"):
        evaluate(Still(), [])
    cat = load_dataset(f"folder:{root}", only="cat")
    with pytest.raises(EvaluationError, match="two clips are called 'cat'"):
        evaluate(Still(), cat + cat)


def test_all_clips_are_checked_before_any_is_run(root):
    (root / "dog" / "masks" / "00000.png").write_bytes(b"no image")
    still = Still()
    with pytest.raises(MaskError, match="'dog', frame 0"):
        evaluate(still, load_dataset(f"folder:{root}"))
    assert not still.options


def test_truth_scores_one(root):
    report = evaluate(Knows(), load_dataset(f"folder:{root}"))
    assert (report.mean_j, report.mean_f, report.mean_jf) == (1, 1, 1)
    assert not report.interrupted and report.fps is not None and report.fps > 0
    assert report.clips[0].length == 8 and report.clips[1].length == 6


def test_means_are_over_objects_not_clips(root):
    report = evaluate(Still(), load_dataset(f"folder:{root}"), size=32)
    assert [(row.clip, row.object_id, row.frames) for row in report.rows] == [
        ("cat", 1, 6),
        ("cat", 3, 6),
        ("dog", 2, 4),
    ]
    overlaps = [max(10 - 2 * i, 0) / (10 + 2 * i) for i in range(8)]
    expected = (2 * np.mean(overlaps[1:7]) + np.mean(overlaps[1:5])) / 3
    assert report.mean_j == pytest.approx(expected)
    assert report.mean_jf == pytest.approx((report.mean_j + np.mean([row.f.mean for row in report.rows])) / 2)
    row = report.rows[0]
    assert row.j == statistics(overlaps[1:7]) and row.jf == (row.j.mean + row.f.mean) / 2


def test_propagate_gets_the_options_and_a_later_first_mask(root):
    for index in range(2):
        (root / "cat" / "masks" / f"{index:05d}.png").unlink()
    still = Still()
    report = evaluate(still, load_dataset(f"folder:{root}", only="cat"), size=32)
    assert still.options == [{"size": 32}]
    assert report.clips[0].frames == (3, 4, 5, 6)
    assert report.clips[0].j[0, 0] == pytest.approx(8 / 12)


def test_progress(root):
    calls, knows = [], Knows()
    clips = load_dataset(f"folder:{root}")
    evaluate(knows, clips, progress=lambda done, n, of: calls.append((done.name, n, of)))
    assert calls == [("cat", 1, 2), ("dog", 2, 2)]
    assert knows.options == [{"progress": False}] * 2


def test_ctrl_c_keeps_the_clips_done(root, tmp_path):
    class Interrupted(Knows):
        def propagate(self, video, first_mask=None, **options):
            if "dog" in str(video):
                raise KeyboardInterrupt
            return super().propagate(video, first_mask, **options)

    report = evaluate(Interrupted(), load_dataset(f"folder:{root}"), save=tmp_path / "out")
    assert report.interrupted and [clip.name for clip in report.clips] == ["cat"]
    assert report.mean_jf == 1
    assert "interrupted: 1 done, the means are over those" in report.table()
    saved = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [clip["clip"] for clip in saved["clips"]] == ["cat"] and saved["interrupted"]


def test_interrupted_before_the_first_clip_is_no_zero(root, tmp_path):
    class Never(Still):
        def propagate(self, video, first_mask=None, **options):
            raise KeyboardInterrupt

    report = evaluate(Never(), load_dataset(f"folder:{root}"))
    assert np.isnan(report.mean_jf) and report.fps is None
    report.to_json(tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["mean_jf"] is None


def test_saved_masks_score_the_same(root, tmp_path):
    clips = load_dataset(f"folder:{root}")
    report = evaluate(Still(), clips, save=tmp_path / "out")
    again = evaluate_results(tmp_path / "out", clips)
    assert again.rows == report.rows
    assert again.fps is None and report.fps is not None
    with open(tmp_path / "out" / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["object"] for row in rows] == ["1", "3", "2"]
    assert float(rows[0]["j_mean"]) == pytest.approx(report.rows[0].j.mean, abs=1e-6)
    saved = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert saved["mean_jf"] == report.mean_jf
    assert saved["objects"][2]["f"]["decay"] == report.rows[2].f.decay
    assert np.array(saved["clips"][0]["j"]).shape == (2, 6)


def test_results_that_cannot_be_scored_are_named(root, tmp_path):
    clips = load_dataset(f"folder:{root}", only="cat")
    out = tmp_path / "out"
    with pytest.raises(EvaluationError, match="there is no folder .*out"):
        evaluate_results(out, clips)
    out.mkdir()
    with pytest.raises(EvaluationError, match="out has no folder 'cat'"):
        evaluate_results(out, clips)
    for index in range(1, 7):
        write_mask(out / "cat" / f"{index:05d}.png", labels(index))
    assert evaluate_results(out, clips).mean_jf == 1, "frames that are not scored need no file"
    target = out / "cat" / "00004.png"
    write_mask(target, labels(4, (1, 2)))
    with pytest.raises(EvaluationError, match=r"cat.00004\.png has the objects \[2\]"):
        evaluate_results(out, clips)
    write_mask(target, labels(4)[:-1])
    with pytest.raises(EvaluationError, match=r"cat.00004\.png has \(height, width\) \(39, 60\)"):
        evaluate_results(out, clips)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(target)
    with pytest.raises(MaskError, match=r"cat.00004\.png"):
        evaluate_results(out, clips)
    target.unlink()
    with pytest.raises(EvaluationError, match=r"cat.00004\.png is missing; every frame \[1:-1\]"):
        evaluate_results(out, clips)


def test_table(root):
    lines = evaluate(Knows(), load_dataset(f"folder:{root}")).table().splitlines()
    assert lines[0].split() == ["clip", "object", "frames", "J&F", "J", "F"]
    assert lines[1].split() == ["cat", "1", "6", "100.0", "100.0", "100.0"]
    assert lines[4].split() == ["mean", "over", "objects", "3", "16", "100.0", "100.0", "100.0"]
    assert lines[5].endswith("frames per second")


def test_first_mask_held_still_on_davis_2016(validation_clips):
    """26.3 by the official tool over six sequences."""
    root = validation_clips("davis2016val")
    clips = load_dataset(f"folder:{root}")
    assert len(clips) == 6
    report = evaluate(Still(), clips)
    assert round(100 * report.mean_jf, 1) == 26.3
