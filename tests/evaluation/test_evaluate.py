"""Scores: of one clip, over a data set, supervised and not, with segmenters that know the answer or stand still."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from evaluation_data import Knows, Still, labels, write_clip, write_davis, write_mask

from vos_zoo.errors import EvaluationError, MaskError, VosZooWarning
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate, evaluate_results
from vos_zoo.evaluation.metrics import boundary_f, jaccard, statistics
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore, score
from vos_zoo.masks.sequence import MaskSequence

SIZE = (40, 60)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    write_clip(folder, "cat")
    write_clip(folder, "dog", frames=6, ids=(2,))
    return folder


# ---- one clip


def test_score_drops_first_and_last_annotated_frame(root):
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    still = np.stack([labels(0)] * 8)
    result = score(clip, still)
    assert result.frames == (1, 2, 3, 4, 5, 6) and result.object_ids == (1, 3)
    truth = np.stack([labels(i) for i in range(1, 7)])
    for k, object_id in enumerate((1, 3)):
        assert (result.j[k] == jaccard(truth == object_id, still[1:7] == object_id)).all()
        assert (result.f[k] == boundary_f(truth == object_id, still[1:7] == object_id)).all()
    assert result.jf == pytest.approx((result.j.mean() + result.f.mean()) / 2)


def test_sparse_truth_is_scored_where_it_is(root):
    for index in (1, 2, 4, 5):
        (root / "cat" / "masks" / f"{index:05d}.png").unlink()
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    assert clip.annotated == [0, 3, 6, 7]
    assert score(clip, [labels(i) for i in range(8)]).frames == (3, 6)


def test_objects_are_those_of_the_first_true_mask(root):
    """One that comes later is neither an object nor void: predicting nothing there is right."""
    late = labels(4)
    late[30:, 50:] = 9
    write_mask(root / "cat" / "masks" / "00004.png", late)
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    result = score(clip, [labels(i) for i in range(8)])
    assert result.object_ids == (1, 3) and (result.j == 1).all()


def test_a_prediction_on_void_is_wrong_in_the_supervised_task(tmp_path):
    clip = load_dataset(f"davis2017:{write_davis(tmp_path)}", only="cat")[0]
    masks = [labels(i, (1, 2)) for i in range(5)]
    assert (score(clip, masks).j == 1).all()
    for mask in masks:
        mask[0] = 1  # 60 void pixels beside the 100 of object 1
    assert score(clip, masks).j.tolist() == [[100 / 160] * 3, [1] * 3]


def test_an_object_that_is_predicted_nowhere_scores_zero(root):
    clip = load_dataset(f"folder:{root}", only="cat")[0]
    result = score(clip, [labels(i, (1,)) for i in range(8)])
    assert (result.j[0] == 1).all() and (result.j[1] == 0).all() and (result.f[1] == 0).all()


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


def test_a_clips_score_survives_json_exactly():
    values = np.random.default_rng(0).random((2, 2, 5))
    values[0, 1, :3] = values[1, 1, :3] = np.nan
    one = ClipScore("x", (1, 2, 3, 4, 5), (1, 7), values[0], values[1], seen=(True, False))
    again = ClipScore.from_dict(json.loads(json.dumps(one.as_dict())))
    assert np.array_equal(again.j, one.j, equal_nan=True) and np.array_equal(again.f, one.f, equal_nan=True)
    assert (again.name, again.frames, again.object_ids, again.seen, again.cost) == ("x", one.frames, (1, 7), (True, False), None)
    with pytest.raises(ValueError, match=r"shape \(2, 5\) and \(2, 5\) for 1 objects"):
        ClipScore.from_dict({**one.as_dict(), "object_ids": [1]})


# ---- over a data set


def test_truth_scores_one(root):
    report = evaluate(Knows(), load_dataset(f"folder:{root}"))
    assert (report.mean_j, report.mean_f, report.mean_jf) == (1, 1, 1)
    assert not report.interrupted and report.fps is not None and report.fps > 0
    assert [clip.cost.frames for clip in report.clips] == [8, 6]
    assert report.memory > 1e7 and report.device_memory is None


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
    each = [statistics(overlaps[1:7]), statistics(overlaps[1:7]), statistics(overlaps[1:5])]
    assert report.j == pytest.approx(np.mean(each, axis=0))


def test_propagate_gets_the_options_and_a_later_first_mask(root):
    for index in range(2):
        (root / "cat" / "masks" / f"{index:05d}.png").unlink()
    still = Still()
    report = evaluate(still, load_dataset(f"folder:{root}", only="cat"), size=32)
    assert still.options == [{"size": 32}] and list(still.given[0]) == [2]
    assert report.clips[0].frames == (3, 4, 5, 6)
    assert report.clips[0].j[0, 0] == pytest.approx(8 / 12)


def test_progress(root):
    calls, knows = [], Knows()
    clips = load_dataset(f"folder:{root}")
    evaluate(knows, clips, progress=lambda done, n, of: calls.append((done.name, n, of)))
    assert calls == [("cat", 1, 2), ("dog", 2, 2)]
    assert all(callable(options["progress"]) for options in knows.options), "no bar of propagate's own"


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
    with pytest.raises(EvaluationError, match=r"out.cat is there already \(2 of 2 clips\)"):
        evaluate(Still(), clips, save=tmp_path / "out")


def test_the_official_csv_files(root, tmp_path):
    report = evaluate(Still(), load_dataset(f"folder:{root}"))
    report.to_official_csv(tmp_path, "val")
    lines = (tmp_path / "global_results-val.csv").read_bytes().decode().split("\n")
    assert lines[0] == "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay" and lines[2:] == [""]
    assert lines[1] == ",".join(f"{value:.3f}" for value in (report.mean_jf, *report.j, *report.f))
    lines = (tmp_path / "per-sequence_results-val.csv").read_text().splitlines()
    assert lines[0] == "Sequence,J-Mean,F-Mean"
    assert lines[1:] == [f"{row.clip}_{row.object_id},{row.j.mean:.3f},{row.f.mean:.3f}" for row in report.rows]


def test_decay_of_long_videos_is_right_or_official():
    values = np.linspace(1, 0, 300)[None]
    long = ClipScore("long", tuple(range(1, 301)), (1,), values, values)
    assert Scores([long]).j.decay == pytest.approx(0.75, abs=0.01)
    official = Scores([long], legacy_decay=True)
    assert np.isnan(official.j.decay) and official.as_dict()["j"]["decay"] is None


def test_ids_that_the_truth_skips_are_told(tmp_path):
    root = write_davis(tmp_path)
    for index in range(5):
        write_mask(root / "Annotations" / "480p" / "cat" / f"{index:05d}.png", labels(index, (1, 3)))
    with pytest.warns(VosZooWarning, match=r"clip 'cat': its first true mask skips the ids \[2\]; they are scored as objects"):
        report = evaluate(Knows(), load_dataset(f"davis2017:{root}", only="cat"))
    assert [row.object_id for row in report.rows] == [1, 2, 3] and report.mean_jf == 1


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
    jf = []
    for clip in clips:  # without decoding the frames
        given = clip.truth(clip.first)
        jf.append(score(clip, {index: given for index in clip.scored}).jf)
    assert round(100 * np.mean(jf), 1) == 26.3
