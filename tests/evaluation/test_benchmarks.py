"""Benchmarks as they are laid out: what is read of each, for evaluate and for propagate."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_layouts import FRAMES, write_sav, write_valid
from evaluation_data import SIZE, Still, labels, write_davis, write_frames, write_mask, write_youtubevos
from PIL import Image

from vos_zoo.errors import EvaluationError, MaskError, VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import checked, evaluate
from vos_zoo.evaluation.scoring import score
from vos_zoo.jobs.benchmarks import benchmark_tasks
from vos_zoo.masks.beginnings import first_of_each
from vos_zoo.masks.read import read_mask, read_masks


@pytest.mark.parametrize("layout", ["mose", "lvos"])
def test_a_validation_set_without_truth(tmp_path, layout):
    write_valid(tmp_path / "valid")
    a, b = load_dataset(f"{layout}:{tmp_path}", subset="val")
    assert (a.withheld, b.withheld) == (True, True) and (a.objects(), b.objects()) == ({1: 0}, {1: 0, 3: 2})
    given = b.given()
    assert sorted(given) == [0, 2] and (given[2][3] == (labels(2) == 3)).all()
    assert [clip.name for clip in load_dataset(f"{layout}:{tmp_path / 'valid'}")] == ["a", "b"]


def test_a_set_with_truth_is_scored_from_where_objects_begin(tmp_path):
    a, b = load_dataset(f"lvos:{write_valid(tmp_path, truth=True)}")
    assert not a.withheld and b.objects() == {1: 0, 3: 2}
    found = score(b, {i: b.truth(i) for i in range(6)})
    assert found.frames == (1, 2, 3, 4) and np.isnan(found.j[1]).tolist() == [True, True, False, False]
    assert np.nanmin(found.j) == 1


def test_withheld_truth_is_told_and_not_scored(tmp_path):
    clips = load_dataset(f"mose:{write_valid(tmp_path)}")
    with pytest.raises(EvaluationError, match=r"clip 'a' has masks only where its objects begin.*--submission"):
        checked(clips)
    assert checked(clips, withheld=True) == clips


def test_sa_v_objects_have_a_folder_each_and_overlap(tmp_path):
    (clip,) = load_dataset(f"sav:{write_sav(tmp_path / 'sav_val')}")
    assert clip.objects() == {1: 0, 2: 2} and clip.annotated == [0, 2, 4] and not clip.withheld
    assert clip.truth_of(2, 1).sum() == 15 * 15 and clip.truth_of(2, 2).sum() == 100  # neither hides the other
    assert not clip.annotates(0, 2) and clip.annotates(2, 2)
    assert [sorted(each) for each in clip.given().values()] == [[1], [2]]
    whole = np.zeros(SIZE, np.uint8)
    whole[5:20, 5:20] = 1
    found = score(clip, dict.fromkeys(range(6), whole))
    assert found.frames == (2,) and found.object_ids == (1,) and found.j.tolist() == [[1.0]]
    assert load_dataset(f"sav:{write_sav(tmp_path / 'test', truth=False)}")[0].withheld


def test_an_object_inside_another_is_not_lost_behind_it(tmp_path):
    """Each has a mask of its own; painted by their numbers the hand would be covered by the person."""
    root = tmp_path / "sav_val"
    write_frames(root / "JPEGImages_24fps" / "a", FRAMES)
    hand, person = (np.zeros(SIZE, np.uint8) for _ in range(2))
    hand[10:14, 10:14] = person[5:30, 5:30] = 255
    for k, mask in enumerate((hand, person)):
        write_mask(root / "Annotations_6fps" / "a" / f"{k:03d}" / "00000.png", mask, indexed=False)
    (clip,) = load_dataset(f"sav:{root}")
    given = clip.given()
    assert read_mask(given[0]).ids == (1, 2) and (read_mask(given[0]).labels == 1).sum() == 16
    (first,) = first_of_each(read_masks(root / "Annotations_6fps" / "a"), size=SIZE).values()
    assert first.ids == (1, 2) and (first.labels == 1).sum() == 16
    write_mask(root / "Annotations_6fps" / "a" / "002" / "00000.png", hand, indexed=False)
    with pytest.raises(MaskError, match="object 1 lies wholly under others"):
        first_of_each(read_masks(root / "Annotations_6fps" / "a"), size=SIZE)


def test_davis_in_full_resolution_and_test_dev(tmp_path):
    root = write_davis(tmp_path)
    (root / "JPEGImages" / "480p").rename(root / "JPEGImages" / "Full-Resolution")
    (root / "Annotations" / "480p").rename(root / "Annotations" / "Full-Resolution")
    write_frames(root / "JPEGImages" / "480p" / "cow", FRAMES)
    write_mask(root / "Annotations" / "480p" / "cow" / "00000.png", labels(0, (1, 2)))
    (root / "ImageSets" / "2017" / "test-dev.txt").write_text("cow\n")
    full = load_dataset(f"davis2017-full:{root}")
    assert [clip.name for clip in full] == ["cat", "dog"] and full[0].video.parent.name == "Full-Resolution"
    (cow,) = load_dataset(f"davis2017:{root}", subset="test-dev")
    assert cow.withheld and cow.objects() == {1: 0, 2: 0}


def test_vipseg_ids_go_beyond_255(tmp_path):
    write_frames(tmp_path / "imgs" / "1_a", FRAMES)
    (tmp_path / "panomasks" / "1_a").mkdir(parents=True)
    for index in range(4):
        segments = np.full(SIZE, 255, np.uint16)
        segments[:10] = 12401 if index else 7
        Image.fromarray(segments).save(tmp_path / "panomasks" / "1_a" / f"{index:05d}.png")
    (tmp_path / "val.txt").write_text("1_a\n")
    (clip,) = load_dataset(f"vipseg:{tmp_path}")
    assert clip.objects() == {7: 0, 255: 0, 12401: 1}
    assert score(clip, {i: clip.truth(i) for i in range(4)}).j[:2].min() == 1


def test_youtubevos_without_truth(tmp_path):
    root = write_youtubevos(tmp_path / "valid")
    for video, beginnings in (("0a", (0, 10)), ("1b", (5,))):
        for path in (root / "Annotations" / video).iterdir():
            if int(path.stem) not in beginnings:
                path.unlink()
    first, second = load_dataset(f"youtubevos:{tmp_path}", subset="valid")
    assert first.withheld and second.withheld and second.submitted == ("00005", "00010", "00015", "00020", "00025")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("mose:{}/nowhere", "there is no folder"),
        ("mose:{}", "has no folder JPEGImages"),
        ("sav:{}/valid", "has no folder JPEGImages_24fps .it has Annotations, JPEGImages."),
        ("davis2016:{}", "davis2016 is a way to score: to propagate, take davis2017"),
    ],
)
def test_what_is_not_there_is_told(tmp_path, spec, says):
    write_valid(tmp_path / "valid")
    with pytest.raises(VosZooError, match=says):
        benchmark_tasks(spec.format(tmp_path), "train")


def test_a_clip_of_one_folder_only_is_told(tmp_path):
    root = write_valid(tmp_path)
    write_frames(root / "JPEGImages" / "c", FRAMES)
    with pytest.raises(EvaluationError, match="Annotations has no masks of c, whose frames are in"):
        load_dataset(f"mose:{root}")
    (root / "JPEGImages" / "c").rename(tmp_path / "elsewhere")
    write_mask(root / "Annotations" / "d" / "00000.png", labels(0))
    with pytest.raises(EvaluationError, match="JPEGImages has no frames of d"):
        load_dataset(f"mose:{root}")


def test_tasks_of_propagate(tmp_path):
    found = benchmark_tasks(f"mose:{write_valid(tmp_path / 'm')}", "val")
    assert found is not None and [(task.name, task.first_of) for task in found.tasks][1] == ("b", tmp_path / "m" / "Annotations" / "b")
    found = benchmark_tasks(f"davis2017:{write_davis(tmp_path / 'D')}", "val")
    assert found is not None and found.tasks[0].mask == tmp_path / "D" / "Annotations" / "480p" / "cat" / "00000.png"
    assert benchmark_tasks("clips", "val") is None and benchmark_tasks("12:30.mp4", "val") is None


def test_evaluate_gives_late_objects_where_they_begin(tmp_path):
    clips = load_dataset(f"mose:{write_valid(tmp_path, truth=True)}")
    model = Still()
    evaluate(model, clips)
    assert [sorted(given) for given in model.given] == [[0], [0, 2]]
