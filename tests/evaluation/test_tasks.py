"""Scores of the other two tasks: objects that have to be found (unsupervised DAVIS), and objects that begin late (YouTube-VOS)."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from evaluation_data import SIZE, YOUTUBE, Still, labels, write_davis, write_mask, write_youtubevos, youtube_labels

from vos_zoo.errors import EvaluationError, VosZooWarning
from vos_zoo.evaluation.assignment import assign
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate, evaluate_results
from vos_zoo.evaluation.metrics import boundary_f, jaccard, statistics
from vos_zoo.evaluation.scoring import score
from vos_zoo.masks.sequence import MaskSequence


@pytest.fixture
def unsupervised(tmp_path):
    return load_dataset(f"davis2017-unsupervised:{write_davis(tmp_path / 'DAVIS', annotations='Annotations_unsupervised')}", only="cat")[0]


@pytest.fixture
def youtube(tmp_path):
    return write_youtubevos(tmp_path / "hold-out")


# ---- unsupervised


def proposals(order, frames=5):
    """The true objects under other ids."""
    return [np.choose(labels(i, (1, 2)), [0, *order]).astype(np.uint8) for i in range(frames)]


def test_proposals_are_matched_whatever_their_ids(unsupervised):
    for order in ((1, 2), (2, 1), (7, 20)):
        result = score(unsupervised, proposals(order))
        assert (result.j == 1).all() and (result.f == 1).all()
        assert result.object_ids == (1, 2) and result.proposals == order and result.frames == (0, 1, 2, 3, 4)


def test_the_match_is_over_the_whole_sequence(unsupervised):
    """Proposal 1 is object 1 in three of five frames and object 2 in the others: it stands for object 1 in all."""
    masks = proposals((1, 2), 3) + proposals((2, 1), 5)[3:]
    result = score(unsupervised, masks)
    assert result.proposals == (1, 2)
    assert result.j.tolist() == [[1, 1, 1, 0, 0]] * 2


def test_fewer_proposals_than_objects(unsupervised):
    result = score(unsupervised, [np.uint8(3) * (mask == 2) for mask in proposals((1, 2))])
    assert (result.j[1] == 1).all() and (result.j[0] == 0).all() and result.proposals[1] == 3


def test_void_is_left_out_in_the_unsupervised_task(unsupervised):
    masks = proposals((1, 2))
    for mask in masks:
        mask[0] = 1
    assert (score(unsupervised, masks).j == 1).all()


def test_a_proposal_beyond_the_twentieth(unsupervised):
    masks = proposals((1, 2))
    masks[3][5, 5] = 21
    with pytest.raises(EvaluationError, match=r"frame 3 has the id 21; proposals are numbered from 1 to 20"):
        score(unsupervised, masks)


def test_the_unsupervised_score_by_brute_force(unsupervised):
    """All proposals against all objects with the plain metrics, and the best of all one-to-one assignments."""
    from itertools import permutations

    random = np.random.default_rng(0)
    masks = [np.where(random.random(SIZE) < 0.3, random.integers(0, 5, SIZE), labels(i, (1, 2))) for i in range(5)]
    truth, void = (np.stack(each) for each in zip(*(unsupervised.truth_and_void(i) for i in range(5)), strict=True))
    values = np.array(
        [
            [
                (jaccard(truth == g, np.stack(masks) == p, void=void) + boundary_f(truth == g, np.stack(masks) == p, void=void)).mean() / 2
                for g in (1, 2)
            ]
            for p in (1, 2, 3, 4)
        ]
    )
    best = max(permutations(range(4), 2), key=lambda chosen: values[chosen[0], 0] + values[chosen[1], 1])
    result = score(unsupervised, masks)
    assert result.proposals == tuple(p + 1 for p in best)
    assert result.jf == pytest.approx((values[best[0], 0] + values[best[1], 1]) / 2)


@pytest.mark.parametrize("seed", range(8))
def test_the_assignment_is_the_best_one(seed):
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(seed)
    for _ in range(20):
        objects = int(random.integers(1, 7))
        profit = random.random((objects + int(random.integers(0, 15)), objects))
        if seed % 2:
            profit = np.round(3 * profit) / 3  # many ties
        rows, columns = optimize.linear_sum_assignment(-profit)
        chosen = assign(profit)
        assert len(set(chosen)) == objects
        assert profit[chosen, range(objects)].sum() == pytest.approx(profit[rows, columns].sum())


def test_assignments_that_can_not_be():
    with pytest.raises(EvaluationError, match=r"shape \(1, 2\); give \(P, G\) with at least as many proposals"):
        assign([[1.0, 2.0]])
    with pytest.raises(EvaluationError, match="not finite"):
        assign([[np.nan]])


def test_a_model_that_needs_masks_can_not_be_scored_without(unsupervised):
    class Blind(Still):
        class model:
            finds_objects = False

    with pytest.raises(EvaluationError, match=r"has to find the objects itself, which this one does not: take a zero-shot model"):
        evaluate(Blind(), [unsupervised])


def test_a_zero_shot_model_is_told_nothing(unsupervised):
    class Finds(Still):
        class model:
            finds_objects = True

        def propagate(self, video, **options):
            assert not options.get("masks")
            result = MaskSequence(SIZE)
            for mask in proposals((5, 4)):
                result.append(mask)
            return result

    report = evaluate(Finds(), [unsupervised])
    assert report.mean_jf == 1 and report.clips[0].proposals == (5, 4)


# ---- YouTube-VOS


def test_objects_that_begin_late_are_given_and_scored_from_there(youtube):
    still, clips = Still(), load_dataset(f"youtubevos:{youtube}")
    report = evaluate(still, clips)
    assert [sorted((frame, k) for frame, told in given.items() for k in told) for given in still.given] == [[(0, 4), (10, 2)], [(5, 1)]]
    first, second = report.clips
    assert first.frames == (5, 10, 15, 20) and first.object_ids == (2, 4)
    assert np.isnan(first.j).tolist() == [[True, True, False, False], [False] * 4]
    assert second.frames == (5, 10, 15, 20) and np.isnan(second.j).tolist() == [[True, False, False, False]]
    # three pixels further right of ten with every annotated frame: (10 - 3d) / (10 + 3d)
    overlap = [max(10 - 3 * d, 0) / (10 + 3 * d) for d in range(6)]
    assert first.j[0, 2:].tolist() == pytest.approx(overlap[1:3]) and first.j[1].tolist() == pytest.approx(overlap[1:5])
    assert [row.frames for row in report.rows] == [2, 4, 3]
    assert report.rows[0].j == statistics(first.j[0, 2:]), "frames before the object begins are neither mean nor recall"
    assert [clip.cost.frames for clip in report.clips] == [26, 21], "frames before the first mask are not propagated"


def test_g_is_the_mean_of_four(youtube):
    (youtube / "seen.txt").write_text("person\n")
    report = evaluate(Still(), load_dataset(f"youtubevos:{youtube}"))
    late, person, other = report.rows
    assert (late.seen, person.seen, other.seen) == (False, True, True)
    grouped = report.grouped
    assert grouped.j_seen == pytest.approx((person.j.mean + other.j.mean) / 2) and grouped.f_seen == pytest.approx(
        (person.f.mean + other.f.mean) / 2
    )
    assert (grouped.j_unseen, grouped.f_unseen) == (late.j.mean, late.f.mean)
    assert grouped.g == pytest.approx((grouped.j_seen + grouped.f_seen + grouped.j_unseen + grouped.f_unseen) / 4)
    assert report.as_dict()["grouped"]["g"] == grouped.g
    assert f"G {100 * grouped.g:.1f}: J seen " in report.table()


def test_without_unseen_objects_there_is_no_g(youtube):
    report = evaluate(Still(), load_dataset(f"youtubevos:{youtube}"))
    assert report.grouped.g is None and report.grouped.j_unseen is None and report.grouped.j_seen > 0
    assert "G -: J seen " in report.table() and report.table().count("unseen -") == 2


def test_an_object_that_begins_too_late_is_told_and_left_out(youtube):
    meta = json.loads((youtube / "meta.json").read_text())
    meta["videos"]["0a"]["objects"]["2"]["frames"] = ["00020", "00025"]
    (youtube / "meta.json").write_text(json.dumps(meta))
    clips = load_dataset(f"youtubevos:{youtube}")
    with pytest.warns(VosZooWarning, match=r"clip '0a': objects \[2\] begin too late to be scored, so the means are over the others"):
        report = evaluate(Still(), clips)
    assert [row.object_id for row in report.rows] == [4, 1]
    meta["videos"]["1b"]["objects"]["1"]["frames"] = ["00025"]
    (youtube / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(EvaluationError, match="clip '1b' has no object with a frame to score"), warnings.catch_warnings():
        warnings.simplefilter("ignore", VosZooWarning)
        evaluate(Still(), load_dataset(f"youtubevos:{youtube}"))


def test_results_of_late_objects(youtube, tmp_path):
    for video in YOUTUBE:
        for nth in range(6):
            write_mask(tmp_path / "mine" / video / f"{5 * nth:05d}.png", youtube_labels(video, nth))
    assert evaluate_results(tmp_path / "mine", load_dataset(f"youtubevos:{youtube}")).mean_jf == 1
