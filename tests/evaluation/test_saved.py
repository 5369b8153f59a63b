"""Anybody's masks on disk: every file that can't be scored is named, with what the official tool would do."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_data import SIZE, labels, write_clip, write_davis, write_mask
from PIL import Image

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate_results
from vos_zoo.evaluation.saved import Saved

TOO_HIGH = "the official tool prints 'In your PNG files there is an index higher than the number of objects in the sequence!' and exits"


@pytest.fixture
def clips(tmp_path):
    return load_dataset(f"davis2017:{write_davis(tmp_path / 'DAVIS')}")


@pytest.fixture
def out(tmp_path, clips):
    """Results without fault, of the frames that are scored."""
    for clip in clips:
        for index in clip.scored:
            write_mask(tmp_path / "out" / clip.name / f"{index:05d}.png", labels(index, (1, 2)))
    return tmp_path / "out"


def test_frames_that_are_not_scored_need_no_file(out, clips):
    assert evaluate_results(out, clips).mean_jf == 1
    assert not (out / "cat" / "00000.png").exists() and not (out / "cat" / "00004.png").exists()


def test_no_folder(tmp_path, clips):
    with pytest.raises(EvaluationError, match="results: there is no folder .*nowhere"):
        evaluate_results(tmp_path / "nowhere", clips)


def test_a_missing_sequence(out, clips):
    (out / "dog").rename(out / "wolf")
    with pytest.raises(
        EvaluationError, match=r"out.dog there is no such folder; .*--only.* \(the official tool prints 'frame not found' and exits\)"
    ):
        evaluate_results(out, clips)


def test_a_missing_frame(out, clips):
    (out / "cat" / "00002.png").unlink()
    with pytest.raises(
        EvaluationError, match=r"cat.00002\.png is missing; every frame \[1:-1\] .*the official tool prints 'frame not found' and exits"
    ):
        evaluate_results(out, clips)


def test_a_wrong_size(out, clips):
    write_mask(out / "cat" / "00002.png", labels(2, (1, 2))[:-1])
    with pytest.raises(EvaluationError, match=r"cat.00002\.png is 60x39, the truth 60x40; .*\(the official tool stops: an AssertionError"):
        evaluate_results(out, clips)


def test_an_extra_id(out, clips):
    mask = labels(2, (1, 2))
    mask[30:, 50:] = 3
    write_mask(out / "cat" / "00002.png", mask)
    with pytest.raises(EvaluationError, match=rf"cat.00002\.png has the id 3, but the objects are 1, 2; leave them out.*\({TOO_HIGH}\)"):
        evaluate_results(out, clips)


def test_ids_that_are_numbered_otherwise(out, clips):
    """As after Image.convert("P") of a coloured mask."""
    write_mask(out / "cat" / "00002.png", labels(2, (38, 75)))
    with pytest.raises(
        EvaluationError, match=rf"has the ids 38, 75, but the objects are 1, 2; .* not numbered like the true ones: renumber.*\({TOO_HIGH}"
    ):
        evaluate_results(out, clips)


def test_fewer_ids_are_no_fault(out, clips):
    write_mask(out / "cat" / "00002.png", labels(2, (1,)))
    scores = evaluate_results(out, clips)
    assert scores.clips[0].j.tolist() == [[1, 1, 1], [1, 0, 1]]


def test_white_instead_of_ids(out, clips):
    write_mask(out / "cat" / "00002.png", np.uint8(255) * (labels(2, (1, 2)) > 0), indexed=False)
    with pytest.raises(
        EvaluationError, match=r"has the id 255, but the objects are 1, 2; write ids, not white \(0 and 255\), or score with davis2016"
    ):
        evaluate_results(out, clips)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_in_colour(out, clips, mode):
    Image.fromarray(labels(2, (1, 2))).convert(mode).save(out / "cat" / "00002.png")
    with pytest.raises(
        EvaluationError, match=rf"cat.00002\.png is a picture in {mode}, .*indexed \(mode P\) PNG \(the official tool takes every channel"
    ):
        evaluate_results(out, clips)


def test_a_file_that_is_no_image(out, clips):
    (out / "cat" / "00002.png").write_bytes(b"\x89PNG, or not")
    with pytest.raises(
        EvaluationError, match=r"cat.00002\.png can't be read as an image .*save it again \(the official tool stops with Pillow's"
    ):
        evaluate_results(out, clips)
    whole = (out / "cat" / "00001.png").read_bytes()
    (out / "cat" / "00002.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EvaluationError, match=r"cat.00002\.png can't be read as an image"):
        evaluate_results(out, clips)


def test_all_faults_are_listed_before_anything_is_scored(out, clips, monkeypatch):
    monkeypatch.setattr(Saved, "score", lambda self, clip: pytest.fail("scored"))
    for index in (1, 3):
        (out / "cat" / f"{index:05d}.png").unlink()
    write_mask(out / "cat" / "00002.png", labels(2, (1, 9)))
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(out / "dog" / "00003.png")
    with pytest.raises(EvaluationError) as told:
        evaluate_results(out, clips)
    head, *lines = str(told.value).splitlines()
    assert head == f"results: 4 files in {out} can't be scored; nothing was"
    assert [line.split(":")[0].strip() for line in lines] == ["cat/00001.png, 00003.png", "cat/00002.png", "dog/00003.png"]
    assert "each is missing" in lines[0] and "has the id 9" in lines[1] and "picture in RGB" in lines[2]


def test_merged_objects_take_any_ids(tmp_path):
    (clip,) = load_dataset(f"davis2016:{write_davis(tmp_path / 'DAVIS')}")
    for index, ids in ((1, (1, 2)), (2, (38, 75)), (3, (255, 255))):
        mask = labels(index, ids)
        mask[0] = 255
        write_mask(tmp_path / "out" / "cat" / f"{index:05d}.png", mask, indexed=index != 3)
    assert evaluate_results(tmp_path / "out", [clip]).mean_jf == 1


def test_a_folder_may_hold_black_and_white(tmp_path):
    write_clip(tmp_path / "data", "cat", ids=(1,))
    clips = load_dataset(f"folder:{tmp_path / 'data'}")
    for index in range(1, 7):
        write_mask(tmp_path / "out" / "cat" / f"{index:05d}.png", np.uint8(255) * labels(index, (1,)), indexed=False)
    assert evaluate_results(tmp_path / "out", clips).mean_jf == 1
    mask = labels(3, (1,))
    mask[0] = 255
    write_mask(tmp_path / "out" / "cat" / "00003.png", mask)
    with pytest.raises(EvaluationError, match="has the id 255, but the objects are 1"):
        evaluate_results(tmp_path / "out", clips)


def test_proposals_may_have_any_id_up_to_twenty(tmp_path):
    clips = load_dataset(f"davis2017-unsupervised:{write_davis(tmp_path / 'DAVIS', annotations='Annotations_unsupervised')}", only="cat")
    for index in range(5):
        write_mask(tmp_path / "out" / "cat" / f"{index:05d}.png", labels(index, (20, 7)))
    assert evaluate_results(tmp_path / "out", clips).mean_jf == 1
    write_mask(tmp_path / "out" / "cat" / "00000.png", labels(0, (21, 7)))
    (tmp_path / "out" / "cat" / "00004.png").unlink()
    with pytest.raises(
        EvaluationError,
        match=r"(?s)00000.png: has the id 21, .* from 1 to 20 .*\(20\) of proposals allowed.*00004.png: is missing; every annotated",
    ):
        evaluate_results(tmp_path / "out", clips)
